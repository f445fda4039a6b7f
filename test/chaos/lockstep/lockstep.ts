import { readFileSync } from 'node:fs'
import { step as judge } from '../../../functions/judge/handler.ts'
import { readLink } from '../../../functions/lib/approval/approval-link.ts'
import { recordDecision } from '../../../functions/lib/approval/record-decision.ts'
import { silentEvents } from '../../../functions/lib/events.ts'
import { type Fleet, parseFleet } from '../../../functions/lib/fleet.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { type ApprovalPorts, bindStep, type LockPorts, type Step } from '../../../functions/lib/step.ts'
import { unlockRequest } from '../../../functions/lib/unlock/run/unlock-request.ts'
import { step as unlockAct } from '../../../functions/unlock-act/handler.ts'
import { step as unlockAsk } from '../../../functions/unlock-ask/handler.ts'
import { step as unlockAssess } from '../../../functions/unlock-assess/handler.ts'
import { step as unlockBackUp } from '../../../functions/unlock-back-up/handler.ts'
import { step as unlockBegin } from '../../../functions/unlock-begin/handler.ts'
import { step as unlockConclude } from '../../../functions/unlock-conclude/handler.ts'
import { step as unlockDelete } from '../../../functions/unlock-delete/handler.ts'
import { step as unlockFence } from '../../../functions/unlock-fence/handler.ts'
import { step as unlockPutBack } from '../../../functions/unlock-put-back/handler.ts'
import { step as unlockVerify } from '../../../functions/unlock-verify/handler.ts'
import { step as unlockWatch } from '../../../functions/unlock-watch/handler.ts'
import { InterpreterTaskTokens } from '../../../infra/local/interpreter-task-tokens.ts'
import { loadDefinition } from '../../../infra/local/states/definition.ts'
import { MemoryExecutionStore } from '../../../infra/local/states/execution-store.ts'
import { Interpreter, type StatusEvent, type TaskHandler } from '../../../infra/local/states/interpreter.ts'
import { StatesRefusal } from '../../../infra/local/states/states-refusal.ts'
import type { ChaosClock } from '../chaos-clock.ts'
import type { Random } from '../random.ts'
import type { Truth } from '../truth.ts'
import type { World } from '../world/world.ts'
import { ChaosLedger } from './chaos-ledger.ts'
import { clusterWith, type Double, storeWith } from './double.ts'
import { type Call, type Counts, type Fault, type Faults, noFault } from './fault.ts'
import { Invocation } from './invocation.ts'
import { ChaosStates } from './states.ts'

type AllPorts = LockPorts & ApprovalPorts

// biome-ignore lint/suspicious/noExplicitAny: steps of all inputs and outputs
const steps: Readonly<Record<string, Step<any, any, AllPorts>>> = {
  judge,
  'unlock-act': unlockAct,
  'unlock-ask': unlockAsk,
  'unlock-assess': unlockAssess,
  'unlock-back-up': unlockBackUp,
  'unlock-begin': unlockBegin,
  'unlock-conclude': unlockConclude,
  'unlock-delete': unlockDelete,
  'unlock-fence': unlockFence,
  'unlock-put-back': unlockPutBack,
  'unlock-verify': unlockVerify,
  'unlock-watch': unlockWatch,
}

/** An API server works on a request for a minute at most. In milliseconds. */
const longestRequestMs = 58_000

/** Those that the state machine calls. */
const machineFunctions = new Set(
  Object.keys(steps).filter((name) => !['judge', 'unlock-act', 'unlock-watch'].includes(name)),
)

const machine = loadDefinition(
  readFileSync(new URL('../../../statemachines/guarded-unlock.asl.json', import.meta.url), 'utf8'),
  Object.fromEntries(
    ['Assess', 'Ask', 'Begin', 'Fence', 'BackUp', 'Delete', 'PutBack', 'Verify', 'Conclude'].map((name) => [
      `Unlock${name}Function`,
      `unlock-${name.replace(/[A-Z]/g, (letter, at: number) => `${at > 0 ? '-' : ''}${letter.toLowerCase()}`)}`,
    ]),
  ),
)

