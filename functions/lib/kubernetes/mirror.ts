import * as z from 'zod'
import { type Clock, sleep } from '../clock.ts'
import { type Cluster, ClusterError, type Kind, type Listing, type WatchEvent } from './cluster.ts'

export interface MirrorEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly kind: Kind
  /** Raw: parse before use. For DELETED, as it was last seen or as the server told it on deletion. */
  readonly object: unknown
  /** What it was before; absent for ADDED. */
  readonly previous?: unknown
}

export interface MirrorOptions {
  readonly clock: Clock
  /** Ends the mirror. */
  readonly signal: AbortSignal
  /** Every change after the initial lists, in order within a kind. What it throws ends the mirror. */
  readonly onEvent: (event: MirrorEvent) => void
}

/** The objects of some kinds of one cluster as they are now: the collections change while the mirror runs. */
export interface Mirror {
  /** Raw objects by `namespace/name`. */
  objects(kind: Kind): ReadonlyMap<string, unknown>
  /** Kinds that the cluster does not serve: no CRD. One that goes while the mirror runs joins them. */
  readonly missingKinds: readonly Kind[]
  /** The version up to which each kind is known. */
  readonly resourceVersions: Readonly<Partial<Record<Kind, string>>>
  /** Resolves when `signal` has ended all watches; rejects with the ClusterError (or onEvent's error) that ended them. */
  readonly closed: Promise<void>
}

/** Tries in a row that fail before the mirror gives up. A watch that told something, or lasted, ends the row. */
const failureLimit = 5
const firstPauseMs = 250
const longestPauseMs = 8_000
/** A server may ask for a longer pause, up to this. */
const longestAskedPauseMs = 60_000
/** A watch that lasted this long worked, even where it had nothing to tell: what a server refuses, it refuses at once. */
const lastedMs = 1000

const objectSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string().optional(),
    resourceVersion: z.string(),
  }),
})

/**
 * Follows all objects of some kinds with one LIST and one WATCH per kind. Resolves after the first lists; from then
 * on a watch that ends or drops goes on where it was, and one whose history is gone is listed again and the
 * difference told as events, so that no change of state is missed and none is made up.
 * Throws the ClusterError of a first list that fails: at once when trying again cannot help, else after five tries.
 * Once `signal` aborts nothing is told any more, and what could not be listed by then is empty.
 */
export async function mirror(cluster: Cluster, kinds: readonly Kind[], options: MirrorOptions): Promise<Mirror> {
  const ending = new AbortController()
  const end = () => ending.abort()
  options.signal.addEventListener('abort', end, { signal: ending.signal })
  if (options.signal.aborted) end()

  const missingKinds: Kind[] = []
  const resourceVersions: Partial<Record<Kind, string>> = {}
  const replicas = new Map(
    kinds.map((kind) => {
      const shared = { ...options, signal: ending.signal, missingKinds, resourceVersions }
      return [kind, new Replica(cluster, kind, shared)] as const
    }),
  )
  const all = (work: (replica: Replica) => Promise<void>) =>
    Promise.all([...replicas.values()].map(work)).catch((error) => {
      end()
      throw error
    })

  await all((replica) => replica.start())
  const closed = all((replica) => replica.follow()).then(end)
  // Whoever does not look at `closed` has ended the mirror and does not care how it ended.
  closed.catch(() => {})
  return {
    objects: (kind) => replicas.get(kind)?.objects ?? new Map(),
    missingKinds,
    resourceVersions,
    closed,
  }
}

interface Shared extends MirrorOptions {
  readonly missingKinds: Kind[]
  readonly resourceVersions: Partial<Record<Kind, string>>
}

interface Entry {
  readonly key: string
  readonly uid: string | undefined
  readonly resourceVersion: string
  readonly raw: unknown
}

/** One kind of the mirror. */
class Replica {
  readonly objects = new Map<string, unknown>()
  private readonly entries = new Map<string, Entry>()
  private readonly cluster: Cluster
  private readonly kind: Kind
  private readonly shared: Shared
  private resourceVersion: string | undefined
  private failures = 0

  constructor(cluster: Cluster, kind: Kind, shared: Shared) {
    this.cluster = cluster
    this.kind = kind
    this.shared = shared
  }

  /** The first list; nothing is told. */
  async start(): Promise<void> {
    await this.retried(async () => {
      const listing = await this.list()
      if (!listing) return
      for (const item of listing.items) this.put(this.entryOf(item))
      this.seen(listing.resourceVersion)
    })
    this.failures = 0
  }

  /** Watches, and lists again where it must, until the signal. */
  async follow(): Promise<void> {
    while (!this.ended() && !this.shared.missingKinds.includes(this.kind)) {
      await this.retried(() => (this.resourceVersion === undefined ? this.relist() : this.watch(this.resourceVersion)))
    }
  }

  private async watch(from: string): Promise<void> {
    const { clock, signal } = this.shared
    const began = clock.now()
    let told = false
    const worked = () => told || clock.now() - began >= lastedMs
    try {
      const onEvent = (event: WatchEvent) => {
        this.take(event)
        told = true
      }
      await this.cluster.watch(this.kind, from, onEvent, signal)
    } finally {
      if (worked()) this.failures = 0
    }
    if (!worked() && !signal.aborted) throw this.broken('ended as soon as it began')
  }

