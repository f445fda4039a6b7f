import * as z from 'zod'
import { type Clock, sleep } from '../../../functions/lib/clock.ts'
import { requestedAt } from '../../../functions/lib/flux/annotations.ts'
import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesObject, ObjectStore, StoreEvent } from '../kubernetes/object-store.ts'
import { type Condition, removeConditions, type Status, setCondition, timestamp } from './conditions.ts'
import { type Durations, durationMs } from './durations.ts'
import type { Faults } from './faults.ts'
import { isServed, keyOf } from './kinds.ts'
import type { Outcome, Reconcile, Trigger } from './reconcile-log.ts'

/** What all controllers of one simulated cluster share. */
export interface ControllerContext {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly durations: Durations
  readonly faults: Faults
  readonly reconciles: Reconcile[]
}

/** When to look again, and why; undefined waits for an event. */
export type Again = { readonly after: number; readonly trigger: Trigger } | undefined

export interface LoopOptions<Spec, S extends Status> {
  readonly resource: Resource
  readonly spec: z.ZodType<Spec>
  /** Field manager of status writes. */
  readonly manager: string
  /** How many objects run at the same time (`--concurrent`). */
  readonly concurrency: number
  readonly reconcile: (run: Run<Spec, S>) => Promise<Again>
  /** Keys of the objects whose changes matter to this one, such as its source. */
  readonly references?: (spec: Spec, namespace: string, name: string) => readonly string[]
}

interface Entry {
  readonly key: string
  object: KubernetesObject
  references: readonly string[]
  /** Why it waits for its turn; undefined when it does not. */
  queued?: Trigger | undefined
  running: boolean
  wake?: { readonly at: number; readonly cancel: () => void } | undefined
}

/** Annotation on an object: how many seconds one run of it takes in total, in place of the controller's default. */
export const secondsAnnotation = 'simulation.lockstep.dev/seconds'

/**
 * The work queue of one kind, as controller-runtime has it: an object is never worked on twice at the same time, what
 * happens meanwhile makes it run once more, and an earlier wake-up wins over a later one. Objects are read from a
 * cache that the store's events keep, as an informer does.
 */
export class ReconcileLoop<Spec, S extends Status> {
  private readonly options: LoopOptions<Spec, S>
  private readonly context: ControllerContext
  private readonly entries = new Map<string, Entry>()
  private readonly dependents = new Map<string, Set<string>>()
  private queue: Entry[] = []
  private running = 0
  private pumping = false
  private stopping = new AbortController()
  private unsubscribe = () => {}

  constructor(context: ControllerContext, options: LoopOptions<Spec, S>) {
    this.context = context
    this.options = options
    this.stopping.abort()
  }

  /** Lists, watches, and works on every object; on those in `settled` only after their interval. */
  start(settled: ReadonlySet<string> = new Set()): void {
    if (!this.stopping.signal.aborted || !isServed(this.context.store, this.options.resource)) return
    this.stopping = new AbortController()
    this.unsubscribe = this.context.store.subscribe(this.options.resource, (event) => this.observe(event))
    for (const object of this.context.store.list(this.options.resource).items) {
      const entry = this.track(object)
      if (settled.has(entry.key)) this.wakeAfter(entry, intervalOf(object), 'interval')
      else this.enqueue(entry.key, 'controller-start')
    }
  }

  /** Forgets everything and cuts running work short where it is: nothing more is written. */
  stop(): void {
    this.unsubscribe()
    this.stopping.abort()
    for (const entry of this.entries.values()) entry.wake?.cancel()
    this.entries.clear()
    this.dependents.clear()
    this.queue = []
    this.running = 0
  }

  enqueue(key: string, trigger: Trigger): void {
    const entry = this.entries.get(key)
    if (!entry || entry.queued) return
    entry.queued = trigger
    this.queue.push(entry)
    this.pump()
  }

  /** Every object that references `key`. */
  referring(key: string): string[] {
    return [...(this.dependents.get(key) ?? [])]
  }

  /** The cached object; undefined when there is none. Not to be changed. */
  object(key: string): KubernetesObject | undefined {
    return this.entries.get(key)?.object
  }

  /**
   * A run that nothing triggered, to write what an object looks like that was reconciled before the simulation began.
   * Undefined when its spec cannot be read: starting the loop says so in its status.
   */
  runOf(object: KubernetesObject): Run<Spec, S> | undefined {
    const spec = this.options.spec.safeParse(object.spec)
    if (!spec.success) return undefined
    const run = new Run<Spec, S>(this.context, this.options, keyOf(object), object, 'created', this.stopping.signal)
    run.spec = spec.data
    return run
  }

