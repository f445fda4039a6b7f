import { randomUUID } from 'node:crypto'
import type { Clock } from '../../../functions/lib/clock.ts'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { type Activity, noActivity } from '../virtual-clock.ts'
import { type Definition, type Graph, isDistributed, type TaskState } from './definition.ts'
import { type ChildStart, Execution, type Services } from './execution.ts'
import {
  type ExecutionStore,
  MemoryExecutionStore,
  type StartedBy,
  type StartedRecord,
  type TaskOutcome,
} from './execution-store.ts'
import type { ExecutionStatus, HistoryEvent } from './history.ts'
import { isExpression, type Json } from './jsonata-expression.ts'
import { noObjectFiles, type ObjectFiles } from './object-files.ts'
import { dataLimitBytes } from './state-data.ts'
import { StateError } from './state-error.ts'
import { StatesRefusal } from './states-refusal.ts'
import { readTaskToken } from './task-token.ts'

export { statesEntered } from './history.ts'

/** A function that tasks invoke. What it throws becomes the task's error, by the error's name. */
export type TaskHandler = (
  payload: unknown,
  /** The signal aborts when nobody waits for the answer any more. */
  context: { readonly signal: AbortSignal; readonly functionName: string },
) => Promise<unknown>

export interface InterpreterOptions {
  readonly clock: Clock
  /** By name; the name is the last part of the machine's ARN. */
  readonly machines: Readonly<Record<string, Definition>>
  /** By the name of the function: what FunctionName says, or the name in its ARN. */
  readonly handlers: Readonly<Record<string, TaskHandler>>
  /** Default: in memory. */
  readonly store?: ExecutionStore
  readonly activity?: Activity
  /** Where distributed Maps read their items and write their results. Default: nowhere. */
  readonly objects?: ObjectFiles
  readonly account?: string
  readonly region?: string
  /** For jitter and `$random`; default Math.random. */
  readonly random?: () => number
  /** How many executions of each machine are kept; the oldest closed ones go first. Default 1,000. */
  readonly keep?: number
}

export interface StartRequest {
  /** Name or ARN of the state machine. */
  readonly machine: string
  /** Default: a new UUID. */
  readonly name?: string | undefined
  readonly input?: Json
}

/** An execution, in the shape of DescribeExecution; times in ISO 8601, input and output as JSON text. */
export interface ExecutionDescription {
  readonly executionArn: string
  readonly stateMachineArn: string
  readonly machine: string
  readonly name: string
  readonly status: ExecutionStatus
  readonly startDate: string
  readonly stopDate?: string
  readonly input: string
  readonly output?: string
  readonly error?: string
  readonly cause?: string
  /** State transitions so far: states entered, and retries. */
  readonly transitions: number
}

/** What EventBridge tells of an execution; times within the detail in milliseconds since the epoch. */
export interface StatusEvent {
  readonly version: '0'
  readonly id: string
  readonly 'detail-type': 'Step Functions Execution Status Change'
  readonly source: 'aws.states'
  readonly account: string
  readonly time: string
  readonly region: string
  readonly resources: readonly string[]
  readonly detail: {
    readonly executionArn: string
    readonly stateMachineArn: string
    readonly name: string
    readonly status: ExecutionStatus
    readonly startDate: number
    readonly stopDate: number | null
    readonly input: string
    readonly output: string | null
    readonly error: string | null
    readonly cause: string | null
  }
}

/** 1 to 80 characters, without white space, brackets, wildcards, control characters and what URLs and shells use. */
const nameRule = /^[^\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}\p{Cs}\uFFFE\uFFFF]{1,80}$/u

/**
 * Runs state machines as Step Functions runs Standard workflows. Executions that were running when an earlier
 * interpreter over the same store ended go on from their last checkpoint, in a microtask after construction, so that
 * listeners can be added first: the state that they stood in is run again (inside a Map: all its iterations).
 *
 * Calls throw StatesRefusal with the error that Step Functions would answer. The constructor throws LockstepError
 * HandlerMissing when a machine names a function or a machine that is not there.
 */
