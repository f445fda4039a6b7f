import { z } from 'zod'
import { alarm } from './alarm.ts'
import { type Branch, taskKey } from './branch.ts'
import type { TaskState } from './definition.ts'
import type { Execution } from './execution.ts'
import type { Position, TaskOutcome } from './execution-store.ts'
import { whole } from './history.ts'
import type { Json, Scope } from './jsonata-expression.ts'
import { jsonText, wholeNumber } from './state-data.ts'
import { StateError } from './state-error.ts'
import { Stopped } from './stopped.ts'

/** One attempt of a task. */
interface Attempt {
  readonly execution: Execution
  readonly branch: Branch
  readonly key: string
  readonly arguments: Json
  readonly token: string | undefined
  readonly heartbeatSeconds: number | undefined
  readonly resource: { readonly resourceType: string; readonly resource: string }
}

const json = z.custom<Json>((value) => value !== undefined)
const invokeArguments = z.strictObject({ FunctionName: z.string(), Payload: json.default({}) })
const startArguments = z.strictObject({
  StateMachineArn: z.string(),
  Name: z.string().optional(),
  Input: json.default({}),
})

/**
 * Runs one attempt of a task, within its time limits, and records it. Answers the task's result. Throws StateError
 * when the attempt fails.
 */
export async function runTask(
  execution: Execution,
  branch: Branch,
  state: TaskState,
  position: Position,
): Promise<Json> {
  const key = taskKey(branch, position)
  const token = waitsForToken(state) ? execution.token(key) : undefined
  const scope = execution.scope(branch, position, token)
  const args = await execution.evaluate(branch, state.Arguments as Json, scope, 'Arguments')
  const timeoutInSeconds = await limit(execution, branch, state.TimeoutSeconds, scope, 'TimeoutSeconds')
  const heartbeat = waitsForToken(state) ? state.HeartbeatSeconds : undefined
  const heartbeatInSeconds = await limit(execution, branch, heartbeat, scope, 'HeartbeatSeconds')
  const resource = resourceOf(state)
  const parameters = withoutToken(jsonText(args, `The input of task "${position.state}"`), token)
  const limits = { ...(timeoutInSeconds && { timeoutInSeconds }), ...(heartbeatInSeconds && { heartbeatInSeconds }) }
  const { region } = execution.services
  execution.emit(branch, [
    { type: 'TaskScheduled', taskScheduledEventDetails: { ...resource, region, parameters, ...limits } },
    { type: 'TaskStarted', taskStartedEventDetails: resource },
  ])
  const work: Attempt = {
    execution,
    branch,
    key,
    arguments: args,
    token,
    heartbeatSeconds: heartbeatInSeconds,
    resource,
  }
  // A function that is called again after a restart gets its whole time; what goes on elsewhere keeps its deadline.
  const from = state.Resource === 'arn:aws:states:::lambda:invoke' ? execution.services.clock.now() : position.attemptAt
  const deadline = timeoutInSeconds === undefined ? undefined : from + timeoutInSeconds * 1000
  try {
    const result = await bounded(execution, branch, deadline, (signal) => start(work, state, signal))
    const output = jsonText(result, `The result of task "${position.state}"`)
    execution.emit(branch, [
      { type: 'TaskSucceeded', taskSucceededEventDetails: { ...resource, output, outputDetails: whole } },
    ])
    return result
  } catch (error) {
    if (error instanceof StateError) recordFailure(work, error)
    throw error
  }
}

const waitsForToken = (state: TaskState) => state.Resource === 'arn:aws:states:::lambda:invoke.waitForTaskToken'

function start(attempt: Attempt, state: TaskState, signal: AbortSignal): Promise<Json> {
  switch (state.Resource) {
    case 'arn:aws:states:::lambda:invoke':
      return invoke(attempt, signal)
    case 'arn:aws:states:::lambda:invoke.waitForTaskToken':
      return waitForToken(attempt, signal)
    case 'arn:aws:states:::states:startExecution.sync:2':
      return runNested(attempt, signal)
    case 'arn:aws:states:::states:startExecution':
      return startAlone(attempt)
  }
}

/** `arn:aws:states:::lambda:invoke` is resource `invoke` of type `lambda`. */
function resourceOf({ Resource }: TaskState): Attempt['resource'] {
  const [resourceType = '', ...resource] = Resource.split(':').slice(5)
  return { resourceType, resource: resource.join(':') }
}

async function limit(
  execution: Execution,
  branch: Branch,
  seconds: number | string | undefined,
  scope: Scope,
  field: string,
): Promise<number | undefined> {
  if (seconds === undefined) return undefined
  return wholeNumber(await execution.evaluate(branch, seconds, scope, field), field, 1)
}

/** A token is a secret: whoever has it can answer for the task. It goes to the function and nowhere else. */
const withoutToken = (text: string, token: string | undefined): string =>
  token === undefined ? text : text.replaceAll(token, '***')

function recordFailure({ execution, branch, resource }: Attempt, { error, failure: cause }: StateError): void {
  const details = { ...resource, error, cause }
  const timedOut = error === 'States.Timeout' || error === 'States.HeartbeatTimeout'
  execution.emit(branch, [
    timedOut
      ? { type: 'TaskTimedOut', taskTimedOutEventDetails: details }
      : { type: 'TaskFailed', taskFailedEventDetails: details },
  ])
}

