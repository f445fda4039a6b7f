import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { scanOrder } from '../../chaos/lockstep/lockstep.ts'

interface State {
  readonly Type: string
  readonly Arguments?: { readonly FunctionName?: string }
  readonly Next?: string
  readonly Catch?: readonly { readonly Next: string }[]
  readonly ItemProcessor?: Graph
}
interface Graph {
  readonly StartAt: string
  readonly States: Readonly<Record<string, State>>
}

const machine: Graph = JSON.parse(
  readFileSync(new URL('../../../statemachines/lock-scan.asl.json', import.meta.url), 'utf8'),
)

/** The functions that a graph calls one after the other, when each goes well or when each fails. */
function functionsOf({ StartAt, States }: Graph, fails: boolean): string[] {
  const called: string[] = []
  for (let at: string | undefined = StartAt; at !== undefined; ) {
    const state: State | undefined = States[at]
    if (!state) throw new RangeError(`there is no state ${at}`)
    if (state.ItemProcessor) called.push(...functionsOf(state.ItemProcessor, fails))
    if (state.Arguments?.FunctionName) called.push(state.Arguments.FunctionName)
    at = (fails ? state.Catch?.[0]?.Next : undefined) ?? state.Next
  }
  return called
}

/** `${UnlockWatchFunction}` of `unlock-watch`. */
function placeholderOf(name: string): string {
  const words = name.split('-').map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
  return `\${${words.join('')}Function}`
}

test.each([false, true])('scans do what the state machine does, in its order (each fails: %s)', (fails) => {
  const placeholders = scanOrder.map(placeholderOf)
  expect(functionsOf(machine, fails).filter((name) => placeholders.includes(name))).toEqual(placeholders)
})
