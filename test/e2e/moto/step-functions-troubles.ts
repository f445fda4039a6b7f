import type { Definition, Graph, TaskState } from '../../../infra/local/states/definition.ts'
import type { TaskHandler } from '../../../infra/local/states/interpreter.ts'
import type { Json } from '../../../infra/local/states/jsonata-expression.ts'
import type { ExecutionStart, LoadedMachines } from '../../contracts/machine-engine.ts'
import { comparable, withoutStopped } from '../../contracts/machine-trail.ts'
import { callsOf, type Family, nestedIn, visitsOf } from './step-functions-recording.ts'

/** A function that fails where a state calls it. */
export interface Trouble {
  readonly machine: string
  readonly state: string
  readonly error: string
  /** Or the first time only. */
  readonly always: boolean
}

/** Retries that take longer are not waited for. */
const mostAttempts = 10

/**
 * What may go wrong with each task that calls a function: an error that nobody expects, each that its catchers name,
 * and one of each retrier, once and until its attempts are used up.
 */
export function troublesOf(machines: Readonly<Record<string, Definition>>): Trouble[] {
  return Object.entries(machines).flatMap(([machine, definition]) =>
    tasksOf(definition).flatMap(([state, { Retry, Catch }]) => {
      const retried = Retry.flatMap(({ ErrorEquals, MaxAttempts }) => {
        const error = ErrorEquals.find(isCustom)
        return error ? [false, ...(MaxAttempts <= mostAttempts ? [true] : [])].map((always) => ({ error, always })) : []
      })
      const caught = Catch.flatMap(({ ErrorEquals }) => ErrorEquals.filter(isCustom))
      const isPatient = Retry.some(
        ({ ErrorEquals, MaxAttempts }) => !ErrorEquals.some(isCustom) && MaxAttempts > mostAttempts,
      )
      const fatal = ['Unexpected', ...caught].map((error) => ({ error, always: !isPatient }))
      return [...retried, ...fatal].map((trouble) => ({ machine, state, ...trouble }))
    }),
  )
}

const isCustom = (error: string): boolean => !error.startsWith('States.')

function tasksOf({ States }: Graph): [string, TaskState][] {
  return Object.entries(States).flatMap(([name, state]): [string, TaskState][] => {
    if (state.Type === 'Map') return tasksOf(state.ItemProcessor)
    return state.Type === 'Task' && state.Resource === 'arn:aws:states:::lambda:invoke' ? [[name, state]] : []
  })
}

/** Of the families that come to the state where a trouble is, the one that sees the most states. */
export function familyFor({ machine, state }: Trouble, families: readonly Family[]): Family | undefined {
  const statesIn = (family: Family) => new Set(family.flatMap(({ trail }) => visitsOf(trail).map((one) => one.state)))
  return families
    .filter((family) =>
      family.some((one) => one.machine === machine && visitsOf(one.trail).some((visit) => visit.state === state)),
    )
    .toSorted((one, other) => statesIn(other).size - statesIn(one).size)[0]
}

/**
 * Functions that answer in turn what they answered in a recording, and then the last of it again, but for the one in
 * trouble.
 */
export function functionsInTrouble(trouble: Trouble, family: Family): Record<string, TaskHandler> {
  const calls = family.flatMap(({ machine, trail }) =>
    visitsOf(trail).flatMap((visit) => visit.calls.map((call) => ({ ...call, machine, state: visit.state }))),
  )
  const functionOf = ({ parameters }: { parameters: Json }) =>
    String((parameters as { FunctionName?: Json }).FunctionName)
  const of = (name: string) => calls.filter((call) => functionOf(call) === name)
  const names = new Set(calls.filter(({ resource }) => resource.startsWith('lambda:')).map(functionOf))
  return Object.fromEntries(
    [...names].map((name) => {
      const results = of(name).flatMap(({ result }) => (result as { Payload?: Json } | undefined)?.Payload ?? [])
      const from = of(name).findIndex(({ machine, state }) => machine === trouble.machine && state === trouble.state)
      let count = -1
      const answer: TaskHandler = async () => {
        count++
        const fails = from >= 0 && (count === from || (trouble.always && count > from))
        if (fails) throw Object.assign(new Error(`${trouble.error} happened`), { name: trouble.error })
        return (results.length > 1 ? results.shift() : results[0]) ?? null
      }
      return [name, answer]
    }),
  )
}

/** Runs an execution to its end. What it and all that it started did, by ARN, without what is chance. */
export async function outcomesOf(machines: LoadedMachines, start: ExecutionStart): Promise<Record<string, Json>> {
  const outcomes: Record<string, Json> = {}
  const open = [await machines.start(start)]
  for (let arn = open.pop(); arn !== undefined; arn = open.pop()) {
    const ended = await machines.ended(arn)
    const trail = withoutStopped(ended.trail)
    outcomes[arn] = comparable(JSON.parse(JSON.stringify({ ...ended, trail })))
    open.push(...callsOf(trail).flatMap(nestedIn))
  }
  return outcomes
}
