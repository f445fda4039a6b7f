import type { Clock } from '../../../functions/lib/clock.ts'
import type { Activity } from '../virtual-clock.ts'
import { alarm } from './alarm.ts'
import { type Branch, retryCount, taskKey } from './branch.ts'
import type { Definition } from './definition.ts'
import type {
  ExecutionRecord,
  ExecutionStore,
  Position,
  StartedBy,
  StartedRecord,
  TaskOutcome,
} from './execution-store.ts'
import {
  type ClosedStatus,
  type EventBody,
  type ExecutionStatus,
  type HistoryEvent,
  statusAfter,
  whole,
} from './history.ts'
import { evaluate, type Json, type Scope } from './jsonata-expression.ts'
import type { ObjectFiles } from './object-files.ts'
import { runGraph } from './run-states.ts'
import { StateError } from './state-error.ts'
import { Stopped } from './stopped.ts'
import { taskToken } from './task-token.ts'

/** Events of one execution, as of Standard workflows. */
export const historyLimit = 25_000

/** What executions share. */
export interface Services {
  readonly clock: Clock
  readonly activity: Activity
  readonly store: ExecutionStore
  readonly objects: ObjectFiles
  readonly region: string
  readonly account: string
  /** From 0 up to, not including, 1. */
  readonly random: () => number
  /** Calls a function; throws StateError with what Step Functions would report. */
  invoke(functionName: string, payload: Json, signal: AbortSignal): Promise<Json>
  /** Starts an execution for a task, or finds the one that this attempt has started. Throws StateError. */
  startChild(child: ChildStart): Execution
  onEvent(executionArn: string, event: HistoryEvent): void
  /** After the status changed. */
  onStatus(execution: Execution): void
}

export interface ChildStart {
  readonly stateMachineArn: string
  readonly name: string | undefined
  readonly input: Json
  readonly startedBy: StartedBy
}

/** A task that waits for its token. */
export interface WaitingTask {
  settle(outcome: TaskOutcome): void
  beat(): void
}

/** How an execution ended. */
export interface Closing {
  readonly status: ClosedStatus
  readonly output?: Json
  readonly error?: string | undefined
  readonly cause?: string | undefined
}

/** One execution: what is known of it, what it has recorded, and its run through its states. */
export class Execution {
  readonly started: StartedRecord
  readonly input: Json
  readonly history: HistoryEvent[] = []
  readonly services: Services
  /** State transitions so far: states entered, and retries. */
  transitions = 0
  /** Settles when the execution has closed; never when the host closes first. */
  readonly closed: Promise<void>

  private readonly definition: Definition | undefined
  private readonly controller = new AbortController()
  private readonly waiting = new Map<string, WaitingTask>()
  private readonly answers = new Map<string, TaskOutcome>()
  private readonly waited = new Set<string>()
  private checkpoint: Position | undefined
  private resumedVisit: number | undefined
  private detached = false
  private cancelTimeout = () => {}
  private settleClosed = () => {}

  /** `definition` is undefined when a restart no longer knows the machine. */
  constructor(services: Services, started: StartedRecord, definition: Definition | undefined) {
    this.services = services
    this.started = started
    this.input = JSON.parse(started.input)
    this.definition = definition
    this.closed = new Promise((resolve) => {
      this.settleClosed = resolve
    })
  }

  get arn(): string {
    return this.started.executionArn
  }

  get status(): ExecutionStatus {
    return statusAfter(this.history.at(-1))
  }

  get stateMachineArn(): string {
    const { region, account } = this.services
    return `arn:aws:states:${region}:${account}:stateMachine:${this.started.machine}`
  }

  private get roleArn(): string {
    return `arn:aws:iam::${this.services.account}:role/${this.started.machine}`
  }

  /** Records the start and begins to run. */
  start(): void {
    this.services.store.append(this.arn, this.started)
    void this.run(this.topBranch())
  }

  /** Takes over what was kept of it. */
  restore(records: readonly ExecutionRecord[]): void {
    for (const record of records) {
      if (record.type === 'answer') this.answers.set(record.task, record.outcome)
      if (record.type !== 'step') continue
      this.history.push(...record.events)
      this.transitions = record.transitions
      this.checkpoint = record.checkpoint ?? this.checkpoint
    }
    if (this.status !== 'RUNNING') this.settleClosed()
    else this.resumedVisit = this.checkpoint?.visit
  }

