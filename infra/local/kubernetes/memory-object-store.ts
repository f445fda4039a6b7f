import { randomUUID } from 'node:crypto'
import type { Clock } from '../../../functions/lib/clock.ts'
import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import {
  changes,
  type FieldPaths,
  leaves,
  type ManagedFieldsEntry,
  mergeApplied,
  parseFields,
  recordWrite,
  removeField,
  sameJson,
  sameWriter,
  takeOver,
  without,
} from './managed-fields.ts'
import { type KubernetesObject, type ObjectStore, StoreError, type StoreEvent } from './object-store.ts'

interface Collection {
  readonly resource: Resource
  /** By `namespace/name`. What is in here is never changed in place: a write puts a new object. */
  readonly objects: Map<string, KubernetesObject>
  readonly listeners: Set<(event: StoreEvent) => void>
}

interface Change {
  readonly version: number
  readonly collection: Collection
  readonly event: StoreEvent
}

interface Writer {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly subresource?: 'status'
  /** What an apply's manifest sets. */
  readonly applied?: FieldPaths
}

/** A cluster has always lived before: a watch from its beginning is too old. */
const firstVersion = 1000

/** An ObjectStore in memory. `historyLimit` is how many changes, over all kinds, a watch can go back (default 10,000). */
export class MemoryObjectStore implements ObjectStore {
  private readonly clock: Clock
  private readonly historyLimit: number
  private readonly collections = new Map<string, Collection>()
  private version = firstVersion
  private history: Change[] = []
  private readonly undelivered: Change[] = []
  private delivering = false
  /** The oldest resourceVersion after which every change is still remembered. */
  private remembered = firstVersion

  constructor(options: { clock: Clock; historyLimit?: number }) {
    this.clock = options.clock
    this.historyLimit = options.historyLimit ?? 10_000
  }

  register(resource: Resource): void {
    if (this.collections.has(path(resource))) return
    this.collections.set(path(resource), { resource, objects: new Map(), listeners: new Set() })
  }

  unregister(resource: Resource): void {
    const collection = this.collections.get(path(resource))
    if (!collection) return
    for (const object of [...collection.objects.values()]) this.remove(collection, object)
    this.collections.delete(path(resource))
  }

  served(): readonly Resource[] {
    return [...this.collections.values()].map((collection) => collection.resource)
  }

  currentVersion(): string {
    return `${this.version}`
  }

  list(resource: Resource): { items: KubernetesObject[]; resourceVersion: string } {
    const objects = this.collection(resource).objects
    const keys = [...objects.keys()].sort()
    return {
      items: keys.map((key) => copy(objects.get(key) as KubernetesObject)),
      resourceVersion: this.currentVersion(),
    }
  }

  get(resource: Resource, namespace: string, name: string): KubernetesObject | undefined {
    const object = this.collection(resource).objects.get(`${namespace}/${name}`)
    return object && copy(object)
  }

  create(resource: Resource, object: KubernetesObject, manager: string): KubernetesObject {
    return this.insert(this.collection(resource), object, { manager, operation: 'Update' })
  }

  update(
    resource: Resource,
    namespace: string,
    name: string,
    change: (object: KubernetesObject) => void,
    options: { manager: string; subresource?: 'status' },
  ): KubernetesObject | undefined {
    const collection = this.collection(resource)
    const current = collection.objects.get(`${namespace}/${name}`)
    if (!current) return undefined
    const wanted = copy(current)
    change(wanted)
    checkPreconditions(resource, current, wanted)
    const next = options.subresource === 'status' ? withStatusOf(current, wanted) : withoutStatusOf(current, wanted)
    return this.replace(collection, current, next, { ...options, operation: 'Update' })
  }