export class Interpreter {
  private readonly options: InterpreterOptions
  private readonly services: Services
  private readonly region: string
  private readonly account: string
  /** Those that were given, and one for each distributed Map in them. */
  private readonly definitions: Readonly<Record<string, Definition>>
  /** In the order of their start. */
  private readonly executions = new Map<string, Execution>()
  private readonly statusListeners = new Set<(event: StatusEvent) => void>()
  private readonly eventListeners = new Set<(executionArn: string, event: HistoryEvent) => void>()
  private closed = false

  constructor(options: InterpreterOptions) {
    this.options = options
    this.region = options.region ?? 'us-east-1'
    this.account = options.account ?? '000000000000'
    this.definitions = { ...options.machines, ...machinesOfMaps(options.machines) }
    this.refuseMissing()
    this.services = {
      clock: options.clock,
      activity: options.activity ?? noActivity,
      store: options.store ?? new MemoryExecutionStore(),
      objects: options.objects ?? noObjectFiles,
      region: this.region,
      account: this.account,
      random: options.random ?? Math.random,
      invoke: (functionName, payload, signal) => this.invoke(functionName, payload, signal),
      startChild: (child) => this.startChild(child),
      onEvent: (executionArn, event) => tell(this.eventListeners, (listener) => listener(executionArn, event)),
      onStatus: (execution) => this.tellStatus(execution),
    }
    this.restore()
  }

  /**
   * Starts an execution. A name that is open with the same input is the same execution again. Refused with
   * StateMachineDoesNotExist, InvalidName, InvalidExecutionInput, and ExecutionAlreadyExists when the name is closed
   * or open with another input.
   */
  start({ machine, name = randomUUID(), input = {} }: StartRequest): { executionArn: string; startDate: string } {
    const { started } = this.begin(this.machineName(machine), name, input)
    return { executionArn: started.executionArn, startDate: isoTime(started.startedAt) }
  }

  /** Refused with ExecutionDoesNotExist. */
  describe(executionArn: string): ExecutionDescription {
    return describe(this.execution(executionArn))
  }

  /** Every event so far. Refused with ExecutionDoesNotExist. */
  history(executionArn: string): readonly HistoryEvent[] {
    return [...this.execution(executionArn).history]
  }

  /** Newest first. Refused with StateMachineDoesNotExist. */
  list({ machine, status }: { machine?: string; status?: ExecutionStatus } = {}): ExecutionDescription[] {
    const name = machine === undefined ? undefined : this.machineName(machine)
    return [...this.executions.values()]
      .filter((one) => name === undefined || one.started.machine === name)
      .filter((one) => status === undefined || one.status === status)
      .map(describe)
      .reverse()
  }

  /** Resolves with the description once the execution has closed. Refused with ExecutionDoesNotExist. */
  async finished(executionArn: string): Promise<ExecutionDescription> {
    const execution = this.execution(executionArn)
    await execution.closed
    return describe(execution)
  }

  /** Aborts an execution and the nested ones that it waits for; nothing when it has closed. Answers when it stopped. */
  stop(executionArn: string, { error, cause }: { error?: string; cause?: string } = {}): { stopDate: string } {
    const execution = this.execution(executionArn)
    execution.stop(error, cause)
    return { stopDate: describe(execution).stopDate ?? '' }
  }

  /** Ends the task that waits with this token. Refused with InvalidToken, TaskDoesNotExist, TaskTimedOut, InvalidOutput. */
  sendTaskSuccess(token: string, output: Json): void {
    if (Buffer.byteLength(JSON.stringify(output)) > dataLimitBytes) {
      throw new StatesRefusal('InvalidOutput', `The output is larger than ${dataLimitBytes} bytes.`, 'Send less.')
    }
    this.answer(token, { output })
  }

  /** Fails the task that waits with this token. Refused with InvalidToken, TaskDoesNotExist, TaskTimedOut. */
  sendTaskFailure(token: string, { error = '', cause = '' }: { error?: string; cause?: string } = {}): void {
    this.answer(token, { error, cause })
  }

