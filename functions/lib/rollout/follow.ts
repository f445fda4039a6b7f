import type { Clock } from '../clock.ts'
import { each } from '../each.ts'
import { nameOf } from '../flux/object.ts'
import { isSourceKind, parseSource, type Source } from '../flux/source.ts'
import { isWorkloadKind, parseWorkload, type Workload } from '../flux/workload.ts'
import type { Cluster, Kind } from '../kubernetes/cluster.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Observation as LockObservation } from '../locks/scan/observation.ts'
import { handBackApproval } from '../plans/approve-plan.ts'
import { gateMark } from './gate-mark.ts'
import { nextToken, patchesAtOnce, refOf, removeMark, requestReconcile } from './gates.ts'
import type { Wish } from './lease.ts'
import { observe, observeSource, reopen } from './observe.ts'
import type { PlannedObject, Rollout } from './rollout.ts'
import { UnlockHolds } from './unlock-holds.ts'
import { type WhileClaimedPorts, whileClaimed } from './while-claimed.ts'

/** Why following ended. */
export type Ending<T> =
  | { readonly why: 'decided'; readonly decision: T }
  | { readonly why: Exclude<Wish, 'go on'> | 'slice' }

export interface FollowPorts extends WhileClaimedPorts {
  /** How long to follow at most, in milliseconds. */
  readonly sliceMs: number
}

/**
 * How long an object may stay as it is before it is asked: longer each time, so that a broken one is not flooded.
 * `late` is for runs whose runner does not answer: tofu-controller itself gives up after 120 s.
 */
const pauses = {
  soon: [250, 1_000, 2_000, 4_000, 8_000, 15_000],
  patiently: [5_000, 10_000, 20_000, 40_000, 60_000],
  late: [150_000, 300_000],
}

/** How often is looked at what the scans have found out about locks that are waited for. */
const lockNewsMs = 30_000

/** After so long an object that says that it works may have a run that is dead, and holds the lock of its state. */
const silentMs = 5 * 60_000

/**
 * Follows the rollout's objects with one LIST and one WATCH per kind, until `decide` answers, somebody wants the
 * rollout to stop, or the slice is over. `decide` is asked after every change that matters and at the time that it
 * names itself by `wakeAt`. Objects that nobody works on are asked to reconcile again.
 * Updates `rollout`. Throws ClaimLost, ClusterError, ObjectUnreadable.
 */
export async function follow<T>(
  rollout: Rollout,
  ports: FollowPorts,
  decide: (now: number) => T | undefined | Promise<T | undefined>,
  wakeAt: () => number | undefined,
): Promise<Ending<T>> {
  const attention = new Attention(rollout, ports)
  let endAt: number | undefined
  let dirty = true
  const followed = await whileClaimed<Ending<T>>(
    rollout,
    attention.kinds,
    ports,
    async (now, view) => {
      if (endAt === undefined) attention.seeAll(view)
      endAt ??= now + ports.sliceMs
      if (await attention.settleDoubts()) dirty = true
      if (await attention.readLocks(ports.ledger, now)) dirty = true
      if (dirty || now >= (wakeAt() ?? Number.POSITIVE_INFINITY)) {
        dirty = false
        const decision = await decide(now)
        if (decision !== undefined) return { done: { why: 'decided', decision } }
      }
      if (now >= endAt) return { done: { why: 'slice' } }
      await attention.askDue(ports.cluster, now)
      return {
        until: Math.min(endAt, wakeAt() ?? endAt, attention.nextDue() ?? endAt, attention.nextLockNews(now) ?? endAt),
      }
    },
    ({ kind, object, type }) => {
      if (attention.see(kind, object, type === 'DELETED')) dirty = true
    },
  )
  return 'wish' in followed ? { why: followed.wish } : followed.done
}

/** Only kinds that the rollout has objects or sources of: a watch for each. */
function kindsOf(rollout: Rollout): Kind[] {
  const kinds = new Set<Kind>(['GitRepository'])
  for (const object of rollout.objects) {
    kinds.add(refOf(object.key).kind)
    const source = object.source?.split('/', 1)[0]
    if (object.follows === 'chart' && source === 'HelmChart') kinds.add('HelmChart')
    if (object.follows === 'origin' && source === 'OCIRepository') kinds.add('OCIRepository')
  }
  return [...kinds]
}

