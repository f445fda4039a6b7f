import type { Clock } from '../../../functions/lib/clock.ts'
import type { Activity } from '../virtual-clock.ts'
import type { Definition } from './definition.ts'
import { type ChildStart, Execution, type Services } from './execution.ts'
import type { ExecutionStore, StartedRecord, TaskOutcome } from './execution-store.ts'
import type { ExecutionStatus, HistoryEvent } from './history.ts'
import type { Json } from './jsonata-expression.ts'
import { StateError } from './state-error.ts'
import { StatesRefusal } from './states-refusal.ts'
import { readTaskToken } from './task-token.ts'

/** A function as a state machine calls it. What it throws is what Retry and Catch match on, by the error's name. */
export type Handler = (payload: Json, context: { signal: AbortSignal; functionName: string }) => Promise<unknown>

export interface InterpreterOptions {
  readonly clock: Clock
  readonly activity: Activity
  readonly machines: Readonly<Record<string, Definition>>
  readonly handlers: Readonly<Record<string, Handler>>
  readonly store: ExecutionStore
  readonly account: string
  readonly region: string
  /** For jitter. Default: Math.random. */
  readonly random?: () => number
}

/** What DescribeExecution tells, and the transitions that Step Functions would charge for. */
export interface ExecutionDescription {
  readonly executionArn: string
  readonly stateMachineArn: string
  readonly machine: string
  readonly name: string
  readonly status: ExecutionStatus
  /** Milliseconds since the epoch. */
  readonly startDate: number
  readonly stopDate: number | undefined
  /** JSON text. */
  readonly input: string
  readonly output: string | undefined
  readonly error: string | undefined
  readonly cause: string | undefined
  readonly transitions: number
  /** The execution that started this one. */
  readonly parent: string | undefined
}

/** EventBridge's "Step Functions Execution Status Change". */
export interface StatusChange {
  readonly source: 'aws.states'
  readonly 'detail-type': 'Step Functions Execution Status Change'
  readonly detail: Omit<ExecutionDescription, 'machine' | 'transitions' | 'parent'>
}

/** Closed executions that are kept; open ones always are. */
const keptExecutions = 1_000

/**
 * Step Functions' Standard workflows for the machines that Lockstep has. Executions that the store holds from an
 * earlier run go on where they were as soon as it is made.
 */
export class Interpreter {
  private readonly options: InterpreterOptions
  private readonly executions = new Map<string, Execution>()
  private readonly services: Services
  private readonly eventListeners = new Set<(executionArn: string, event: HistoryEvent) => void>()
  private readonly statusListeners = new Set<(event: StatusChange) => void>()

  constructor(options: InterpreterOptions) {
    this.options = options
    const { clock, activity, store, region, account, random = Math.random } = options
    this.services = {
      ...{ clock, activity, store, region, account, random },
      invoke: (functionName, payload, signal) => this.invoke(functionName, payload, signal),
      startChild: (child) => this.startChild(child),
      onEvent: (arn, event) => {
        for (const listener of this.eventListeners) listener(arn, event)
      },
      onStatus: (execution) => this.tellStatus(execution),
    }
    this.restore()
  }

  /**
   * Starts an execution; answers its ARN. One that is open with the same name and input is that execution.
   * Throws StatesRefusal: StateMachineDoesNotExist, ExecutionAlreadyExists.
   */
  start({ machine, name, input }: { machine: string; name: string; input: Json }): string {
    return this.begin({ machine, name, input: JSON.stringify(input) }).arn
  }

  /** Throws StatesRefusal ExecutionDoesNotExist. */
  describe(executionArn: string): ExecutionDescription {
    return describe(this.find(executionArn))
  }

  /** Throws StatesRefusal ExecutionDoesNotExist. */
  history(executionArn: string): readonly HistoryEvent[] {
    return this.find(executionArn).history
  }

  /** Newest first. */
  list({ machine }: { machine?: string } = {}): ExecutionDescription[] {
    return [...this.executions.values()]
      .filter(({ started }) => machine === undefined || started.machine === machine)
      .map(describe)
      .reverse()
  }

  get machines(): Readonly<Record<string, Definition>> {
    return this.options.machines
  }

  machineArn(machine: string): string {
    return `arn:aws:states:${this.options.region}:${this.options.account}:stateMachine:${machine}`
  }

  /** Aborts an execution; nothing when it is closed. Throws StatesRefusal ExecutionDoesNotExist. */
  stop(executionArn: string, { error, cause }: { error?: string | undefined; cause?: string | undefined } = {}): void {
    this.find(executionArn).stop(error, cause)
  }

  /** Throws StatesRefusal: InvalidToken, TaskTimedOut. */
  sendTaskSuccess(token: string, output: Json): void {
    this.answer(token, { output })
  }

  /** Throws StatesRefusal: InvalidToken, TaskTimedOut. */
  sendTaskFailure(token: string, error: string, cause: string): void {
    this.answer(token, { error, cause })
  }

  /** Throws StatesRefusal: InvalidToken, TaskTimedOut. */
  sendTaskHeartbeat(token: string): void {
    const { execution, task } = this.taskOf(token)
    if (!execution.beat(task)) throw taskTimedOut()
  }

  /** Every history event from now on. Returns how to stop listening. */
  onEvent(listener: (executionArn: string, event: HistoryEvent) => void): () => void {
    this.eventListeners.add(listener)
    return () => this.eventListeners.delete(listener)
  }

  /** Every start and end of an execution from now on. Returns how to stop listening. */
  onStatus(listener: (event: StatusChange) => void): () => void {
    this.statusListeners.add(listener)
    return () => this.statusListeners.delete(listener)
  }

