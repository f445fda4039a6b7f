import type { Interpreter } from '../../../infra/local/states/interpreter.ts'
import type { Json } from '../../../infra/local/states/jsonata-expression.ts'
import { type Call, type ExecutionTrail, executionTrail, type Visit } from '../../contracts/machine-trail.ts'

/** An execution as an interpreter has run it, to its end or not. */
export interface RecordedExecution extends ExecutionTrail {
  readonly arn: string
  readonly machine: string
  readonly name: string
  readonly input: Json
}

/** An execution that was started from outside, and before all that it started itself. */
export type Family = readonly [RecordedExecution, ...RecordedExecution[]]

/** Every execution that an interpreter knows of. */
export function recordedFamilies(interpreter: Interpreter): Family[] {
  const all = interpreter.list().map(({ executionArn, machine, name, input }) => {
    const trail = executionTrail(interpreter.history(executionArn))
    return { arn: executionArn, machine, name, input: JSON.parse(input), ...trail }
  })
  const nested = new Set(all.flatMap(({ trail }) => startedBy(trail)))
  return all.filter(({ arn }) => !nested.has(arn)).map((root) => [root, ...descendants(root, all)])
}

function descendants(parent: RecordedExecution, all: readonly RecordedExecution[]): RecordedExecution[] {
  const children = all.filter(({ arn }) => startedBy(parent.trail).includes(arn))
  return children.flatMap((child) => [child, ...descendants(child, all)])
}

const startedBy = (trail: readonly Visit[]): string[] => callsOf(trail).flatMap(nestedIn)

/** The ARN of the execution that a call has started, if it did. */
export function nestedIn({ submitted, result }: Call): string[] {
  const arn = ((submitted ?? result) as { ExecutionArn?: unknown } | null | undefined)?.ExecutionArn
  return typeof arn === 'string' ? [arn] : []
}

/** Every state that was entered, those in iterations of a Map included. */
export function visitsOf(trail: readonly Visit[]): Visit[] {
  return trail.flatMap((visit) => [visit, ...visit.iterations.flatMap(({ visits }) => visitsOf(visits))])
}

/** Every attempt of every task. */
export const callsOf = (trail: readonly Visit[]): Call[] => visitsOf(trail).flatMap(({ calls }) => calls)

/** Whether people were waited for: how often they look and when they answer is in no recording of functions. */
export const waitsForPeople = (family: Family): boolean => tokenCalls(family).length > 0

/** Whether they were waited for until the time was over, which no engine shortens. */
export const waitsInVain = (family: Family): boolean =>
  tokenCalls(family).some(({ error }) => error === 'States.Timeout' || error === 'States.HeartbeatTimeout')

const tokenCalls = (family: Family): Call[] =>
  family.flatMap(({ trail }) => callsOf(trail).filter(({ resource }) => resource.endsWith('.waitForTaskToken')))

/** The same for families that took the same path: machines, states, attempts and errors, without the data. */
export function pathOf(family: Family): string {
  return JSON.stringify(family.map(({ machine, status, error, trail }) => [machine, status, error, stepsOf(trail)]))
}

const stepsOf = (trail: readonly Visit[]): Json =>
  trail.map(({ state, calls, iterations }) => [
    state,
    ...calls.map(({ error }) => error ?? ''),
    ...iterations.map(({ visits }) => stepsOf(visits)),
  ])