  /** Puts off the heartbeat timeout. Refused with InvalidToken, TaskDoesNotExist, TaskTimedOut. */
  sendTaskHeartbeat(token: string): void {
    const { execution, task } = this.waitingTask(token)
    if (!execution.beat(task)) throw taskTimedOut()
  }

  /** What it is told at every start and end of an execution. A listener must not throw. Call the result to end it. */
  onStatus(listener: (event: StatusEvent) => void): () => void {
    this.statusListeners.add(listener)
    return () => this.statusListeners.delete(listener)
  }

  /** What it is told of every event of a history. A listener must not throw. Call the result to end it. */
  onEvent(listener: (executionArn: string, event: HistoryEvent) => void): () => void {
    this.eventListeners.add(listener)
    return () => this.eventListeners.delete(listener)
  }

  /** The machines by name, with their ARN. */
  machines(): { name: string; arn: string; definition: Definition }[] {
    return Object.entries(this.options.machines).map(([name, definition]) => ({
      name,
      arn: this.machineArn(name),
      definition,
    }))
  }

  /** Stops working. Handlers get their signal; what runs can go on in another interpreter over the same store. */
  async close(): Promise<void> {
    this.closed = true
    for (const execution of this.executions.values()) execution.detach()
  }

  private begin(machine: string, name: string, input: Json, startedBy?: StartedBy): Execution {
    if (this.closed)
      throw new StatesRefusal('ValidationException', 'The interpreter is closed.', 'Start the host again.')
    if (!nameRule.test(name)) {
      throw new StatesRefusal(
        'InvalidName',
        `"${name}" is no name of an execution.`,
        'Use up to 80 letters, digits, - and _.',
      )
    }
    const text = JSON.stringify(input)
    if (Buffer.byteLength(text) > dataLimitBytes) {
      throw new StatesRefusal(
        'InvalidExecutionInput',
        `The input is larger than ${dataLimitBytes} bytes.`,
        'Send less.',
      )
    }
    const executionArn = `arn:aws:states:${this.region}:${this.account}:execution:${machine}:${name}`
    const existing = this.executions.get(executionArn)
    if (existing) return sameExecution(existing, text)
    const startedAt = this.options.clock.now()
    const record: StartedRecord = { type: 'started', executionArn, machine, name, input: text, startedAt }
    const started = startedBy ? { ...record, startedBy } : record
    const execution = new Execution(this.services, started, this.definitions[machine])
    this.executions.set(executionArn, execution)
    execution.start()
    return execution
  }

  private startChild({ stateMachineArn, name, input, startedBy }: ChildStart): Execution {
    try {
      const machine = this.machineName(stateMachineArn)
      const existing = [...this.executions.values()].find((one) => isStartedBy(one, startedBy))
      return existing ?? this.begin(machine, name ?? randomUUID(), input, startedBy)
    } catch (error) {
      if (!(error instanceof StatesRefusal)) throw error
      throw new StateError(`StepFunctions.${error.code}Exception`, error.message)
    }
  }

  private async invoke(functionName: string, payload: Json, signal: AbortSignal): Promise<Json> {
    const name = nameOfFunction(functionName)
    const handler = Object.hasOwn(this.options.handlers, name) ? this.options.handlers[name] : undefined
    if (!handler) throw new StateError('Lambda.ResourceNotFoundException', `Function not found: ${functionName}`)
    try {
      const result = await handler(structuredClone(payload), { signal, functionName: name })
      return result === undefined ? null : JSON.parse(JSON.stringify(result))
    } catch (error) {
      throw lambdaError(error)
    }
  }

  private answer(token: string, outcome: TaskOutcome): void {
    const { execution, task } = this.waitingTask(token)
    if (!execution.answer(task, outcome)) throw taskTimedOut()
  }

  private waitingTask(token: string): { execution: Execution; task: string } {
    const subject = readTaskToken(this.services.store.tokenKey, token)
    if (!subject) throw new StatesRefusal('InvalidToken', 'This is not a task token.', 'Use the token as it was given.')
    const execution = this.executions.get(subject.executionArn)
    if (execution) return { execution, task: subject.task }
    throw new StatesRefusal('TaskDoesNotExist', `${subject.executionArn} is not kept any more.`, 'Start it again.')
  }