  /** Lets go of all executions as they stand: another interpreter over the same store goes on with them. */
  async close(): Promise<void> {
    for (const execution of this.executions.values()) execution.detach()
  }

  private begin(wanted: Omit<StartedRecord, 'type' | 'executionArn' | 'startedAt'>): Execution {
    const definition = this.options.machines[wanted.machine]
    if (!definition) {
      const known = Object.keys(this.options.machines).join(', ')
      throw new StatesRefusal('StateMachineDoesNotExist', `No state machine ${wanted.machine}.`, `There are ${known}.`)
    }
    const { region, account, clock } = this.options
    const executionArn = `arn:aws:states:${region}:${account}:execution:${wanted.machine}:${wanted.name}`
    const known = this.executions.get(executionArn)
    if (known) {
      if (known.status === 'RUNNING' && known.started.input === wanted.input) return known
      throw new StatesRefusal('ExecutionAlreadyExists', `Execution ${executionArn} exists.`, 'Choose another name.')
    }
    const execution = new Execution(
      this.services,
      { type: 'started', executionArn, startedAt: clock.now(), ...wanted },
      definition,
    )
    this.executions.set(executionArn, execution)
    this.forgetOldest()
    execution.start()
    return execution
  }

  private startChild({ stateMachineArn, name, input, startedBy }: ChildStart): Execution {
    const machine = stateMachineArn.split(':').at(-1) ?? ''
    const chosen = name ?? `${startedBy.executionArn.split(':').at(-1)}-${startedBy.task}`.slice(0, 80)
    const arn = `arn:aws:states:${this.options.region}:${this.options.account}:execution:${machine}:${chosen}`
    const mine = this.executions.get(arn)?.started.startedBy
    // The attempt that is run again after a restart finds its child, whatever became of it meanwhile.
    if (mine?.executionArn === startedBy.executionArn && mine.task === startedBy.task) return this.find(arn)
    try {
      return this.begin({ machine, name: chosen, input: JSON.stringify(input), startedBy })
    } catch (error) {
      if (error instanceof StatesRefusal) throw new StateError(`StepFunctions.${error.code}Exception`, error.message)
      throw error
    }
  }

  private async invoke(functionName: string, payload: Json, signal: AbortSignal): Promise<Json> {
    const handler = this.options.handlers[functionName]
    if (!handler) throw new StateError('Lambda.ResourceNotFoundException', `There is no function ${functionName}.`)
    try {
      const result = await handler(payload, { signal, functionName })
      return JSON.parse(JSON.stringify(result ?? null))
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error))
      throw new StateError(name, JSON.stringify({ errorType: name, errorMessage: message, trace: [] }))
    }
  }

  private answer(token: string, outcome: TaskOutcome): void {
    const { execution, task } = this.taskOf(token)
    if (!execution.answer(task, outcome)) throw taskTimedOut()
  }

  private taskOf(token: string): { execution: Execution; task: string } {
    const subject = readTaskToken(this.options.store.tokenKey, token)
    const execution = subject && this.executions.get(subject.executionArn)
    if (!subject || !execution) throw new StatesRefusal('InvalidToken', 'This is no task token.', 'Check it.')
    return { execution, task: subject.task }
  }

  private find(executionArn: string): Execution {
    const execution = this.executions.get(executionArn)
    if (execution) return execution
    throw new StatesRefusal('ExecutionDoesNotExist', `There is no execution ${executionArn}.`, 'Check its name.')
  }

  private restore(): void {
    const running: Execution[] = []
    for (const [started, ...records] of this.options.store.load()) {
      if (started?.type !== 'started') continue
      const execution = new Execution(this.services, started, this.options.machines[started.machine])
      execution.restore(records)
      this.executions.set(execution.arn, execution)
      if (execution.status === 'RUNNING') running.push(execution)
    }
    // Once the constructor has returned, so that listeners are there.
    queueMicrotask(() => {
      for (const execution of running) execution.resume()
    })
  }

  private forgetOldest(): void {
    const closed = [...this.executions.values()].filter(({ status }) => status !== 'RUNNING')
    for (const execution of closed.slice(0, Math.max(0, closed.length - keptExecutions))) {
      this.executions.delete(execution.arn)
      this.options.store.forget(execution.arn)
    }
  }

  private tellStatus(execution: Execution): void {
    const { machine: _, transitions: __, parent: ___, ...detail } = describe(execution)
    const event: StatusChange = {
      source: 'aws.states',
      'detail-type': 'Step Functions Execution Status Change',
      detail,
    }
    for (const listener of this.statusListeners) listener(event)
  }
}

function describe(execution: Execution): ExecutionDescription {
  const { started, status, history, transitions, arn, stateMachineArn } = execution
  const last = status === 'RUNNING' ? undefined : history.at(-1)
  const failure =
    last?.executionFailedEventDetails ?? last?.executionAbortedEventDetails ?? last?.executionTimedOutEventDetails
  return {
    executionArn: arn,
    stateMachineArn,
    machine: started.machine,
    name: started.name,
    status,
    startDate: started.startedAt,
    stopDate: last && Date.parse(last.timestamp),
    input: started.input,
    output: last?.executionSucceededEventDetails?.output,
    error: failure?.error,
    cause: failure?.cause,
    transitions,
    parent: started.startedBy?.executionArn,
  }
}

const taskTimedOut = () =>
  new StatesRefusal('TaskTimedOut', 'The task does not wait for this token any more.', 'It needs no answer.')