const minute = 60_000

/** How long a function may take that no state machine waits for, in milliseconds. */
const functionMs = 5 * minute
/** How long any of them may take at most. */
const longestFunctionMs = 15 * minute

/** How long a lock must be old, and how long nothing may move: as short as leaves time for things to happen. */
const fleet: Fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging', region: 'us-east-1', environment: 'staging' }],
  locks: {
    ...{ dynamodb: ['locks'], s3: ['states'], minimumAge: { plan: '2m', apply: '5m' }, quietWindow: '3m', every: '2m' },
    policy: { staging: { plan: 'auto', apply: 'auto' } },
    ...{ approvers: ['ana', 'bea'], approvalFor: '30m' },
  },
})

const linkSecrets = { current: 'a secret of the tests, which is long enough' }

const cluster = 'staging'

/**
 * What a scan does for a cluster, in this order, whatever of it fails. It is the order of the state machine `lock-scan`,
 * which would take most of the time of a run.
 */
export const scanOrder = ['judge', 'unlock-watch', 'unlock-act'] as const

interface Started {
  readonly start: readonly { readonly name: string; readonly input: object }[]
}

export interface LockstepOptions {
  readonly clock: ChaosClock
  readonly random: Random
  readonly truth: Truth
  readonly world: World
  readonly faults: Faults
  /** Before a call of a port, by its number: others may act. */
  readonly beforeCall: (call: Call) => void
  /** Of the events that tell of the end of an execution, how many are lost, from 0 to 1. */
  readonly eventsLost: number
  readonly double?: Double | undefined
  /** What happens, for people. */
  readonly trace?: ((line: string) => void) | undefined
}

/** Lockstep itself: its functions and its state machine as they are deployed, over stores in memory. */
export class Lockstep {
  ledger: ChaosLedger
  /** Calls of ports so far. */
  calls = 0
  private unlockCalls = 0
  private changes = 0
  private readonly options: LockstepOptions
  private readonly store = new MemoryExecutionStore()
  private readonly states: ChaosStates
  private readonly tasks = new InterpreterTaskTokens(() => this.interpreter)
  private interpreter: Interpreter
  private writing: Invocation | undefined
  /** Those that have not ended by themselves. */
  private readonly invocations = new Set<Invocation>()
  private scans = 0
  private scanning = 0
  private isCalm = false

  constructor(options: LockstepOptions) {
    const { clock, world } = options
    this.options = options
    this.ledger = new ChaosLedger(clock, options)
    this.states = new ChaosStates(world.state, clock)
    this.interpreter = this.newInterpreter()
  }

  /** Whether Lockstep writes at this moment, and for which unlock. */
  get writer(): { readonly unlock: string | undefined } | undefined {
    if (!this.writing) return undefined
    const { unlock } = this.writing.payload as { unlock?: string }
    return { unlock }
  }

  /** Scans from now on. */
  start(): void {
    this.options.clock.after(this.options.random.between(90_000, 2 * minute), () => {
      void this.scan()
      this.start()
    })
  }

  /** Nothing goes wrong any more. */
  calm(): void {
    this.isCalm = true
  }

  /** No execution runs, no scan, and no process that nobody waits for any more. */
  get isIdle(): boolean {
    const isWorking = [...this.invocations].some(({ isAlive }) => isAlive)
    return this.scanning === 0 && !isWorking && this.interpreter.list({ status: 'RUNNING' }).length === 0
  }

  /** How many executions of the unlock there were. */
  get unlocks(): number {
    return this.interpreter.list().length
  }