  private execution(executionArn: string): Execution {
    const execution = this.executions.get(executionArn)
    if (execution) return execution
    throw new StatesRefusal('ExecutionDoesNotExist', `There is no execution ${executionArn}.`, 'List the executions.')
  }

  private machineName(nameOrArn: string): string {
    const prefix = this.machineArn('')
    const name = nameOrArn.startsWith(prefix) ? nameOrArn.slice(prefix.length) : nameOrArn
    if (Object.hasOwn(this.definitions, name)) return name
    const known = Object.keys(this.options.machines).join(', ')
    throw new StatesRefusal(
      'StateMachineDoesNotExist',
      `There is no state machine ${nameOrArn}.`,
      `There is: ${known}.`,
    )
  }

  private machineArn(name: string): string {
    return `arn:aws:states:${this.region}:${this.account}:stateMachine:${name}`
  }

  private restore(): void {
    const { store } = this.services
    for (const records of store.load()) {
      const started = records[0]
      if (started?.type !== 'started') continue
      const execution = new Execution(this.services, started, this.definitions[started.machine])
      execution.restore(records)
      this.executions.set(started.executionArn, execution)
    }
    for (const machine of Object.keys(this.definitions)) this.prune(this.machineArn(machine))
    const running = [...this.executions.values()].filter(({ status }) => status === 'RUNNING')
    queueMicrotask(() => this.resume(running))
  }

  private resume(running: readonly Execution[]): void {
    if (this.closed) return
    for (const execution of running) {
      const { startedBy } = execution.started
      const parent = startedBy && this.executions.get(startedBy.executionArn)
      // Its parent ended, and the host before the parent's children could be stopped.
      if (startedBy?.awaited && parent && parent.status !== 'RUNNING')
        execution.stop(undefined, `Its parent ${parent.arn} has ended.`)
      else execution.resume()
    }
  }

  private tellStatus(execution: Execution): void {
    const event = statusEvent(execution, this.account, this.region)
    tell(this.statusListeners, (listener) => listener(event))
    if (execution.status !== 'RUNNING') this.prune(execution.stateMachineArn)
  }

  /** Each machine has its own limit: those that run often must not displace the others. */
  private prune(machineArn: string): void {
    const ofMachine = [...this.executions].filter(([, { stateMachineArn }]) => stateMachineArn === machineArn)
    let excess = ofMachine.length - (this.options.keep ?? 1_000)
    for (const [arn, execution] of ofMachine) {
      if (excess <= 0) return
      if (execution.status === 'RUNNING') continue
      this.executions.delete(arn)
      this.services.store.forget(arn)
      excess--
    }
  }

  private refuseMissing(): void {
    const missing = Object.entries(this.options.machines).flatMap(([machine, definition]) =>
      tasksOf(definition).flatMap(([state, task]) => {
        const target = targetOf(task)
        return target === undefined || this.isThere(target) ? [] : [`${machine}/${state}: ${target.name}`]
      }),
    )
    if (missing.length === 0) return
    throw new LockstepError(
      'HandlerMissing',
      `State machines name what is not there: ${missing.join('; ')}.`,
      'Correct the names, or give the interpreter what is missing.',
    )
  }

  private isThere({ kind, name }: Target): boolean {
    if (kind === 'function') return Object.hasOwn(this.options.handlers, nameOfFunction(name))
    return Object.keys(this.options.machines).some((machine) => name === machine || name === this.machineArn(machine))
  }
}

/** A distributed Map's items are run as executions of `<machine>/<label>`. */
function machinesOfMaps(machines: Readonly<Record<string, Definition>>): Record<string, Definition> {
  return Object.fromEntries(
    Object.entries(machines).flatMap(([machine, { States }]) =>
      Object.values(States).flatMap((state): [string, Definition][] => {
        if (state.Type !== 'Map' || !isDistributed(state)) return []
        const { StartAt, States } = state.ItemProcessor
        return [[`${machine}/${state.Label}`, { StartAt, States, TimeoutSeconds: undefined, text: '' }]]
      }),
    ),
  )
}

