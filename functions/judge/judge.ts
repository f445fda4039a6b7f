import { each } from '../lib/each.ts'
import type { FleetCluster } from '../lib/fleet.ts'
import type { Cluster } from '../lib/kubernetes/cluster.ts'
import { ClusterLook } from '../lib/locks/evidence/cluster-look.ts'
import { freeLook, gather, type OwnedPlace, ownerlessLook } from '../lib/locks/evidence/gather.ts'
import { readLocks, whyFailed } from '../lib/locks/scan/lock-access.ts'
import { objectPlaces } from '../lib/locks/scan/object-places.ts'
import { type Observation, placeKey, placeKeyOf } from '../lib/locks/scan/observation.ts'
import { Scan, type ScanCounts, skippedScan } from '../lib/locks/scan/scan.ts'
import type { Finding, KeptStates } from '../lib/locks/scan/scan-report.ts'
import { SecretStateReader } from '../lib/locks/states/secret-state-reader.ts'
import type { StateReader } from '../lib/locks/states/state-reader.ts'
import { LeaseLockStore } from '../lib/locks/stores/lease-lock-store.ts'
import { addressText, type FoundLock } from '../lib/locks/stores/lock-store.ts'
import type { LockPorts } from '../lib/step.ts'

/** Locks whose evidence is gathered at a time. */
const width = 8

/**
 * Looks at the locks of all objects of one cluster, and at the Leases there that belong to no object. A store that
 * cannot be asked makes its locks unknown, and the others go on; so does the cluster itself.
 */
export async function judgeCluster(cluster: FleetCluster, execution: string, ports: LockPorts): Promise<ScanCounts> {
  const scan = await Scan.begin({ cluster: cluster.name, execution }, ports)
  if (!scan) return skippedScan
  const earlier = await ports.ledger.readScan(cluster.name)
  const elsewhere = await StatesElsewhere.read(cluster.name, ports)
  try {
    const connected = await ports.clusters.connect(cluster.name)
    const look = new ClusterLook({ cluster: connected, clock: ports.clock })
    const objects = await look.terraforms()
    return scan.end(await new ClusterScan({ scan, cluster, connected, look, elsewhere, ports }).run(objects))
  } catch (error) {
    const why = whyFailed(error)
    scan.addUnreadable(`cluster ${cluster.name}`, why)
    await each(heldIn(scan, cluster.name), width, ({ key }) => scan.couldNotRead(key, why))
    // Its objects are where they were, as far as anybody knows.
    return scan.end(earlier?.kept)
  }
}

/** What the other clusters' objects keep: the runners of two clusters have the same names. */
class StatesElsewhere {
  private readonly kept: ReadonlyMap<string, KeptStates>
  /** The cluster of each place that others have, and of each object's name that may keep its state anywhere. */
  private readonly byPlace = new Map<string, string>()
  private readonly byName = new Map<string, string>()
  /** Clusters whose objects nobody has ever read. */
  private readonly unread: readonly string[]

  private constructor(kept: ReadonlyMap<string, KeptStates>, unread: readonly string[]) {
    this.kept = kept
    this.unread = unread
    for (const [cluster, { places, unplaced }] of kept) {
      for (const place of places) this.byPlace.set(place, cluster)
      for (const object of unplaced) this.byName.set(nameIn(object), cluster)
    }
  }

  static async read(own: string, { fleet, ledger }: LockPorts): Promise<StatesElsewhere> {
    const kept = new Map<string, KeptStates>()
    const unread: string[] = []
    await each(fleet.clusters, width, async ({ name }) => {
      if (name === own) return
      const report = await ledger.readScan(name)
      if (report?.kept) kept.set(name, report.kept)
      else unread.push(name)
    })
    return new StatesElsewhere(kept, unread.sort())
  }

  /** Why a run of the place's owner is not told from one of another cluster; undefined where none keeps the same state. */
  whyShared(place: OwnedPlace): string | undefined {
    if (isInCluster(place)) return undefined
    const cluster = firstIn(this.byPlace, keysOf(place))
    return cluster && `an object of cluster ${cluster} keeps the same state: whose runner it is cannot be told`
  }