  apply(
    resource: Resource,
    manifest: KubernetesObject,
    manager: string,
    { takeOverFrom = [] }: { takeOverFrom?: readonly string[] } = {},
  ): KubernetesObject {
    const collection = this.collection(resource)
    const { status: _, ...wanted } = copy(manifest)
    delete wanted.metadata.managedFields
    const writer: Writer = { manager, operation: 'Apply', applied: leaves(wanted) }
    const found = collection.objects.get(key(manifest))
    if (!found) return this.insert(collection, wanted, writer)
    const current = withFieldsTakenOver(found, writer, takeOverFrom)
    checkPreconditions(resource, current, { ...current, metadata: { ...current.metadata, ...wanted.metadata } })
    const next = copy(mergeApplied(current, wanted) as KubernetesObject)
    for (const field of noLongerApplied(current, writer)) removeField(next, field)
    return this.replace(collection, current, withoutStatusOf(current, next), writer)
  }

  delete(resource: Resource, namespace: string, name: string, options: { gracePeriodSeconds?: number } = {}): void {
    const collection = this.collection(resource)
    const current = collection.objects.get(`${namespace}/${name}`)
    if (!current) return
    const grace = podGrace(resource, current, options.gracePeriodSeconds)
    if (grace === 0 && (current.metadata.finalizers ?? []).length === 0) {
      this.remove(collection, current)
      return
    }
    const before = current.metadata.deletionGracePeriodSeconds
    if (typeof before === 'number' && before <= grace) return
    const next = copy(current)
    next.metadata.deletionTimestamp = this.timestamp(grace)
    next.metadata.deletionGracePeriodSeconds = grace
    next.metadata.generation = generation(current) + 1
    this.put(collection, 'MODIFIED', next)
  }

  subscribe(resource: Resource, listener: (event: StoreEvent) => void): () => void {
    const { listeners } = this.collection(resource)
    // Each subscription is its own member, also when the same function subscribes twice.
    const own = (event: StoreEvent) => listener(event)
    listeners.add(own)
    return () => listeners.delete(own)
  }

  since(resource: Resource, resourceVersion: string): StoreEvent[] {
    const collection = this.collection(resource)
    const after = Number(resourceVersion)
    if (after < this.remembered) {
      throw new StoreError(410, 'Expired', `too old resource version: ${resourceVersion} (${this.version})`)
    }
    return this.history
      .filter((change) => change.collection === collection && change.version > after)
      .map((change) => copy(change.event))
  }

  forgetHistory(): void {
    // One version is spent, as writes elsewhere in etcd would: the newest list of before is too old as well.
    this.version++
    this.history = []
    this.remembered = this.version
  }

  private collection(resource: Resource): Collection {
    const collection = this.collections.get(path(resource))
    if (collection) return collection
    throw new StoreError(404, 'NotFound', 'the server could not find the requested resource')
  }

  private insert(collection: Collection, object: KubernetesObject, writer: Writer): KubernetesObject {
    if (collection.objects.has(key(object))) throw alreadyExists(collection.resource, object)
    const { status: _, ...next } = withoutEmptyMetadata(copy(object))
    next.metadata.uid = randomUUID()
    next.metadata.generation = 1
    next.metadata.creationTimestamp = this.timestamp()
    delete next.metadata.deletionTimestamp
    next.metadata.managedFields = this.managedFields({}, next, writer, [])
    return this.put(collection, 'ADDED', next)
  }

  private replace(
    collection: Collection,
    current: KubernetesObject,
    wanted: KubernetesObject,
    writer: Writer,
  ): KubernetesObject {
    const next = withoutEmptyMetadata(withServerFieldsOf(current, copy(wanted)))
    checkFinalizers(collection.resource, current, next)
    next.metadata.managedFields = this.managedFields(current, next, writer, entriesOf(current))
    if (sameJson(current, next)) return copy(current)
    if (!sameJson(desired(current), desired(next))) next.metadata.generation = generation(current) + 1
    if (!isOver(next)) return this.put(collection, 'MODIFIED', next)
    this.remove(collection, next)
    return copy(next)
  }