  /** Goes on from the last checkpoint. The state there is run again. */
  resume(): void {
    if (this.status !== 'RUNNING' || this.detached) return
    const known = !this.checkpoint || Object.hasOwn(this.definition?.States ?? {}, this.checkpoint.state)
    if (this.definition && known) return void this.run(this.topBranch())
    const where = this.definition ? `state "${this.checkpoint?.state}"` : `state machine "${this.started.machine}"`
    this.close({ status: 'ABORTED', error: 'States.Runtime', cause: `There is no ${where} any more.` })
  }

  /** Ends it where it stands; nothing when it has ended. Running handlers get their signal, children are stopped. */
  stop(error: string | undefined, cause: string | undefined): void {
    this.close({ status: 'ABORTED', error, cause })
  }

  /** The host closes: nothing is recorded any more, and the execution can be resumed from the store. */
  detach(): void {
    this.detached = true
    this.cancelTimeout()
    this.controller.abort(new Stopped())
  }

  /** Whether tasks end because the host closes, which leaves children running. */
  get isDetached(): boolean {
    return this.detached
  }

  /**
   * Takes the answer to a task's token. False when the task does not wait (any more). After a restart an answer is
   * taken even before the task has come to wait again.
   */
  answer(task: string, outcome: TaskOutcome): boolean {
    if (!this.isWaiting(task) || this.answers.has(task)) return false
    this.services.store.append(this.arn, { type: 'answer', task, outcome })
    this.answers.set(task, outcome)
    this.waiting.get(task)?.settle(outcome)
    return true
  }

  /** Takes a sign of life for a task. False when the task does not wait (any more). */
  beat(task: string): boolean {
    if (!this.isWaiting(task) || this.answers.has(task)) return false
    this.waiting.get(task)?.beat()
    return true
  }

  private isWaiting(task: string): boolean {
    if (this.status !== 'RUNNING' || this.detached) return false
    if (this.waiting.has(task)) return true
    const { checkpoint } = this
    if (!checkpoint || checkpoint.visit !== this.resumedVisit || this.waited.has(task)) return false
    const attempt = taskKey(this.topBranch(), checkpoint)
    return task === attempt || task.startsWith(`${attempt}[`)
  }

  /** The token of a task's attempt. */
  token(task: string): string {
    return taskToken(this.services.store.tokenKey, { executionArn: this.arn, task })
  }

  /** Waits for a task's token to be answered; an answer from before a restart counts. Returns how to stop waiting. */
  awaitToken(task: string, waitingTask: WaitingTask): () => void {
    this.waited.add(task)
    this.waiting.set(task, waitingTask)
    const answer = this.answers.get(task)
    if (answer) waitingTask.settle(answer)
    return () => this.waiting.delete(task)
  }

  hasAnswer(task: string): boolean {
    return this.answers.has(task)
  }

  /**
   * Adds events to the history, as one write. Throws Stopped when the execution has ended, and StateError
   * States.Runtime when the history is full.
   */
  emit(branch: Branch, bodies: readonly EventBody[], checkpoint?: Position): void {
    if (this.detached || this.status !== 'RUNNING') throw new Stopped()
    const all = [...branch.pending, ...bodies]
    if (this.history.length + all.length >= historyLimit) {
      throw new StateError('States.Runtime', `The execution reached the maximum of ${historyLimit} history events.`)
    }
    branch.pending = []
    this.write(branch, all, checkpoint)
  }

  private write(branch: Branch, bodies: readonly EventBody[], checkpoint?: Position): void {
    const timestamp = new Date(this.services.clock.now()).toISOString()
    const events = bodies.map((body): HistoryEvent => {
      const { lastEventId: previousEventId } = branch
      branch.lastEventId = this.history.push({ id: this.history.length + 1, previousEventId, timestamp, ...body })
      return this.history.at(-1) as HistoryEvent
    })
    this.transitions += bodies.filter(({ stateEnteredEventDetails }) => stateEnteredEventDetails).length
    if (checkpoint) this.checkpoint = checkpoint
    this.services.store.append(this.arn, {
      type: 'step',
      events,
      transitions: this.transitions,
      ...(checkpoint && { checkpoint }),
    })
    for (const event of events) this.services.onEvent(this.arn, event)
  }