interface Due {
  readonly at: number
  readonly asked: number
  readonly how: keyof typeof pauses
}

/** The rollout's objects as the cluster shows them, and which of them have to be asked again, and when. */
class Attention {
  readonly kinds: readonly Kind[]
  private readonly rollout: Rollout
  private readonly clock: Clock
  private readonly objects: ReadonlyMap<string, PlannedObject>
  private readonly fed = new Map<string, PlannedObject[]>()
  private readonly sources = new Map<string, Source>()
  private readonly workloads = new Map<string, Workload>()
  private readonly due = new Map<string, Due>()
  private readonly toUnmark = new Set<string>()
  private readonly toHandBack = new Set<string>()
  /** By the object whose state it is. */
  private locks: ReadonlyMap<string, LockObservation> = new Map()
  private locksReadAt = Number.NEGATIVE_INFINITY
  private readonly unlock: UnlockHolds
  /** Objects that are suspended, by nobody knows whom yet. */
  private readonly doubts = new Set<PlannedObject>()
  /** As they were when an unlock held them. */
  private readonly heldByUnlock = new WeakSet<Workload>()

  constructor(rollout: Rollout, { clock, ledger }: Pick<FollowPorts, 'clock' | 'ledger'>) {
    this.rollout = rollout
    this.clock = clock
    this.unlock = new UnlockHolds(ledger, rollout.cluster)
    this.kinds = kindsOf(rollout)
    this.objects = new Map(rollout.objects.map((object) => [object.key, object]))
    for (const object of rollout.objects) {
      if (object.source === undefined) continue
      const siblings = this.fed.get(object.source)
      if (siblings) siblings.push(object)
      else this.fed.set(object.source, [object])
    }
  }

  /** Takes in the initial lists; objects that are in none of them are gone. */
  seeAll(view: { objects(kind: Kind): ReadonlyMap<string, unknown> }): void {
    for (const kind of [...this.kinds.filter(isSourceKind), ...this.kinds.filter(isWorkloadKind)]) {
      for (const raw of view.objects(kind).values()) this.see(kind, raw, false)
    }
    for (const object of this.objects.values()) {
      if (!this.workloads.has(object.key)) this.judge(object)
    }
  }

  /** Takes in one object; answers whether something changed that matters to the rollout. */
  see(kind: Kind, raw: unknown, deleted: boolean): boolean {
    if (isSourceKind(kind)) return this.seeSource(parseSource(kind, raw))
    if (!isWorkloadKind(kind)) return false
    const key = `${kind}/${nameOf(raw)}`
    const object = this.objects.get(key)
    if (!object) return false
    if (deleted) this.workloads.delete(key)
    else this.workloads.set(key, parseWorkload(kind, raw))
    return this.judge(object)
  }

  private seeSource(source: Source): boolean {
    this.sources.set(source.key, source)
    const moved = observeSource(this.rollout, source, this.clock.now())
    // A commit that counts from now on can make any object ready; else only those that this source feeds.
    const concerned = moved ? this.objects.values() : (this.fed.get(source.key) ?? [])
    let changed = moved
    for (const object of concerned) {
      // What has not been listed yet is not gone: it is judged when it is.
      if (this.workloads.has(object.key) && this.judge(object)) changed = true
    }
    return changed
  }

  private judge(object: PlannedObject): boolean {
    const workload = this.workloads.get(object.key)
    if (workload && this.isDoubtful(object, workload)) {
      this.doubts.add(object)
      return false
    }
    return this.observe(object, workload)
  }

  private isDoubtful({ phase }: PlannedObject, workload: Workload): boolean {
    if (phase !== 'open' && phase !== 'failed') return false
    return workload.suspendedByUsOnly && workload.gate === undefined && !this.heldByUnlock.has(workload)
  }

  /** Asks the ledger who holds what is suspended. Answers whether something changed that matters to the rollout. */
  async settleDoubts(): Promise<boolean> {
    let changed = false
    for (const object of this.doubts) {
      this.doubts.delete(object)
      const workload = this.workloads.get(object.key)
      if (workload && (await this.unlock.holds(workload))) this.heldByUnlock.add(workload)
      if (this.observe(object, this.workloads.get(object.key))) changed = true
    }
    return changed
  }