  /**
   * Why it is not known whether another cluster's object keeps the same state. What was read before the lock was first
   * seen says nothing of it.
   */
  whyUnclear(place: OwnedPlace, firstSeenAt: number | undefined): string | undefined {
    const named = firstIn(this.byName, namesOf(place))
    if (named !== undefined) {
      return `an object of that name in cluster ${named} may keep its state here: whose runner it is cannot be told`
    }
    if (isInCluster(place)) return undefined
    const [never] = this.unread
    if (never !== undefined) {
      return `cluster ${never} was never read: whether an object there keeps the same state is not known`
    }
    const [late] = [...this.kept].find(([, { readAt }]) => firstSeenAt !== undefined && readAt < firstSeenAt) ?? []
    return late && `cluster ${late} was not read since the lock is there: whether it is of a runner there is not known`
  }
}

interface ClusterScanOptions {
  readonly scan: Scan
  readonly cluster: FleetCluster
  readonly connected: Cluster
  readonly look: ClusterLook
  readonly elsewhere: StatesElsewhere
  readonly ports: LockPorts
}

/** The scan of a cluster that can be read. */
class ClusterScan {
  private readonly options: ClusterScanOptions
  private readonly secrets: StateReader

  constructor(options: ClusterScanOptions) {
    this.options = options
    this.secrets = new SecretStateReader(options.connected)
  }

  /** Answers what is known for the scan's report. */
  async run(objects: readonly unknown[]): Promise<KeptStates> {
    const { scan, cluster, look, elsewhere, ports } = this.options
    const readAt = ports.clock.now()
    const {
      places: own,
      findings,
      ...loose
    } = await objectPlaces(objects, {
      cluster: cluster.name,
      region: cluster.region,
      readConfiguration: look.readConfiguration,
      endpoints: ports.locks.endpoints,
    })
    scan.add(...findings)
    const looseByName = new Map(loose.unplaced.map((object) => [nameIn(object), object]))
    const places = [...own.values()].map((place) => {
      const shared = elsewhere.whyShared(place)
      if (shared !== undefined) scan.add({ kind: 'shared', subject: subjectOf(place), why: shared })
      const unclear = this.whyUnclear(place, looseByName)
      return { ...place, ...(shared !== undefined && { shared }), ...(unclear !== undefined && { unclear }) }
    })

    // From here on locks are read, and what tells of their holders after them.
    const at = ports.clock.now()
    const leases = await this.leases()
    const kept = places.filter((place) => !isInCluster(place))
    const stored = await readLocks(
      ports.locks.stores,
      kept.flatMap(({ parts }) => parts),
    )
    for (const [store, why] of stored.failed) scan.addUnreadable(store, why)
    await each(places, width, (place) => this.judge(place, at, isInCluster(place) ? leases : stored))
    const hidden = this.hidden(findings, own)
    const why = 'where its object keeps its state cannot be told'
    await each(hidden, width, ({ key }) => scan.couldNotRead(key, why))
    await this.judgeLeases(new Set([...own.keys(), ...hidden.map(({ key }) => key)]), at, leases)
    return {
      readAt,
      places: [...new Set([...kept.flatMap(keysOf), ...hidden.flatMap(keysKnown)])],
      unplaced: [...new Set([...loose.unplaced, ...loose.elsewhere])],
    }
  }

  /** `unplaced`: objects of this cluster that may keep their state anywhere, by their names. */
  private whyUnclear(place: OwnedPlace, unplaced: ReadonlyMap<string, string>): string | undefined {
    const { scan, elsewhere } = this.options
    const other = firstIn(unplaced, namesOf(place))
    if (other !== undefined) return `Terraform/${other} may keep its state here, and has a runner of the same name`
    return elsewhere.whyUnclear(place, scan.previous.get(place.key)?.evidence.sight.firstSeenAt)
  }