  /** What `lock-scan` does. */
  async scan(): Promise<void> {
    const execution = `scan-${++this.scans}`
    this.scanning++
    try {
      const payloads = {
        judge: { execution, cluster },
        'unlock-watch': { cluster },
        'unlock-act': { clusters: [cluster] },
      }
      for (const name of scanOrder) {
        // One that fails leaves the others to do their work.
        const answer = await this.invoke(name, payloads[name]).catch(() => undefined)
        if (name === 'unlock-act') this.startAll(answer as Started | undefined)
      }
    } finally {
      this.scanning--
    }
  }

  private startAll(answer: Started | undefined): void {
    for (const { name, input } of answer?.start ?? []) this.startUnlock(name, input)
  }

  private startUnlock(name: string, input: object): void {
    try {
      this.options.trace?.(`start ${name}`)
      this.interpreter.start({ machine: 'guarded-unlock', name, input: JSON.parse(JSON.stringify(input)) })
    } catch (error) {
      if (!(error instanceof StatesRefusal) || error.code !== 'ExecutionAlreadyExists') throw error
    }
  }

  /** Somebody stops an execution of the unlock that runs. Its function hears nothing of it, and takes its time. */
  stopAnExecution(): void {
    const [running] = this.interpreter.list({ status: 'RUNNING' })
    if (!running) return
    const { random } = this.options
    for (const invocation of this.invocations) {
      const { unlock } = invocation.payload as { unlock?: string }
      if (unlock === running.name) invocation.forsake(() => random.between(0, longestRequestMs))
    }
    this.interpreter.stop(running.executionArn)
  }

  /** The local host is killed, and started again: every process ends, and what runs is gone on with. */
  async restartHost(): Promise<void> {
    for (const invocation of this.invocations) invocation.kill()
    await this.interpreter.close()
    this.interpreter = this.newInterpreter()
  }

  /** The ledger loses everything, and with it whoever was at work: what an unlock has left stands on the cluster alone. */
  loseLedger(): void {
    for (const invocation of this.invocations) invocation.kill()
    for (const { executionArn } of this.interpreter.list({ status: 'RUNNING' })) this.interpreter.stop(executionArn)
    this.ledger = new ChaosLedger(this.options.clock, this.options)
  }

  private newInterpreter(): Interpreter {
    const { clock, random } = this.options
    const handlers: Record<string, TaskHandler> = {}
    for (const name of Object.keys(steps)) {
      handlers[name] = (payload, { signal }) => this.invoke(name, payload, signal)
    }
    const interpreter = new Interpreter({
      ...{ clock, handlers, store: this.store, machines: { 'guarded-unlock': machine }, random: random.next },
    })
    interpreter.onStatus((event) => this.ended(event))
    return interpreter
  }

  /** EventBridge tells the watchdog, at least once, unless it does not. */
  private ended({ detail: { name, status, error } }: StatusEvent): void {
    const { clock, random, eventsLost, trace } = this.options
    trace?.(`execution ${name} ${status}`)
    if (!['FAILED', 'ABORTED', 'TIMED_OUT'].includes(status) || random.chance(this.isCalm ? 0 : eventsLost)) return
    const tell = (tries: number) => {
      this.invoke('unlock-watch', { detail: { name, status, error } }).catch(() => {
        if (tries < 3) clock.after(tries * minute, () => tell(tries + 1))
      })
    }
    clock.after(random.between(100, 30_000), () => tell(1))
  }

  private async invoke(name: string, payload: unknown, signal?: AbortSignal): Promise<unknown> {
    const { clock, trace } = this.options
    const step = steps[name]
    if (!step) throw Object.assign(new Error(name), { name: 'Lambda.ResourceNotFoundException' })
    const invocation = new Invocation(name, payload, {
      clock,
      fault: (call) => this.fault(call),
      as: (by, effect) => this.as(by, effect),
    })
    this.invocations.add(invocation)
    // A function is ended when its time is over; one whose execution was stopped goes on.
    signal?.addEventListener('abort', () => {
      if ((signal.reason as { error?: string } | undefined)?.error === 'States.Timeout') invocation.kill()
    })
    const cancel = clock.after(signal ? longestFunctionMs : functionMs, () => invocation.timeOut())
    trace?.(`  ${name} ${JSON.stringify(payload)}`)
    try {
      const work = bindStep(step, () => this.portsOf(invocation))(payload)
      // Whoever is not waited for any more still works.
      const over = () => {
        cancel()
        this.invocations.delete(invocation)
      }
      work.then(over, over)
      const answer = await Promise.race([work, invocation.crashed])
      trace?.(`  ${name} -> ${JSON.stringify(answer)}`)
      return answer
    } catch (error) {
      trace?.(`  ${name} failed: ${String(error)}`)
      throw error
    }
  }