  private observe(object: PlannedObject, workload: Workload | undefined): boolean {
    const source = this.sources.get(object.source ?? '')
    const known = {
      lock: this.locks.get(object.key),
      heldByUnlock: workload !== undefined && this.heldByUnlock.has(workload),
    }
    const seen = observe(this.rollout, object, workload, source, this.clock.now(), known)
    if (seen.ask === 'no') this.due.delete(object.key)
    else this.schedule(object, seen.ask)
    if (seen.unmark) this.toUnmark.add(object.key)
    if (seen.handBack) this.toHandBack.add(object.key)
    if (object.phase === 'ready') this.reconsiderOwner(object)
    return seen.changed
  }

  /**
   * A Kustomization whose health check ran out while its objects were held would only look again after its interval.
   * It is asked when the last of them is ready.
   */
  private reconsiderOwner({ awaitedBy }: PlannedObject): void {
    const owner = this.objects.get(awaitedBy ?? '')
    if (owner?.phase !== 'failed' || owner.reason !== 'HealthCheckFailed') return
    const waitsOn = this.rollout.objects.some(
      (object) => object.awaitedBy === awaitedBy && object.phase !== 'ready' && object.phase !== 'gone',
    )
    if (waitsOn) return
    reopen(owner, this.clock.now())
    owner.applied = true
    this.due.set(owner.key, { at: this.clock.now(), asked: owner.asked, how: 'soon' })
  }

  private schedule(object: PlannedObject, how: Due['how']): void {
    const known = this.due.get(object.key)
    if (known && known.how === how && known.asked === object.asked) return
    const steps = pauses[how]
    const pause = steps[Math.min(object.asked, steps.length) - 1] ?? steps[0] ?? 0
    this.due.set(object.key, { at: this.clock.now() + pause, asked: object.asked, how })
  }

  /** While an object may wait for a lock: what the scans think of it by now. Answers whether that changes anything. */
  async readLocks(ledger: Ledger, now: number): Promise<boolean> {
    const waiting = this.lockSuspects().filter((object) => now >= suspectAt(object))
    if (waiting.length === 0 || now < this.locksReadAt + lockNewsMs) return false
    this.locksReadAt = now
    const observations = await ledger.listObservations(this.rollout.cluster)
    this.locks = new Map(
      observations.flatMap((each) => (each.evidence.owner ? [[each.evidence.owner.object, each]] : [])),
    )
    let changed = false
    for (const object of waiting) if (this.judge(object)) changed = true
    return changed
  }

  nextLockNews(now: number): number | undefined {
    const suspects = this.lockSuspects()
    if (suspects.length === 0) return undefined
    const first = Math.min(...suspects.map(suspectAt))
    return first > now ? first : this.locksReadAt + lockNewsMs
  }

  private lockSuspects(): PlannedObject[] {
    return this.rollout.objects.filter(({ key, phase }) => phase === 'open' && refOf(key).kind === 'Terraform')
  }

  nextDue(): number | undefined {
    let next: number | undefined
    for (const { at } of this.due.values()) next = Math.min(next ?? at, at)
    return next
  }

  /** Asks every object whose time has come. An object with a dependency of ours that is not ready is left alone. */
  async askDue(cluster: Cluster, now: number): Promise<void> {
    for (const key of this.toUnmark) {
      this.toUnmark.delete(key)
      await removeMark(cluster, key, gateMark(this.rollout))
    }
    for (const key of this.toHandBack) {
      this.toHandBack.delete(key)
      await handBackApproval(cluster, key)
    }
    const keys = [...this.due].filter(([, due]) => due.at <= now).map(([key]) => key)
    await each(keys, patchesAtOnce, async (key) => {
      this.due.delete(key)
      const object = this.objects.get(key)
      if (object?.phase !== 'open') return
      const token = nextToken(this.rollout, object, now)
      object.token = token
      await requestReconcile(cluster, refOf(key), token)
    })
  }
}

/** From when on a lock may be what an object waits for. */
function suspectAt({ waitsForLock, openedAt = 0 }: PlannedObject): number {
  return waitsForLock ? Number.NEGATIVE_INFINITY : openedAt + silentMs
}
