import { alarm } from './alarm.ts'
import type { Beginning, Branch } from './branch.ts'
import { type Catcher, type ChoiceState, isDistributed, type State, type WaitState } from './definition.ts'
import type { Execution } from './execution.ts'
import type { Position } from './execution-store.ts'
import { whole } from './history.ts'
import type { Json, Scope } from './jsonata-expression.ts'
import { nextRetry } from './retry.ts'
import { runDistributedMap } from './run-distributed-map.ts'
import { runMap } from './run-map.ts'
import { runTask } from './run-task.ts'
import { jsonText, wholeNumber } from './state-data.ts'
import { errorMatches, StateError } from './state-error.ts'
import { Stopped } from './stopped.ts'

/** What a state did, before its Output and Assign are applied. */
interface Outcome {
  readonly rules: { readonly Output?: Json | undefined; readonly Assign?: Record<string, Json> | undefined }
  /** The output without an Output field. */
  readonly output: Json
  readonly next: string | undefined
  /** Parts of `$states` that only now exist. */
  readonly states: { readonly result?: Json; readonly errorOutput?: Json }
}

interface Exit {
  readonly output: Json
  readonly variables: Record<string, Json>
  readonly next: string | undefined
}

/**
 * Runs a graph of states to its end, from its start or from `position`. Its last exit event is left pending, for the
 * caller to write with the event that follows. Throws StateError when a state fails for good, Stopped when the branch
 * is cut off.
 */
export async function runGraph(
  execution: Execution,
  branch: Branch,
  beginning: Beginning,
  position?: Position,
): Promise<Json> {
  let at = position ?? enter(execution, branch, { ...beginning, state: branch.graph.StartAt, visit: 1 })
  for (;;) {
    const { output, variables, next } = await runState(execution, branch, at)
    if (next === undefined) return output
    at = enter(execution, branch, { input: output, variables, state: next, visit: at.visit + 1 })
  }
}

function enter(
  execution: Execution,
  branch: Branch,
  entry: Beginning & { readonly state: string; readonly visit: number },
): Position {
  const now = execution.services.clock.now()
  const position = { ...entry, variables: { ...entry.variables }, enteredAt: now, retries: [], attemptAt: now }
  const stateEnteredEventDetails = { name: entry.state, input: JSON.stringify(entry.input), inputDetails: whole }
  const type = `${stateOf(branch, position).Type}StateEntered`
  execution.emit(branch, [{ type, stateEnteredEventDetails }], branch.key === '' ? position : undefined)
  return position
}

function stateOf(branch: Branch, { state }: Position): State {
  const found = branch.graph.States[state]
  if (!found) throw new StateError('States.Runtime', `There is no state "${state}".`)
  return found
}

/** Runs a state with its retries and catchers, and records its exit. */
async function runState(execution: Execution, branch: Branch, from: Position): Promise<Exit> {
  const state = stateOf(branch, from)
  for (let position = from; ; ) {
    try {
      await sleepUntil(execution, branch, position.attemptAt)
      const outcome = await attempt(execution, branch, state, position)
      return await exit(execution, branch, state, position, outcome)
    } catch (error) {
      if (!(error instanceof StateError)) throw error
      recordEvaluation(execution, branch, position, error)
      const again = retryOf(execution, state, position, error)
      if (!again) return await caught(execution, branch, state, position, error)
      execution.recordRetry(branch, again)
      position = again
    }
  }
}

async function attempt(execution: Execution, branch: Branch, state: State, position: Position): Promise<Outcome> {
  const { input } = position
  switch (state.Type) {
    case 'Task':
      return withResult(state, await runTask(execution, branch, state, position))
    case 'Map': {
      if (isDistributed(state)) return withResult(state, await runDistributedMap(execution, branch, state, position))
      const iterate = (iteration: Branch, beginning: Beginning) => runGraph(execution, iteration, beginning)
      return withResult(state, await runMap(execution, branch, state, position, iterate))
    }
    case 'Choice':
      return choose(execution, branch, state, position)
    case 'Wait':
      await sleepUntil(execution, branch, await endOfWait(execution, branch, state, position))
      return { rules: state, output: input, next: state.Next, states: {} }
    case 'Pass':
      return { rules: state, output: input, next: state.Next, states: {} }
    case 'Succeed':
      return { rules: state, output: input, next: undefined, states: {} }
    case 'Fail': {
      const scope = execution.scope(branch, position)
      const error = await execution.evaluate(branch, state.Error ?? '', scope, 'Error')
      const cause = await execution.evaluate(branch, state.Cause ?? '', scope, 'Cause')
      throw new StateError(String(error), String(cause))
    }
  }
}