  private async judge(place: OwnedPlace, at: number, { found, unread }: ReadLeases) {
    const { scan, look, ports } = this.options
    const addresses = place.parts.map(addressText)
    const why = addresses.flatMap((address) => unread.get(address) ?? [])[0]
    if (why !== undefined) return scan.couldNotRead(place.key, why)
    const locks = addresses.flatMap((address) => found.get(address) ?? [])
    const { cluster, namespace, name } = place.owner
    if (locks.length === 0)
      return scan.saw(place.key, freeLook({ cluster, object: `Terraform/${namespace}/${name}` }, at))
    const states = place.state.store === 'kubernetes' ? this.secrets : ports.locks.states
    return scan.saw(place.key, await gather(place, locks, at, { look, states, clock: ports.clock }))
  }

  private async leases(): Promise<ReadLeases> {
    const { scan, connected } = this.options
    const store = new LeaseLockStore(connected)
    try {
      const locks = await store.list()
      return {
        found: new Map(locks.map((lock) => [addressText(lock.address), lock])),
        unread: { get: () => undefined },
      }
    } catch (error) {
      const why = whyFailed(error)
      scan.addUnreadable(store.name, why)
      return { found: new Map(), unread: { get: () => why } }
    }
  }

  /** Leases of this cluster that belong to no object, or do not any more. */
  private async judgeLeases(places: ReadonlySet<string>, at: number, { found, unread }: ReadLeases) {
    const { scan, cluster } = this.options
    const ownerless = new Map<string, FoundLock>()
    for (const lock of found.values()) {
      const key = placeKey([lock.address])
      if (!places.has(key)) ownerless.set(key, lock)
    }
    await each([...ownerless], width, ([key, lock]) => scan.saw(key, ownerlessLook([lock], at)))
    const left = heldIn(scan, cluster.name).filter(
      ({ key, evidence }) =>
        !places.has(key) && !ownerless.has(key) && evidence.lock.parts.every(({ store }) => store === 'kubernetes'),
    )
    const why = unread.get('')
    await each(left, width, ({ key, evidence }) =>
      why === undefined ? scan.saw(key, freeLook(evidence.owner, at)) : scan.couldNotRead(key, why),
    )
  }

  /** The places of objects whose backends cannot be read now: they are where they were. */
  private hidden(findings: readonly Finding[], places: ReadonlyMap<string, OwnedPlace>): Observation[] {
    const { scan, cluster } = this.options
    const objects = findings.flatMap(({ kind, subject }) => (kind === 'unreadable' ? subject : []))
    return [...scan.previous.values()].filter(
      ({ key, evidence: { owner } }) =>
        owner?.cluster === cluster.name && objects.includes(owner.object) && !places.has(key),
    )
  }
}

interface ReadLeases {
  readonly found: ReadonlyMap<string, FoundLock>
  readonly unread: Pick<ReadonlyMap<string, string>, 'get'>
}

function heldIn(scan: Scan, cluster: string): Observation[] {
  const own = [...scan.previous.values()].filter((observation) => observation.cluster === cluster)
  return own.filter(({ judgement }) => judgement.verdict !== 'free')
}

function subjectOf({ owner }: OwnedPlace): string {
  return `Terraform/${owner.namespace}/${owner.name}`
}

/** By which runners are named, whatever their namespace. */
function namesOf({ owner, others = [] }: OwnedPlace): string[] {
  return [owner, ...others].map(({ name }) => name)
}

function firstIn(known: ReadonlyMap<string, string>, keys: readonly string[]): string | undefined {
  const key = keys.find((candidate) => known.has(candidate))
  return key === undefined ? undefined : known.get(key)
}

/** Of `flux-system/vpc`. */
function nameIn(object: string): string {
  return object.slice(object.indexOf('/') + 1)
}

function isInCluster({ state }: OwnedPlace): boolean {
  return state.store === 'kubernetes'
}

/** Of a place, and of each of its parts: somebody else may know of one of them only. */
function keysOf({ key, parts }: OwnedPlace): string[] {
  return [key, ...parts.map((part) => placeKey([part]))]
}

function keysKnown({ key, evidence }: Observation): string[] {
  return [key, ...evidence.lock.parts.map(({ address }) => placeKeyOf([address]))]
}
