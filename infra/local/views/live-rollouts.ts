import * as z from 'zod'
import { type Clock, systemClock } from '../../../functions/lib/clock.ts'
import { isSourceKind } from '../../../functions/lib/flux/source.ts'
import type { Kind } from '../../../functions/lib/kubernetes/cluster.ts'
import type { ClusterAccess } from '../../../functions/lib/kubernetes/cluster-access.ts'
import type { Ledger } from '../../../functions/lib/ledger/ledger.ts'
import { type Push, pushSchema } from '../../../functions/lib/push.ts'
import { gateMark } from '../../../functions/lib/rollout/gate-mark.ts'
import { observe, observeSource } from '../../../functions/lib/rollout/observe.ts'
import type { Rollout } from '../../../functions/lib/rollout/rollout.ts'
import type { HistoryEvent } from '../states/history.ts'
import { type ExecutionDescription, type Interpreter, statesEntered } from '../states/interpreter.ts'
import { ClusterView } from './cluster-view.ts'
import { type RolloutView, viewOf } from './rollout-view.ts'

export interface LiveRolloutsOptions {
  readonly interpreter: Interpreter
  readonly ledger: Ledger
  readonly clusters: ClusterAccess
  readonly clock: Clock
  /** Paces what listeners are told. Default: real time, because people read in real time. */
  readonly pace?: Clock
}

/** What has changed since listeners were last told. */
export interface LiveChange {
  /** Ids of rollouts. */
  readonly rollouts: ReadonlySet<string>
  /** ARNs of executions. */
  readonly executions: ReadonlySet<string>
}

/** Listeners are told ten times a second at most. */
const paceMs = 100
/** How many rollouts are kept for display; the oldest go first. */
const mostShown = 200
const machine = 'rollout'

const inputSchema = z.object({ cluster: z.string(), push: pushSchema })

interface Shown {
  readonly cluster: string
  readonly push: Push
  readonly arn: string
  state: string | undefined
  trouble: string | undefined
  /** Our own copy of the record; observations of the cluster are added to it until it is read again. */
  rollout: Rollout | undefined
  keys: ReadonlySet<string>
  view: RolloutView
}

/**
 * The rollouts of all clusters as they are now, for display. A rollout's record is written when a step ends; while a
 * step waits, what the cluster shows is judged here in the same way, and goes away with the next record.
 */
export class LiveRollouts {
  private readonly options: LiveRolloutsOptions
  private readonly pace: Clock
  /** In the order of their start. */
  private readonly shown = new Map<string, Shown>()
  private readonly clusters = new Map<string, ClusterView>()
  private readonly listeners = new Set<(change: LiveChange) => void>()
  private readonly unsubscribe: () => void
  /** Whose record has to be read, and whose view has to be made again. */
  private stale = new Set<string>()
  private dirty = new Set<string>()
  private executions = new Set<string>()
  private cancelFlush: (() => void) | undefined
  private flushing: Promise<void> = Promise.resolve()
  private closed = false

  constructor(options: LiveRolloutsOptions) {
    this.options = options
    this.pace = options.pace ?? systemClock
    this.unsubscribe = options.interpreter.onEvent((arn, event) => this.onEvent(arn, event))
    for (const execution of options.interpreter.list({ machine }).reverse()) this.add(execution)
  }

  /** Newest first. */
  list(): RolloutView[] {
    return [...this.shown.values()].map(({ view }) => view).reverse()
  }

  get(id: string): RolloutView | undefined {
    return this.shown.get(id)?.view
  }

