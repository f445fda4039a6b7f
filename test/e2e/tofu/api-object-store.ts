import { setTimeout as pause } from 'node:timers/promises'
import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import {
  type KubernetesObject,
  type ObjectStore,
  StoreError,
  type StoreEvent,
} from '../../../infra/local/kubernetes/object-store.ts'
import { type Api, ApiRefused, ApiUnreachable, type ObjectKey } from '../cluster/api.ts'
import { mergePatch } from './merge-patch.ts'

interface Entry {
  /** With our writes, whether the server has them yet or not. */
  object: KubernetesObject
  /** resourceVersion of the newest version from the server that is in `object`. */
  version: bigint
  /** How many of our writes the server has not answered yet. */
  pending: number
  /** The newest version from the server that came while writes were pending. */
  newer?: KubernetesObject | undefined
}

interface Collection {
  readonly resource: Resource
  readonly entries: Map<string, Entry>
  readonly listeners: Set<(event: StoreEvent) => void>
}

const retryPauseMs = 200

/**
 * The objects of a real API server as an ObjectStore, for controllers that were made for one: reads are from a cache
 * that a watch keeps, as an informer's; writes are in the cache at once, and are sent in order, object by object.
 * What the server refuses is told to `say`, and the cache shows the server's object again.
 */
export class ApiObjectStore implements ObjectStore {
  readonly #api: Api
  readonly #say: (line: string) => void
  readonly #stopping = new AbortController()
  readonly #collections = new Map<string, Collection>()
  /** The last write of each object. */
  readonly #writes = new Map<string, Promise<void>>()

  private constructor(api: Api, say: (line: string) => void) {
    this.#api = api
    this.#say = say
  }