  private managedFields(
    before: object,
    after: KubernetesObject,
    { applied, ...writer }: Writer,
    entries: readonly ManagedFieldsEntry[],
  ): ManagedFieldsEntry[] {
    const write = { ...writer, apiVersion: after.apiVersion, time: this.timestamp() }
    return recordWrite(entries, write, changes(before, after), applied)
  }

  private put(collection: Collection, type: 'ADDED' | 'MODIFIED', object: KubernetesObject): KubernetesObject {
    this.version++
    object.metadata.resourceVersion = `${this.version}`
    const previous = collection.objects.get(key(object))
    collection.objects.set(key(object), object)
    const answer = copy(object)
    this.announce(collection, previous ? { type, object, previous } : { type, object })
    return answer
  }

  private remove(collection: Collection, object: KubernetesObject): void {
    this.version++
    const last = copy(object)
    last.metadata.resourceVersion = `${this.version}`
    collection.objects.delete(key(object))
    this.announce(collection, { type: 'DELETED', object: last })
  }

  private announce(collection: Collection, event: StoreEvent): void {
    const change: Change = { version: this.version, collection, event }
    this.history.push(change)
    if (this.history.length > this.historyLimit) {
      this.remembered = (this.history.shift() as Change).version
    }
    this.undelivered.push(change)
    if (this.delivering) return
    this.deliver()
  }

  /** A listener may write: what that changes is told after this event, so that every listener sees one order. */
  private deliver(): void {
    this.delivering = true
    try {
      for (let next = this.undelivered.shift(); next; next = this.undelivered.shift()) {
        for (const listener of [...next.collection.listeners]) listener(copy(next.event))
      }
    } finally {
      this.delivering = false
    }
  }

  private timestamp(inSeconds = 0): string {
    return `${new Date(this.clock.now() + inSeconds * 1_000).toISOString().slice(0, 19)}Z`
  }
}

/** How many seconds a deleted object is left to whoever runs it: only pods are, that a node has and that have not ended. */
function podGrace(resource: Resource, { spec, status }: KubernetesObject, asked: number | undefined): number {
  if (resource.kind !== 'Pod' || resource.group !== '') return 0
  const ended = ['Failed', 'Succeeded'].includes(status?.phase)
  if (!spec?.nodeName || ended) return 0
  return asked ?? spec.terminationGracePeriodSeconds ?? 30
}

/** Deleted, and nobody is waited for any more. */
function isOver({ metadata }: KubernetesObject): boolean {
  if (!metadata.deletionTimestamp || (metadata.finalizers ?? []).length > 0) return false
  return (metadata.deletionGracePeriodSeconds ?? 0) === 0
}

/** As if through JSON, in a fraction of the time: a field set to undefined is a field that is not there. */
function copy<T>(value: T): T {
  return copied(value) as T
}

function copied(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(copied)
  const copy: Record<string, unknown> = {}
  for (const [name, part] of Object.entries(value)) if (part !== undefined) copy[name] = copied(part)
  return copy
}

function path(resource: Resource): string {
  return `${resource.group}/${resource.version}/${resource.plural}`
}