  /** Tells of changes, ten times a second at most. Call the result to end it. */
  onChange(listener: (change: LiveChange) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** Reads what has changed now, without waiting for the pace. */
  async refresh(): Promise<void> {
    this.cancelFlush?.()
    this.cancelFlush = undefined
    await this.flush()
  }

  async close(): Promise<void> {
    this.closed = true
    this.unsubscribe()
    this.cancelFlush?.()
    for (const cluster of this.clusters.values()) cluster.close()
    await this.flushing
  }

  private onEvent(arn: string, event: HistoryEvent): void {
    this.executions.add(arn)
    const id = rolloutOf(arn)
    if (id !== undefined) this.onRolloutEvent(id, arn, event)
    this.schedule()
  }

  private onRolloutEvent(id: string, arn: string, event: HistoryEvent): void {
    const shown = this.shown.get(id) ?? this.add(this.options.interpreter.describe(arn))
    if (!shown) return
    if (event.stateEnteredEventDetails) {
      shown.state = event.stateEnteredEventDetails.name
      shown.trouble = undefined
    }
    const failed = event.taskFailedEventDetails ?? event.taskTimedOutEventDetails
    if (failed) shown.trouble = troubleOf(failed)
    this.stale.add(id)
  }

  private add(execution: ExecutionDescription): Shown | undefined {
    const { name, executionArn } = execution
    const input = inputSchema.safeParse(json(execution.input))
    // Somebody started it by hand with something else: there is nothing to show but its execution.
    if (!input.success) return undefined
    const { cluster, push } = input.data
    const state = statesEntered(this.options.interpreter.history(executionArn)).at(-1)
    const start = { cluster, push, state, trouble: undefined, rollout: undefined }
    const view = viewOf({ ...start, execution, gates: new Map() })
    const shown: Shown = { ...start, arn: executionArn, keys: new Set(), view }
    this.shown.set(name, shown)
    for (const oldest of this.shown.keys()) {
      if (this.shown.size <= mostShown) break
      this.shown.delete(oldest)
    }
    this.stale.add(name)
    this.schedule()
    return shown
  }

  private clusterOf(name: string): ClusterView {
    const known = this.clusters.get(name)
    if (known) return known
    const { clusters, clock } = this.options
    const view = new ClusterView({ name, clusters, clock, onChange: (key) => this.onObject(name, key) })
    this.clusters.set(name, view)
    return view
  }

  private onObject(cluster: string, key: string | undefined): void {
    for (const [id, shown] of this.shown) {
      if (shown.cluster !== cluster || !isLive(shown.view)) continue
      const concerns = key === undefined || shown.keys.has(key) || isSourceKind(key.split('/', 1)[0] as Kind)
      if (concerns) this.dirty.add(id)
    }
    if (this.dirty.size > 0) this.schedule()
  }

  /** Judges what is waited for by what the cluster shows. */
  private look({ cluster, rollout }: Shown): void {
    if (!rollout) return
    const { workloads, sources } = this.clusterOf(cluster)
    // Until it has been fetched, the source serves what was there before.
    const now = this.options.clock.now()
    if (rollout.commit !== undefined) for (const source of sources.values()) observeSource(rollout, source, now)
    for (const object of rollout.objects) {
      // What is pending is opened by a step that writes it down itself.
      if (object.phase !== 'open' && object.phase !== 'failed') continue
      const workload = workloads.get(object.key)
      // What we hold without a gate is held by an unlock. Only to be shown: who decides on it asks the ledger.
      const heldByUnlock = workload?.suspendedByUsOnly && workload.gate === undefined
      if (workload) observe(rollout, object, workload, sources.get(object.source ?? ''), now, { heldByUnlock })
    }
  }

  private gatesOf({ cluster, rollout }: Shown): Map<string, boolean> {
    const gates = new Map<string, boolean>()
    if (!rollout) return gates
    const { workloads } = this.clusterOf(cluster)
    const mark = gateMark(rollout)
    for (const { key, phase } of rollout.objects) {
      const workload = phase === 'pending' ? workloads.get(key) : undefined
      if (workload) gates.set(key, workload.suspended && workload.gate === mark)
    }
    return gates
  }

  private schedule(): void {
    if (this.cancelFlush || this.closed) return
    this.cancelFlush = this.pace.after(paceMs, () => {
      this.cancelFlush = undefined
      void this.flush()
    })
  }

  /** One at a time: two readings of one record must not overtake each other. */
  private flush(): Promise<void> {
    this.flushing = this.flushing.then(() => this.flushOnce())
    return this.flushing
  }

  private async flushOnce(): Promise<void> {
    const { stale, dirty, executions } = this
    this.stale = new Set()
    this.dirty = new Set()
    this.executions = new Set()
    await Promise.all([...stale].map((id) => this.read(id)))
    const rollouts = new Set([...stale, ...dirty])
    for (const id of rollouts) this.show(id)
    if (this.closed || rollouts.size + executions.size === 0) return
    for (const listener of this.listeners) listener({ rollouts, executions })
  }

  private async read(id: string): Promise<void> {
    const shown = this.shown.get(id)
    if (!shown) return
    try {
      const stored = await this.options.ledger.readRollout(id)
      shown.rollout = stored?.value
      shown.keys = new Set(stored?.value.objects.map(({ key }) => key))
    } catch {
      // What was read before is shown; the next event of the execution reads again.
    }
  }

  private show(id: string): void {
    const shown = this.shown.get(id)
    const execution = shown && this.describe(shown.arn)
    if (!shown || !execution) return
    if (execution.status === 'RUNNING') {
      this.clusterOf(shown.cluster).open()
      this.look(shown)
    }
    shown.view = viewOf({ ...shown, execution, gates: this.gatesOf(shown) })
  }

  /** Undefined once the interpreter has forgotten it. */
  private describe(arn: string): ExecutionDescription | undefined {
    try {
      return this.options.interpreter.describe(arn)
    } catch {
      return undefined
    }
  }
}

const isLive = ({ status }: RolloutView) => status === 'running' || status === 'held'

/** `arn:aws:states:<region>:<account>:execution:<machine>:<name>` */
function rolloutOf(arn: string): string | undefined {
  const [name, of] = arn.split(':').reverse()
  return of === machine ? name : undefined
}

/** Lambda puts a JSON document with `errorMessage` into Cause. */
function troubleOf({ error, cause }: { error?: string | undefined; cause?: string | undefined }): string {
  const told = z.object({ errorMessage: z.string() }).safeParse(json(cause ?? ''))
  const text = told.success ? told.data.errorMessage : cause
  return [error, text]
    .filter((part) => part)
    .join(': ')
    .slice(0, 240)
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
