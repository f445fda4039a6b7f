import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TaskHandler } from '../../infra/local/states/interpreter.ts'
import { documentOf, type States } from '../unit/states/machines.ts'
import { type LoadedMachines, type MachineEngine, machineArn } from './machine-engine.ts'
import { type MachineExample, machineExamples } from './machine-examples.ts'
import { comparable, type ExecutionTrail, statesOf } from './machine-trail.ts'

export interface MachinesContractOptions {
  readonly setup: () => Promise<MachineEngine>
  /** Another engine, which has to do the very same in each example. */
  readonly like?: () => Promise<MachineEngine>
  /** Examples by name in which this engine is known to do something else, and why. They fail once it no longer does. */
  readonly known?: Readonly<Record<string, string>>
}

/** What everything does that runs state machines. */
export function machinesContract(name: string, { setup, like, known = {} }: MachinesContractOptions): void {
  describe.concurrent(`state machines: ${name}`, () => {
    const engines: MachineEngine[] = []
    let engine: MachineEngine
    let reference: MachineEngine | undefined

    beforeAll(async () => {
      engine = await setup()
      engines.push(engine)
      reference = await like?.()
      if (reference) engines.push(reference)
    })
    afterAll(async () => {
      for (const each of engines) await each.close()
    })

    /** A test that fails once an engine no longer differs. */
    const testOf = (title: string) => (Object.hasOwn(known, title) ? test.fails : test)

    for (const [index, [title, example]] of Object.entries(machineExamples).entries()) {
      testOf(title)(title, async () => {
        const ended = await runExample(engine, example, `example-${index}`)
        expect(ended).toMatchObject(example.expected)
        if (example.states) expect(statesOf(ended.trail)).toEqual(example.states)
        if (!reference) return
        const other = await runExample(reference, example, `example-${index}`)
        expect(comparableEnd(ended)).toEqual(comparableEnd(other))
      })
    }

    testOf('a token is good for one answer')('a token is good for one answer', async () => {
      const { main, functions, asked } = asking()
      const machines = await engine.load({ 'one-answer': main }, functions)
      const arn = await machines.start({ machine: 'one-answer', name: 'one', input: {} })
      const token = await asked
      await machines.sendTaskSuccess(token, 1)
      expect(await machines.ended(arn)).toMatchObject({ status: 'SUCCEEDED', output: 1 })
      const again = machines.sendTaskFailure(token, { error: 'E', cause: '' })
      await expect(again).rejects.toMatchObject({ name: 'TaskTimedOut' })
    })

    testOf('an execution that is stopped says why, and goes no further')(
      'an execution that is stopped says why, and goes no further',
      async () => {
        const { main, functions, asked } = asking({ Next: 'Never' }, { Never: { Type: 'Succeed' } })
        const machines = await engine.load({ stopped: main }, functions)
        const arn = await machines.start({ machine: 'stopped', name: 'one', input: {} })
        await asked
        await machines.stop(arn, { error: 'Enough', cause: 'by hand' })
        const ended = await machines.ended(arn)
        expect(ended).toMatchObject({ status: 'ABORTED', error: 'Enough', cause: 'by hand' })
        expect(statesOf(ended.trail)).toEqual(['Ask'])
      },
    )
  })
}

/** Runs `main` of an example; its machines get names that begin with `prefix`. */
async function runExample(engine: MachineEngine, example: MachineExample, prefix: string): Promise<ExecutionTrail> {
  const { machines, top = {}, input = {}, functions } = example
  const nameOf = (machine: string) => `${prefix}-${machine}`
  const documents = Object.entries(machines).map(([machine, states]) => {
    const text = JSON.stringify(documentOf(states, machine === 'main' ? top : {}))
    return [nameOf(machine), text.replaceAll('<child>', machineArn(nameOf('child')))] as const
  })
  const world = {
    clock: engine.clock,
    machines: (): LoadedMachines => loaded,
  }
  const loaded = await engine.load(Object.fromEntries(documents), functions?.(world) ?? {})
  return loaded.ended(await loaded.start({ machine: nameOf('main'), name: prefix, input }))
}

/** A machine that asks for an answer to its token, and the token. */
function asking(extra: Record<string, unknown> = {}, more: States = {}) {
  const { promise: asked, resolve } = Promise.withResolvers<string>()
  const approve: TaskHandler = async (payload) => resolve((payload as { token: string }).token)
  const Ask = {
    Type: 'Task',
    Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken',
    Arguments: { FunctionName: 'approve', Payload: { token: '{% $states.context.Task.Token %}' } },
    TimeoutSeconds: 6,
    ...('Next' in extra ? {} : { End: true }),
    ...extra,
  }
  return { main: JSON.stringify(documentOf({ Ask, ...more })), functions: { approve }, asked }
}

function comparableEnd(ended: ExecutionTrail) {
  return comparable(JSON.parse(JSON.stringify(ended)))
}