/** `work`, cut off by its deadline or by the end of the branch; its signal then aborts. */
function bounded(
  execution: Execution,
  branch: Branch,
  deadline: number | undefined,
  work: (signal: AbortSignal) => Promise<Json>,
): Promise<Json> {
  const controller = new AbortController()
  return new Promise<Json>((resolve, reject) => {
    const cut = (error: Error) => {
      end()
      controller.abort(error)
      reject(error)
    }
    const stop = () => cut(new Stopped())
    const timeOut = () => cut(new StateError('States.Timeout', 'The task took longer than its TimeoutSeconds.'))
    const cancel = deadline === undefined ? () => {} : alarm(execution.services.clock, deadline, timeOut)
    const end = () => {
      cancel()
      branch.signal.removeEventListener('abort', stop)
    }
    branch.signal.addEventListener('abort', stop, { once: true })
    work(controller.signal).then(
      (result) => {
        end()
        resolve(result)
      },
      (error) => cut(error),
    )
  })
}

async function invoke(attempt: Attempt, signal: AbortSignal): Promise<Json> {
  const { FunctionName, Payload } = parse(invokeArguments, attempt.arguments)
  const result = await attempt.execution.services.invoke(FunctionName, Payload, signal)
  return { ExecutedVersion: '$LATEST', Payload: result, StatusCode: 200 }
}

/** The function is told the token; the task ends when somebody answers it, or when the function fails. */
function waitForToken(attempt: Attempt, signal: AbortSignal): Promise<Json> {
  const { execution, key, heartbeatSeconds } = attempt
  return new Promise<Json>((resolve, reject) => {
    let open = true
    let cancelHeartbeat = () => {}
    const end = () => {
      open = false
      cancelHeartbeat()
      forget()
    }
    const fail = (error: unknown) => {
      if (!open) return
      end()
      reject(error)
    }
    const settle = (outcome: TaskOutcome) => {
      if ('error' in outcome) return fail(new StateError(outcome.error, outcome.cause))
      if (open) end()
      resolve(outcome.output)
    }
    const beat = () => {
      cancelHeartbeat()
      if (heartbeatSeconds === undefined) return
      const { clock } = execution.services
      const missed = new StateError('States.HeartbeatTimeout', `No heartbeat within ${heartbeatSeconds} seconds.`)
      cancelHeartbeat = alarm(clock, clock.now() + heartbeatSeconds * 1000, () => fail(missed))
    }
    signal.addEventListener('abort', () => open && end(), { once: true })
    beat()
    let forget = () => {}
    const answered = execution.hasAnswer(key)
    forget = execution.awaitToken(key, { settle, beat })
    if (answered) return forget()
    invoke(attempt, signal)
      .then((output) => open && recordSubmitted(attempt, output))
      .catch(fail)
  })
}

function recordSubmitted({ execution, branch, resource, token }: Attempt, submitted: Json): void {
  const output = withoutToken(jsonText(submitted, 'The answer of the function'), token)
  const details = { ...resource, output, outputDetails: whole }
  execution.emit(branch, [{ type: 'TaskSubmitted', taskSubmittedEventDetails: details }])
}

/** Starts an execution of another machine and waits for its end. Stops it when the task is cut off. */
async function runNested(attempt: Attempt, signal: AbortSignal): Promise<Json> {
  const { execution } = attempt
  const child = startChild(attempt, true)
  recordSubmitted(attempt, startAnswer(child))
  const stop = () => {
    if (!execution.isDetached) child.stop(undefined, `Its parent ${execution.arn} no longer waits for it.`)
  }
  signal.addEventListener('abort', stop, { once: true })
  await child.closed
  signal.removeEventListener('abort', stop)
  const description = nestedDescription(child)
  if (child.status === 'SUCCEEDED') return description
  throw new StateError('States.TaskFailed', JSON.stringify({ ...description, Input: child.started.input }))
}

/** Starts an execution of another machine, which then is on its own: it outlives who started it. */
async function startAlone(attempt: Attempt): Promise<Json> {
  return startAnswer(startChild(attempt, false))
}

function startChild({ execution, key, arguments: args }: Attempt, awaited: boolean): Execution {
  const { StateMachineArn, Name, Input } = parse(startArguments, args)
  const startedBy = { executionArn: execution.arn, task: key, awaited }
  return execution.services.startChild({ stateMachineArn: StateMachineArn, name: Name, input: Input, startedBy })
}

function startAnswer({ arn, started }: Execution): { [field: string]: Json } {
  return { ExecutionArn: arn, StartDate: started.startedAt }
}

function nestedDescription(child: Execution): { [field: string]: Json } {
  const last = child.history.at(-1)
  const output = last?.executionSucceededEventDetails?.output
  const failure =
    last?.executionFailedEventDetails ?? last?.executionAbortedEventDetails ?? last?.executionTimedOutEventDetails
  return {
    ExecutionArn: child.arn,
    Input: child.input,
    InputDetails: { Included: true },
    Name: child.started.name,
    ...(output !== undefined && { Output: JSON.parse(output), OutputDetails: { Included: true } }),
    ...(failure?.error !== undefined && { Error: failure.error }),
    ...(failure?.cause !== undefined && { Cause: failure.cause }),
    StartDate: child.started.startedAt,
    StateMachineArn: child.stateMachineArn,
    Status: child.status,
    StopDate: Date.parse(last?.timestamp ?? ''),
  }
}

function parse<Value>(schema: z.ZodType<Value>, value: Json): Value {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new StateError('States.Runtime', `The Arguments of the task are not right: ${z.prettifyError(parsed.error)}`)
}