interface Target {
  readonly kind: 'function' | 'machine'
  readonly name: string
}

/** What a task names in plain text; undefined when an expression does. */
function targetOf({ Arguments }: TaskState): Target | undefined {
  if (typeof Arguments === 'string') return undefined
  const target: Target =
    'FunctionName' in Arguments
      ? { kind: 'function', name: Arguments.FunctionName }
      : { kind: 'machine', name: Arguments.StateMachineArn }
  return isExpression(target.name) ? undefined : target
}

function tasksOf({ States }: Graph): [string, TaskState][] {
  return Object.entries(States).flatMap(([name, state]): [string, TaskState][] => {
    if (state.Type === 'Task') return [[name, state]]
    return state.Type === 'Map' ? tasksOf(state.ItemProcessor) : []
  })
}

/** `arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]`, or the name itself. */
const nameOfFunction = (functionName: string): string =>
  functionName.startsWith('arn:') ? (functionName.split(':')[6] ?? '') : functionName

/** An error of a function as Lambda reports it, without its stack. */
function lambdaError(error: unknown): StateError {
  const [errorType, errorMessage] = error instanceof Error ? [error.name, error.message] : ['Error', String(error)]
  return new StateError(errorType, JSON.stringify({ errorMessage, errorType, trace: [] }))
}

const isStartedBy = ({ started }: Execution, by: StartedBy): boolean =>
  started.startedBy?.executionArn === by.executionArn && started.startedBy.task === by.task

function sameExecution(existing: Execution, input: string): Execution {
  if (existing.status === 'RUNNING' && existing.started.input === input) return existing
  throw new StatesRefusal(
    'ExecutionAlreadyExists',
    `Execution ${existing.arn} already exists${existing.status === 'RUNNING' ? ' with another input' : ''}.`,
    'Choose another name.',
  )
}

const taskTimedOut = (): StatesRefusal =>
  new StatesRefusal('TaskTimedOut', 'The task of this token is closed.', 'Look at the history of its execution.')

const isoTime = (ms: number): string => new Date(ms).toISOString()

function describe(execution: Execution): ExecutionDescription {
  const { started, status, stateMachineArn, transitions } = execution
  const last = status === 'RUNNING' ? undefined : execution.history.at(-1)
  const output = last?.executionSucceededEventDetails?.output
  const failure =
    last?.executionFailedEventDetails ?? last?.executionAbortedEventDetails ?? last?.executionTimedOutEventDetails
  return {
    executionArn: started.executionArn,
    stateMachineArn,
    machine: started.machine,
    name: started.name,
    status,
    startDate: isoTime(started.startedAt),
    ...(last && { stopDate: last.timestamp }),
    input: started.input,
    ...(output !== undefined && { output }),
    ...(failure?.error !== undefined && { error: failure.error }),
    ...(failure?.cause !== undefined && { cause: failure.cause }),
    transitions,
  }
}

function statusEvent(execution: Execution, account: string, region: string): StatusEvent {
  const { executionArn, stateMachineArn, name, status, input, output, error, cause, startDate, stopDate } =
    describe(execution)
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Step Functions Execution Status Change',
    source: 'aws.states',
    account,
    time: stopDate ?? startDate,
    region,
    resources: [executionArn],
    detail: {
      executionArn,
      stateMachineArn,
      name,
      status,
      startDate: Date.parse(startDate),
      stopDate: stopDate === undefined ? null : Date.parse(stopDate),
      input,
      output: output ?? null,
      error: error ?? null,
      cause: cause ?? null,
    },
  }
}

/** A listener that throws is a fault of the host: it surfaces there, and does not reach the execution. */
function tell<Listener>(listeners: ReadonlySet<Listener>, call: (listener: Listener) => void): void {
  for (const listener of listeners) {
    try {
      call(listener)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