  private fault(call: Omit<Call, Counts>): Fault {
    const isOfUnlock = machineFunctions.has(call.by)
    const isChange = isOfUnlock && call.writes && (call.port === 'cluster' || call.port === 'locks')
    const whole: Call = {
      ...call,
      at: this.options.clock.now(),
      index: this.calls++,
      ofUnlock: isOfUnlock ? this.unlockCalls++ : undefined,
      change: isChange ? this.changes++ : undefined,
    }
    if (!this.isCalm) this.options.beforeCall(whole)
    const fault = this.isCalm ? noFault : this.options.faults.at(whole)
    if (fault.kind !== 'none') this.options.trace?.(`    ${whole.index} ${call.port}.${call.method}: ${fault.kind}`)
    return fault
  }

  private as<T>(invocation: Invocation, effect: () => T): T {
    const { api } = this.options.world
    const before = this.writing
    this.writing = invocation
    api.isLockstep = true
    try {
      return effect()
    } finally {
      this.writing = before
      api.isLockstep = before !== undefined
    }
  }

  private portsOf(invocation: Invocation): AllPorts {
    const { clock, world } = this.options
    const { double } = this.options
    const cluster = invocation.port('cluster', clusterWith(double, invocation.functionName, world.api.cluster))
    const stores = [world.place.table, world.place.files].map((store) =>
      invocation.port('locks', storeWith(double, store)),
    )
    const states = invocation.port('states', this.states)
    return {
      ...{ clock, fleet, log: silentLog, sliceMs: 10 * minute },
      ledger: invocation.port('ledger', this.ledger),
      clusters: { connect: async () => cluster },
      locks: { stores, states, keeper: states },
      events: invocation.port('events', { publish: async () => {} }),
      metrics: silentMetrics,
      tasks: invocation.port('tasks', this.tasks),
      approvers: { send: async ({ approver, link }) => this.askPerson(approver, link) },
      linkSecrets: async () => linkSecrets,
      approvalUrl: 'https://lockstep.example/approve/',
    }
  }

  /** A person who is asked decides some time later, or not at all. */
  private askPerson(by: string, link: string): void {
    const { clock, random, trace } = this.options
    const decision = random.pick(['approve', 'approve', 'approve', 'deny', undefined] as const)
    const read = readLink(link.slice(link.lastIndexOf('/') + 1), linkSecrets, clock.now())
    if (decision === undefined || typeof read === 'string') return
    const { approval, judged } = read
    clock.after(random.between(1_000, 4 * minute), () => {
      trace?.(`* ${by}: ${decision} ${approval}`)
      const quiet = { log: silentLog, events: silentEvents, metrics: silentMetrics }
      const ports = { ...quiet, ledger: this.ledger, tasks: this.tasks, clock, fleet }
      recordDecision({ approval, judged, by, decision }, ports).catch(() => {})
    })
  }

  /** A person asks for the unlock of whatever is locked, dead or alive. */
  async ask(): Promise<void> {
    for (const { key, evidence } of await this.ledger.listObservations('staging')) {
      const lock = evidence.lock.record?.id
      if (lock === undefined) continue
      const attempt = Math.floor(this.options.clock.now() / minute)
      const asked = { place: key, lock, cluster: 'staging', requestedBy: 'ana', reason: 'it hangs', attempt }
      const { name, input } = unlockRequest(asked)
      this.startUnlock(name, input)
    }
  }
}