  /** Lists the kinds that the server serves, and watches them from then on. */
  static async start(api: Api, resources: readonly Resource[], say: (line: string) => void): Promise<ApiObjectStore> {
    const store = new ApiObjectStore(api, say)
    await Promise.all(resources.map((resource) => store.#follow(resource)))
    return store
  }

  /** Ends the watches. Writes that were not sent yet are lost. */
  stop(): void {
    this.#stopping.abort()
  }

  served(): readonly Resource[] {
    return [...this.#collections.values()].map(({ resource }) => resource)
  }

  list(resource: Resource): { items: KubernetesObject[]; resourceVersion: string } {
    const items = [...this.#collection(resource).entries.values()].map(({ object }) => structuredClone(object))
    return { items, resourceVersion: this.currentVersion() }
  }

  get(resource: Resource, namespace: string, name: string): KubernetesObject | undefined {
    return structuredClone(this.#collection(resource).entries.get(`${namespace}/${name}`)?.object)
  }

  create(resource: Resource, object: KubernetesObject, manager: string): KubernetesObject {
    const collection = this.#collection(resource)
    const key = keyOf(object)
    if (collection.entries.has(key)) throw new StoreError(409, 'AlreadyExists', `${resource.kind} ${key} exists`)
    const entry: Entry = { object: structuredClone(object), version: 0n, pending: 0 }
    collection.entries.set(key, entry)
    const query = { fieldManager: manager }
    this.#write(collection, key, entry, async () => {
      const path = await this.#api.path(object, { namespace: object.metadata.namespace })
      const answer = await this.#api.request('POST', path, { query, body: object })
      if (answer.status >= 300) throw new ApiRefused(`POST ${path}`, answer)
      return answer.body as KubernetesObject
    })
    this.#tell(collection, { type: 'ADDED', object: entry.object })
    return structuredClone(entry.object)
  }

  update(
    resource: Resource,
    namespace: string,
    name: string,
    change: (object: KubernetesObject) => void,
    { manager, subresource }: { manager: string; subresource?: 'status' },
  ): KubernetesObject | undefined {
    const collection = this.#collection(resource)
    const entry = collection.entries.get(`${namespace}/${name}`)
    if (!entry) return undefined
    const before = entry.object
    const wanted = structuredClone(before)
    change(wanted)
    const after = subresource ? { ...before, status: wanted.status } : { ...wanted, status: before.status }
    const patch = mergePatch(before, after)
    if (patch === undefined) return structuredClone(before)
    entry.object = after
    const options = { fieldManager: manager, ...(subresource && { subresource }) }
    this.#write(collection, keyOf(before), entry, () => this.#api.patch(objectKey(before), patch, options))
    this.#tell(collection, { type: 'MODIFIED', object: after, previous: before })
    return structuredClone(after)
  }

  /** The cache goes on to show the object until the watch tells of its end. */
  delete(resource: Resource, namespace: string, name: string, options: { gracePeriodSeconds?: number } = {}): void {
    const collection = this.#collection(resource)
    const key = `${namespace}/${name}`
    const entry = collection.entries.get(key)
    if (!entry) return
    const graceSeconds = options.gracePeriodSeconds
    this.#write(collection, key, entry, async () => {
      await this.#api.delete(objectKey(entry.object), { ...(graceSeconds !== undefined && { graceSeconds }) })
      return undefined
    })
  }

  subscribe(resource: Resource, listener: (event: StoreEvent) => void): () => void {
    const { listeners } = this.#collection(resource)
    const own = (event: StoreEvent) => listener(event)
    listeners.add(own)
    return () => listeners.delete(own)
  }

  currentVersion(): string {
    const versions = [...this.#collections.values()].flatMap(({ entries }) => [...entries.values()])
    return `${versions.reduce((newest, { version }) => (version > newest ? version : newest), 0n)}`
  }

  register(): void {
    throw unsupported('register')
  }

  unregister(): void {
    throw unsupported('unregister')
  }

  apply(): KubernetesObject {
    throw unsupported('apply')
  }

  since(): StoreEvent[] {
    throw unsupported('since')
  }

  forgetHistory(): void {
    throw unsupported('forgetHistory')
  }

  /** Answers when everything that is there is in the cache. */
  async #follow(resource: Resource): Promise<void> {
    const kind = { apiVersion: apiVersionOf(resource), kind: resource.kind }
    const objects = await this.#api.list(kind).catch((error: unknown) => {
      if (error instanceof ApiRefused && error.status === 404) return undefined
      throw error
    })
    if (!objects) return
    const collection: Collection = { resource, entries: new Map(), listeners: new Set() }
    this.#collections.set(pathOf(resource), collection)
    for (const object of objects) this.#see(collection, object)
    void this.#watch(collection, kind)
  }

  async #watch(collection: Collection, kind: { apiVersion: string; kind: string }): Promise<void> {
    const { signal } = this.#stopping
    for await (const { type, object } of this.#api.follow(kind, { signal })) {
      if (type === 'DELETED') this.#forget(collection, object)
      else this.#see(collection, object)
    }
  }

  #see(collection: Collection, object: KubernetesObject): void {
    const key = keyOf(object)
    const entry = collection.entries.get(key)
    if (!entry) {
      collection.entries.set(key, { object, version: versionOf(object), pending: 0 })
      this.#tell(collection, { type: 'ADDED', object })
      return
    }
    if (entry.pending > 0) {
      if (!entry.newer || versionOf(object) > versionOf(entry.newer)) entry.newer = object
      return
    }
    if (versionOf(object) <= entry.version) return
    const previous = entry.object
    entry.object = object
    entry.version = versionOf(object)
    this.#tell(collection, { type: 'MODIFIED', object, previous })
  }

  #forget(collection: Collection, object: KubernetesObject): void {
    const key = keyOf(object)
    const entry = collection.entries.get(key)
    // One of the same name that we made since is another object.
    if (!entry || (entry.object.metadata.uid ?? object.metadata.uid) !== object.metadata.uid) return
    collection.entries.delete(key)
    this.#tell(collection, { type: 'DELETED', object })
  }

  #write(collection: Collection, key: string, entry: Entry, send: () => Promise<KubernetesObject | undefined>): void {
    const name = `${pathOf(collection.resource)} ${key}`
    entry.pending++
    const before = this.#writes.get(name) ?? Promise.resolve()
    const written = before
      .then(() => this.#persist(name, send))
      .then((answer) => {
        entry.pending--
        const newest = [answer, entry.newer]
          .filter((one) => one !== undefined)
          .sort(byVersion)
          .at(-1)
        if (entry.pending > 0) {
          entry.newer = newest
          return
        }
        entry.newer = undefined
        if (collection.entries.get(key) !== entry) return
        if (newest) this.#see(collection, newest)
        // What was not created is not there.
        else if (entry.version === 0n) this.#forget(collection, entry.object)
      })
    this.#writes.set(name, written)
    void written.then(() => {
      if (this.#writes.get(name) === written) this.#writes.delete(name)
    })
  }

  /** Sends until there is an answer. */
  async #persist(
    name: string,
    send: () => Promise<KubernetesObject | undefined>,
  ): Promise<KubernetesObject | undefined> {
    while (!this.#stopping.signal.aborted) {
      try {
        return await send()
      } catch (error) {
        if (error instanceof ApiRefused && error.status === 404) return undefined
        this.#say(`${name}: ${error instanceof Error ? error.message : String(error)}`)
        if (!(error instanceof ApiUnreachable || (error instanceof ApiRefused && error.status >= 500))) return undefined
        await pause(retryPauseMs)
      }
    }
    return undefined
  }

  #tell(collection: Collection, event: StoreEvent): void {
    for (const listener of [...collection.listeners]) listener(structuredClone(event))
  }

  #collection(resource: Resource): Collection {
    const collection = this.#collections.get(pathOf(resource))
    if (collection) return collection
    throw new StoreError(404, 'NotFound', 'the server could not find the requested resource')
  }
}

function unsupported(what: string): Error {
  return new Error(`${what} is not for a real API server`)
}

function pathOf({ group, version, plural }: Resource): string {
  return `${group}/${version}/${plural}`
}

function apiVersionOf({ group, version }: Resource): string {
  return group ? `${group}/${version}` : version
}

function keyOf({ metadata }: KubernetesObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`
}

function objectKey({ apiVersion, kind, metadata }: KubernetesObject): ObjectKey {
  return { apiVersion, kind, namespace: metadata.namespace, name: metadata.name }
}

/** Kubernetes 1.35 and later promise that they can be compared. */
function versionOf({ metadata }: KubernetesObject): bigint {
  return BigInt(metadata.resourceVersion ?? 0)
}

function byVersion(a: KubernetesObject, b: KubernetesObject): number {
  return versionOf(a) < versionOf(b) ? -1 : 1
}