  private observe(event: StoreEvent): void {
    const key = keyOf(event.object)
    if (event.type === 'DELETED') {
      this.forget(key)
      return
    }
    const before = this.entries.get(key)?.object
    this.track(event.object)
    if (!before) this.enqueue(key, 'created')
    else if (before.metadata.generation !== event.object.metadata.generation) this.enqueue(key, 'generation')
    else if (tokenOf(before) !== tokenOf(event.object)) this.enqueue(key, 'requestedAt')
  }

  private track(object: KubernetesObject): Entry {
    const key = keyOf(object)
    const references = this.referencesOf(object)
    const entry = this.entries.get(key)
    if (!entry) {
      const created: Entry = { key, object, references, running: false }
      this.entries.set(key, created)
      this.index(created, references)
      return created
    }
    entry.object = object
    if (references.join() !== entry.references.join()) this.index(entry, references)
    return entry
  }

  private index(entry: Entry, references: readonly string[]): void {
    for (const reference of entry.references) this.dependents.get(reference)?.delete(entry.key)
    for (const reference of references) {
      const keys = this.dependents.get(reference)
      if (keys) keys.add(entry.key)
      else this.dependents.set(reference, new Set([entry.key]))
    }
    entry.references = references
  }

  private referencesOf(object: KubernetesObject): readonly string[] {
    const spec = this.options.spec.safeParse(object.spec)
    if (!spec.success) return []
    return this.options.references?.(spec.data, object.metadata.namespace ?? '', object.metadata.name) ?? []
  }

  private forget(key: string): void {
    const entry = this.entries.get(key)
    if (!entry) return
    entry.wake?.cancel()
    this.index(entry, [])
    this.entries.delete(key)
    this.queue = this.queue.filter((queued) => queued !== entry)
  }

  private wakeAfter(entry: Entry, ms: number, trigger: Trigger): void {
    const { clock } = this.context
    const at = clock.now() + ms
    if (entry.wake && entry.wake.at <= at) return
    entry.wake?.cancel()
    const fire = () => {
      entry.wake = undefined
      this.enqueue(entry.key, trigger)
    }
    entry.wake = { at, cancel: clock.after(ms, fire) }
  }

  /** Starts work in a microtask: an event is delivered inside somebody's write, and must not write itself. */
  private pump(): void {
    if (this.pumping) return
    this.pumping = true
    queueMicrotask(() => {
      this.pumping = false
      this.startQueued()
    })
  }

  private startQueued(): void {
    const busy: Entry[] = []
    while (this.running < this.options.concurrency) {
      const entry = this.queue.shift()
      if (!entry) break
      if (entry.running) busy.push(entry)
      else void this.work(entry)
    }
    this.queue.unshift(...busy)
  }

  private async work(entry: Entry): Promise<void> {
    const { signal } = this.stopping
    const trigger = entry.queued ?? 'interval'
    entry.queued = undefined
    entry.running = true
    this.running++
    const run = new Run<Spec, S>(this.context, this.options, entry.key, entry.object, trigger, signal)
    const again = await this.attempt(run, signal)
    if (signal.aborted) return
    this.running--
    entry.running = false
    if (again && this.entries.get(entry.key) === entry) this.wakeAfter(entry, again.after, again.trigger)
    this.pump()
  }

  private async attempt(run: Run<Spec, S>, signal: AbortSignal): Promise<Again> {
    const spec = this.options.spec.safeParse(run.object.spec)
    if (!spec.success) {
      // A real API server refuses such an object; a stand-in has to tell the person who loaded it.
      run.notReady('InvalidSpec', z.prettifyError(spec.error))
      return undefined
    }
    run.spec = spec.data
    try {
      const again = await this.options.reconcile(run)
      // Only of an object that was deleted meanwhile the outcome was never written.
      run.end('interrupted')
      return again
    } catch (error) {
      if (signal.aborted) {
        run.end('interrupted')
        return undefined
      }
      run.notReady('SimulationError', error instanceof Error ? error.message : String(error))
      run.end('failed')
      return { after: 60_000, trigger: 'retry' }
    }
  }
}

/** One run of a controller on one object, as it was read when the run started. */
export class Run<Spec, S extends Status> {
  readonly key: string
  readonly object: KubernetesObject
  readonly namespace: string
  readonly name: string
  readonly generation: number
  readonly trigger: Trigger
  declare spec: Spec
  /** As read at the start, or as last written by this run. */
  status: S
  /** Aborts when the controller stops. */
  readonly signal: AbortSignal
  private readonly context: ControllerContext
  private readonly options: LoopOptions<Spec, S>
  private record: { -readonly [K in keyof Reconcile]: Reconcile[K] } | undefined