const withResult = (state: Outcome['rules'] & { readonly Next?: string | undefined }, result: Json): Outcome => ({
  rules: state,
  output: result,
  next: state.Next,
  states: { result },
})

async function choose(execution: Execution, branch: Branch, state: ChoiceState, position: Position): Promise<Outcome> {
  const scope = execution.scope(branch, position)
  for (const [index, rule] of state.Choices.entries()) {
    const field = `Choices[${index}]/Condition`
    const holds = await execution.evaluate(branch, rule.Condition, scope, field)
    if (typeof holds !== 'boolean') {
      throw new StateError('States.QueryEvaluationError', `The field '${field}' did not yield true or false.`, field)
    }
    if (holds) return { rules: rule, output: position.input, next: rule.Next, states: {} }
  }
  if (state.Default === undefined) {
    throw new StateError('States.NoChoiceMatched', `No choice of "${position.state}" matched, and it has no Default.`)
  }
  return { rules: state, output: position.input, next: state.Default, states: {} }
}

/** Counts from when the state was entered, so that a restart does not prolong it. */
async function endOfWait(execution: Execution, branch: Branch, state: WaitState, position: Position): Promise<number> {
  const scope = execution.scope(branch, position)
  if (state.Seconds !== undefined) {
    const seconds = wholeNumber(await execution.evaluate(branch, state.Seconds, scope, 'Seconds'), 'Seconds', 0)
    return position.enteredAt + seconds * 1000
  }
  const timestamp = await execution.evaluate(branch, state.Timestamp ?? null, scope, 'Timestamp')
  const end = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN
  if (!Number.isNaN(end)) return end
  throw new StateError('States.QueryEvaluationError', `The field 'Timestamp' did not yield a time.`, 'Timestamp')
}

async function exit(
  execution: Execution,
  branch: Branch,
  state: State,
  position: Position,
  { rules, output: plain, next, states }: Outcome,
): Promise<Exit> {
  const scope = execution.scope(branch, position)
  const seen: Scope = { ...scope, states: { ...scope.states, ...states } }
  const output = rules.Output === undefined ? plain : await execution.evaluate(branch, rules.Output, seen, 'Output')
  const assigned = await execution.evaluate(branch, rules.Assign ?? {}, seen, 'Assign')
  jsonText(assigned, `The variables that state "${position.state}" assigns`)
  const text = jsonText(output, `The output of state "${position.state}"`)
  const stateExitedEventDetails = { name: position.state, output: text, outputDetails: whole }
  branch.pending.push({ type: `${state.Type}StateExited`, stateExitedEventDetails })
  return { output, variables: { ...position.variables, ...(assigned as Record<string, Json>) }, next }
}

function recordEvaluation(execution: Execution, branch: Branch, { state }: Position, error: StateError): void {
  if (error.location === undefined) return
  const { error: name, failure: cause, location } = error
  execution.emit(branch, [
    { type: 'EvaluationFailed', evaluationFailedEventDetails: { error: name, cause, location, state } },
  ])
}

/** The position of the next attempt; undefined when the error is not retried (any more). */
function retryOf(execution: Execution, state: State, position: Position, error: StateError): Position | undefined {
  if (state.Type !== 'Task' && state.Type !== 'Map') return undefined
  const { clock, random } = execution.services
  const retry = nextRetry(state.Retry, position.retries, error.error, random)
  if (!retry) return undefined
  const retries = state.Retry.map((_, index) => (position.retries[index] ?? 0) + (index === retry.retrier ? 1 : 0))
  return { ...position, retries, attemptAt: clock.now() + retry.delayMs }
}

async function caught(
  execution: Execution,
  branch: Branch,
  state: State,
  position: Position,
  error: StateError,
): Promise<Exit> {
  const catchers: readonly Catcher[] = state.Type === 'Task' || state.Type === 'Map' ? state.Catch : []
  const catcher = catchers.find(({ ErrorEquals }) => errorMatches(ErrorEquals, error.error))
  if (!catcher) throw error
  const errorOutput = { Error: error.error, Cause: error.failure }
  const outcome = { rules: catcher, output: errorOutput, next: catcher.Next, states: { errorOutput } }
  return exit(execution, branch, state, position, outcome)
}

/** Waits until the clock has reached `at`; throws Stopped when the branch is cut off first. */
function sleepUntil(execution: Execution, { signal }: Branch, at: number): Promise<void> {
  if (at <= execution.services.clock.now()) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const stop = () => {
      cancel()
      reject(new Stopped())
    }
    const cancel = alarm(execution.services.clock, at, () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
  })
}