  private async relist(): Promise<void> {
    const listing = await this.list()
    if (!listing) return
    const now = new Map(listing.items.map((item) => this.entryOf(item)).map((entry) => [entry.key, entry]))
    for (const [key, old] of [...this.entries]) {
      const same = now.get(key)
      if (!same || same.uid !== old.uid) this.remove(key, old.raw)
    }
    const changed = [...now.values()].filter(
      (entry) => this.entries.get(entry.key)?.resourceVersion !== entry.resourceVersion,
    )
    for (const entry of changed.sort(byVersion)) this.write(entry)
    this.seen(listing.resourceVersion)
  }

  /** Undefined when there is nothing to go on with: the mirror has ended, or the kind is not served (any more). */
  private async list(): Promise<Listing | undefined> {
    const { missingKinds, signal } = this.shared
    try {
      return await beforeAbort(this.cluster.list(this.kind), signal)
    } catch (error) {
      if (!(error instanceof ClusterError) || error.name !== 'KindNotServed') throw error
      for (const [key, old] of [...this.entries]) this.remove(key, old.raw)
      missingKinds.push(this.kind)
      return undefined
    }
  }

  private take({ type, object }: WatchEvent): void {
    if (this.ended()) return
    if (type === 'BOOKMARK') {
      this.seen(bookmarkVersion(object) ?? this.resourceVersion)
      return
    }
    const entry = this.entryOf(object)
    if (type === 'DELETED') this.remove(entry.key, object)
    else this.write(entry)
    this.seen(entry.resourceVersion)
  }

  private write(entry: Entry): void {
    const { key, raw } = entry
    const previous = this.objects.get(key)
    this.put(entry)
    if (previous === undefined) this.tell({ type: 'ADDED', kind: this.kind, object: raw })
    else this.tell({ type: 'MODIFIED', kind: this.kind, object: raw, previous })
  }

  private remove(key: string, object: unknown): void {
    const previous = this.objects.get(key)
    if (previous === undefined) return
    this.objects.delete(key)
    this.entries.delete(key)
    this.tell({ type: 'DELETED', kind: this.kind, object, previous })
  }

  private put(entry: Entry): void {
    this.entries.set(entry.key, entry)
    this.objects.set(entry.key, entry.raw)
  }

  private seen(resourceVersion: string | undefined): void {
    this.resourceVersion = resourceVersion
    if (resourceVersion !== undefined) this.shared.resourceVersions[this.kind] = resourceVersion
  }

  private tell(event: MirrorEvent): void {
    if (!this.ended()) this.shared.onEvent(event)
  }

  private ended(): boolean {
    return this.shared.signal.aborted
  }

  /** Runs `work` until it succeeds once, with growing pauses; gives up when it fails too often or cannot succeed. */
  private async retried(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (this.ended()) return
        await this.recover(error)
      }
    }
  }

  private async recover(error: unknown): Promise<void> {
    if (!(error instanceof ClusterError)) throw error
    const listAnew = error.name === 'ClusterGone' || error.name === 'KindNotServed'
    if (!listAnew && !passing.has(error.name)) throw error
    if (listAnew) this.resourceVersion = undefined
    this.failures++
    if (this.failures >= failureLimit) throw this.givenUp(error)
    // History that is gone is no trouble of the server's: list at once.
    if (listAnew && this.failures === 1) return
    const pause = Math.min(firstPauseMs * 2 ** (this.failures - 1), longestPauseMs)
    const asked = Math.min(error.retryAfterMs ?? 0, longestAskedPauseMs)
    await sleep(this.shared.clock, Math.max(pause, asked), this.shared.signal)
  }

  /** Whoever began this mirror would list anew: for them a history that goes again and again is a server in trouble. */
  private givenUp(error: ClusterError): ClusterError {
    if (error.name !== 'ClusterGone') return error
    return this.broken(`was told that its history is gone, ${failureLimit} tries in a row`)
  }

  private entryOf(raw: unknown): Entry {
    const parsed = objectSchema.safeParse(raw)
    if (!parsed.success) throw this.broken('told of an object without a name or a version')
    const { name, namespace = '', uid, resourceVersion } = parsed.data.metadata
    return { key: `${namespace}/${name}`, uid, resourceVersion, raw }
  }

  private broken(why: string): ClusterError {
    const { name } = this.cluster
    return new ClusterError(
      'ClusterUnavailable',
      name,
      0,
      `${name}: WATCH ${this.kind} ${why}.`,
      'Check the API server, and whatever stands between it and here.',
    )
  }
}

const passing: ReadonlySet<string> = new Set(['ClusterUnavailable', 'ClusterThrottled'])

/** The result, or undefined as soon as `signal` aborts. */
async function beforeAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) {
    work.catch(() => {})
    return undefined
  }
  let stop = () => {}
  const aborted = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined)
  })
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function bookmarkVersion(object: unknown): string | undefined {
  return z.object({ metadata: z.object({ resourceVersion: z.string() }) }).safeParse(object).data?.metadata
    .resourceVersion
}

/** Versions grow with time: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions */
function byVersion(a: Entry, b: Entry): number {
  if (a.resourceVersion.length !== b.resourceVersion.length) return a.resourceVersion.length - b.resourceVersion.length
  return a.resourceVersion < b.resourceVersion ? -1 : 1
}