  /** Keeps a retry: it counts as a transition, and a restart goes on with it. */
  recordRetry(branch: Branch, position: Position): void {
    this.transitions++
    this.emit(branch, [], branch.key === '' ? position : undefined)
  }

  /** What expressions see while a state is at `position`; `token` only where a task is given its arguments. */
  scope(branch: Branch, position: Position, token?: string): Scope {
    const { clock, random } = this.services
    const { item } = branch
    const context: Json = {
      Execution: {
        Id: this.arn,
        Input: this.input,
        Name: this.started.name,
        RoleArn: this.roleArn,
        StartTime: new Date(this.started.startedAt).toISOString(),
      },
      State: {
        Name: position.state,
        EnteredTime: new Date(position.enteredAt).toISOString(),
        RetryCount: retryCount(position),
      },
      StateMachine: { Id: this.stateMachineArn, Name: this.started.machine },
      ...(token !== undefined && { Task: { Token: token } }),
      ...(item && { Map: { Item: { ...item } } }),
    }
    return { states: { input: position.input, context }, variables: position.variables, now: clock.now(), random }
  }

  /** Evaluates a template while the clock is told of it. Throws StateError, and Stopped when the branch ended meanwhile. */
  async evaluate(branch: Branch, template: Json, scope: Scope, field: string): Promise<Json> {
    const end = this.services.activity.begin()
    try {
      const value = await evaluate(template, scope, field)
      if (branch.signal.aborted) throw new Stopped()
      return value
    } finally {
      end()
    }
  }

  private topBranch(): Branch {
    const graph = this.definition ?? { StartAt: '', States: {} }
    const { signal } = this.controller
    return { graph, key: '', signal, item: undefined, lastEventId: this.history.length, pending: [] }
  }

  private async run(branch: Branch): Promise<void> {
    if (this.history.length === 0) this.recordStart(branch)
    this.armTimeout()
    try {
      const output = await runGraph(this, branch, { input: this.input, variables: {} }, this.checkpoint)
      this.close({ status: 'SUCCEEDED', output }, branch)
    } catch (error) {
      if (error instanceof Stopped) return
      const failed = error instanceof StateError ? error : new StateError('States.Runtime', String(error))
      this.close({ status: 'FAILED', error: failed.error, cause: failed.failure }, branch)
    }
  }

  private recordStart(branch: Branch): void {
    const { input } = this.started
    const executionStartedEventDetails = { input, inputDetails: whole, roleArn: this.roleArn }
    this.write(branch, [{ type: 'ExecutionStarted', executionStartedEventDetails }])
    this.services.onStatus(this)
  }

  private armTimeout(): void {
    const seconds = this.definition?.TimeoutSeconds
    if (seconds === undefined) return
    const { clock } = this.services
    this.cancelTimeout = alarm(clock, this.started.startedAt + seconds * 1000, () =>
      this.close({
        status: 'TIMED_OUT',
        error: 'States.Timeout',
        cause: `The execution took over ${seconds} seconds.`,
      }),
    )
  }

  private close(closing: Closing, branch = this.topBranch()): void {
    if (this.detached || this.status !== 'RUNNING') return
    this.write(branch, [...branch.pending, ...this.interrupted(closing), closingEvent(closing)])
    this.cancelTimeout()
    this.controller.abort(new Stopped())
    this.settleClosed()
    this.services.onStatus(this)
  }

  /** The event of the state that was cut off. */
  private interrupted({ status }: Closing): EventBody[] {
    const type = this.definition?.States[this.checkpoint?.state ?? '']?.Type
    const cut = status === 'ABORTED' && (type === 'Task' || type === 'Wait' || type === 'Map')
    return cut ? [{ type: `${type}StateAborted` }] : []
  }
}

function closingEvent({ status, output, error, cause }: Closing): EventBody {
  if (status === 'SUCCEEDED') {
    const details = { output: JSON.stringify(output), outputDetails: whole }
    return { type: 'ExecutionSucceeded', executionSucceededEventDetails: details }
  }
  const failure = { ...(error && { error }), ...(cause && { cause }) }
  if (status === 'FAILED') return { type: 'ExecutionFailed', executionFailedEventDetails: failure }
  if (status === 'ABORTED') return { type: 'ExecutionAborted', executionAbortedEventDetails: failure }
  return { type: 'ExecutionTimedOut', executionTimedOutEventDetails: failure }
}