function key(object: KubernetesObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`
}

function generation(object: KubernetesObject): number {
  return object.metadata.generation ?? 1
}

function entriesOf(object: KubernetesObject): ManagedFieldsEntry[] {
  return (object.metadata.managedFields ?? []) as ManagedFieldsEntry[]
}

/** What a change of generation is about: all but metadata and status. */
function desired({ metadata: _, status: __, ...rest }: KubernetesObject): object {
  return rest
}

function withStatusOf(current: KubernetesObject, wanted: KubernetesObject): KubernetesObject {
  const { status: _, ...rest } = current
  return wanted.status === undefined ? rest : { ...rest, status: wanted.status }
}

function withoutStatusOf(current: KubernetesObject, wanted: KubernetesObject): KubernetesObject {
  const { status: _, ...rest } = wanted
  return current.status === undefined ? rest : { ...rest, status: current.status }
}

/** What only the API server writes stays as it is, whatever a client sent. */
function withServerFieldsOf(current: KubernetesObject, wanted: KubernetesObject): KubernetesObject {
  const next = { ...wanted, apiVersion: current.apiVersion, kind: current.kind }
  const owned = [
    'name',
    'namespace',
    'uid',
    'resourceVersion',
    'generation',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ]
  for (const field of owned) {
    if (current.metadata[field] === undefined) delete next.metadata[field]
    else next.metadata[field] = current.metadata[field]
  }
  return next
}

/** A map or list in metadata that a change has emptied is not there any more, unlike one in spec or status. */
function withoutEmptyMetadata(object: KubernetesObject): KubernetesObject {
  const { labels, annotations, finalizers } = object.metadata
  if (labels && Object.keys(labels).length === 0) delete object.metadata.labels
  if (annotations && Object.keys(annotations).length === 0) delete object.metadata.annotations
  if (finalizers?.length === 0) delete object.metadata.finalizers
  return object
}

/** The object as if the writer had applied what managers of those names own. */
function withFieldsTakenOver(
  object: KubernetesObject,
  { applied: _, ...writer }: Writer,
  takeOverFrom: readonly string[],
): KubernetesObject {
  const managedFields = takeOver(entriesOf(object), { ...writer, apiVersion: object.apiVersion }, takeOverFrom)
  return managedFields ? { ...object, metadata: { ...object.metadata, managedFields } } : object
}

/** What this manager applied before, does not apply now, and nobody else owns; the deepest fields first. */
function noLongerApplied(current: KubernetesObject, { applied, ...writer }: Writer): string[] {
  const entries = entriesOf(current)
  const mine = entries.find((entry) => sameWriter(entry, { ...writer, apiVersion: current.apiVersion }))
  if (!mine || !applied) return []
  const others = entries.filter((entry) => entry !== mine).map((entry) => parseFields(entry.fieldsV1))
  return [...without(parseFields(mine.fieldsV1), applied)]
    .filter((field) => !others.some((paths) => paths.has(field)) && !isPrefixOfAny(field, applied))
    .sort((a, b) => b.length - a.length)
}

/** Whether a field is now a map with applied fields below it. */
function isPrefixOfAny(field: string, applied: FieldPaths): boolean {
  const prefix = `${field.slice(0, -1)},`
  return [...applied].some((path) => path.startsWith(prefix))
}

function checkPreconditions(resource: Resource, current: KubernetesObject, wanted: KubernetesObject): void {
  const { resourceVersion, uid } = wanted.metadata
  if (uid !== undefined && uid !== current.metadata.uid) {
    throw conflict(
      resource,
      current,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
    )
  }
  if (resourceVersion !== undefined && resourceVersion !== current.metadata.resourceVersion) {
    throw conflict(
      resource,
      current,
      'the object has been modified; please apply your changes to the latest version and try again',
    )
  }
}

function checkFinalizers(resource: Resource, current: KubernetesObject, next: KubernetesObject): void {
  if (!current.metadata.deletionTimestamp) return
  const before = current.metadata.finalizers ?? []
  if ((next.metadata.finalizers ?? []).every((finalizer) => before.includes(finalizer))) return
  throw new StoreError(
    422,
    'Invalid',
    `${resource.kind} "${current.metadata.name}" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted`,
  )
}

function qualified(resource: Resource): string {
  return resource.group ? `${resource.plural}.${resource.group}` : resource.plural
}

function conflict(resource: Resource, object: KubernetesObject, why: string): StoreError {
  return new StoreError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(resource)} "${object.metadata.name}": ${why}`,
  )
}

function alreadyExists(resource: Resource, object: KubernetesObject): StoreError {
  return new StoreError(409, 'AlreadyExists', `${qualified(resource)} "${object.metadata.name}" already exists`)
}