  constructor(
    context: ControllerContext,
    options: LoopOptions<Spec, S>,
    key: string,
    object: KubernetesObject,
    trigger: Trigger,
    signal: AbortSignal,
  ) {
    this.context = context
    this.options = options
    this.key = key
    this.object = object
    this.namespace = object.metadata.namespace ?? ''
    this.name = object.metadata.name
    this.generation = object.metadata.generation ?? 1
    this.trigger = trigger
    this.status = (object.status ?? {}) as S
    this.signal = signal
  }

  get deleting(): boolean {
    return this.object.metadata.deletionTimestamp !== undefined
  }

  /** The token that this run handles. */
  get token(): string | undefined {
    return tokenOf(this.object)
  }

  /** One patch of the status subresource. Does nothing when the object, or its CRD, is gone. */
  write(change: (status: S) => void): void {
    if (!isServed(this.context.store, this.options.resource)) return
    const written = this.context.store.update(
      this.options.resource,
      this.namespace,
      this.name,
      (object) => {
        object.status ??= {}
        change(object.status)
      },
      { manager: this.options.manager, subresource: 'status' },
    )
    if (written) this.status = (written.status ?? {}) as S
  }

  /** Sets one condition of `status` as of now and of this run's generation. */
  condition(status: Status, type: string, value: Condition['status'], reason: string, message: string): void {
    setCondition(status, {
      type,
      status: value,
      reason,
      message,
      observedGeneration: this.generation,
      lastTransitionTime: timestamp(this.context.clock),
    })
  }

  /** Ready Unknown, Reconciling True: what a run shows while it works. */
  progressing(status: Status, message: string): void {
    this.condition(status, 'Reconciling', 'True', 'Progressing', message)
    this.condition(status, 'Ready', 'Unknown', 'Progressing', message)
    removeConditions(status, 'Stalled')
  }

  /** Records the token: controllers do it on every return, whether or not anything ran. */
  handled(status: Status): void {
    if (this.token !== undefined) status.lastHandledReconcileAt = this.token
  }

  /** Ready False with the token recorded, in one patch. */
  notReady(reason: string, message: string): void {
    this.write((status) => {
      this.condition(status, 'Ready', 'False', reason, message)
      this.handled(status)
    })
  }

  /** The two patches at the end of a Flux run: conditions first, the rest of status and the token a moment later. */
  async finish(outcome: Outcome, conditions: (status: S) => void, rest: (status: S) => void = () => {}): Promise<void> {
    this.write(conditions)
    await this.spend(this.context.durations.statusGap)
    this.end(outcome)
    this.write((status) => {
      rest(status)
      this.handled(status)
    })
  }

  /** Lets `ms` milliseconds pass. Rejects when the controller stops meanwhile: a run ends wherever it waits. */
  async spend(ms: number): Promise<void> {
    if (ms > 0) await sleep(this.context.clock, ms, this.signal)
    this.signal.throwIfAborted()
  }

  /** Hangs here while a fault holds the object. */
  async hold(): Promise<void> {
    const released = this.context.faults.takeHold(this.key)
    if (!released) return
    let stop = () => {}
    const stopped = new Promise<void>((resolve) => {
      stop = resolve
    })
    this.signal.addEventListener('abort', stop, { once: true })
    await Promise.race([released, stopped])
    this.signal.removeEventListener('abort', stop)
    this.signal.throwIfAborted()
  }

  /** How much longer or shorter than `usual` milliseconds this run takes: 1 is as usual. */
  pace(usual: number): number {
    const seconds = Number(this.object.metadata.annotations?.[secondsAnnotation])
    const wanted = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : usual
    const total = wanted + this.context.faults.delayOf(this.key)
    return usual > 0 ? total / usual : 1
  }

  /** Writes down that real work begins, at a revision. */
  begin(revision: string): void {
    const { clock, faults, reconciles } = this.context
    this.record = { key: this.key, trigger: this.trigger, startedAt: clock.now(), revision }
    reconciles.push(this.record)
    faults.started(this.key)
  }

  /** A source knows the revision of its run only when it has fetched. */
  fetched(revision: string): void {
    if (this.record) this.record.revision = revision
  }

  /** To be called before the write that shows the outcome, so that whoever sees it finds it in the log. */
  end(outcome: Outcome): void {
    if (!this.record || this.record.outcome) return
    this.record.outcome = outcome
    this.record.finishedAt = this.context.clock.now()
  }
}

export function tokenOf(object: KubernetesObject): string | undefined {
  return object.metadata.annotations?.[requestedAt]
}

const intervalSchema = z.looseObject({ interval: z.string() })

function intervalOf(object: KubernetesObject): number {
  const parsed = intervalSchema.safeParse(object.spec)
  const ms = durationMs.safeParse(parsed.data?.interval)
  return ms.success ? ms.data : 10 * 60_000
}
