import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'

/** A Kubernetes object as JSON. */
export interface KubernetesObject {
  apiVersion: string
  kind: string
  metadata: {
    name: string
    namespace?: string
    uid?: string
    resourceVersion?: string
    generation?: number
    creationTimestamp?: string
    deletionTimestamp?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
    finalizers?: string[]
    managedFields?: unknown[]
    [field: string]: unknown
  }
  // biome-ignore lint/suspicious/noExplicitAny: the store keeps whatever shape a kind has
  spec?: any
  // biome-ignore lint/suspicious/noExplicitAny: as above
  status?: any
  [field: string]: unknown
}

export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubernetesObject
  /** What it was before, for MODIFIED. */
  readonly previous?: KubernetesObject
}

/**
 * The objects of one simulated cluster, with the API server's rules: one resourceVersion counter for all kinds,
 * generation bumped by changes of spec only, status written through its subresource only, optimistic locking,
 * a bounded event history (watches from before it are told 410 Gone). Reads answer deep copies.
 *
 * The HTTP server serves it to clients; the simulated controllers use it directly. Rejections throw StoreError.
 */
export interface ObjectStore {
  /** Makes a kind known (a CRD installed). Kinds that are not registered are 404. */
  register(resource: Resource): void
  /** Removes a kind and its objects (a CRD deleted). */
  unregister(resource: Resource): void
  /** Every registered kind, in the order of registration. */
  served(): readonly Resource[]
  /** The version that a list would answer now. */
  currentVersion(): string
  list(resource: Resource): { items: KubernetesObject[]; resourceVersion: string }
  get(resource: Resource, namespace: string, name: string): KubernetesObject | undefined
  /** Throws StoreError 409 when it exists. */
  create(resource: Resource, object: KubernetesObject, manager: string): KubernetesObject
  /**
   * Read-modify-write without a conflict: `change` mutates a copy. `subresource` 'status' keeps only changes of
   * status; without it changes of status are dropped. Nothing is written (and no event sent) when nothing changed.
   * A `change` that sets another resourceVersion or uid is a StoreError 409. Answers undefined when the object does
   * not exist.
   */
  update(
    resource: Resource,
    namespace: string,
    name: string,
    change: (object: KubernetesObject) => void,
    options: { manager: string; subresource?: 'status' },
  ): KubernetesObject | undefined
  /**
   * Server-side apply with force, as kustomize-controller does it: creates, or merges the manifest's fields over the
   * object; fields that the manager applied before and no longer applies go away; fields of others stay. Records
   * managedFields (manager, operation Apply, fieldsV1 for spec, labels and annotations). What managers own whose names
   * begin with one of `takeOverFrom` counts as applied by this one: it goes away unless the manifest sets it.
   */
  apply(
    resource: Resource,
    manifest: KubernetesObject,
    manager: string,
    options?: { takeOverFrom?: readonly string[] },
  ): KubernetesObject
  /**
   * Sets deletionTimestamp when finalizers remain, else removes. A pod that was given to a node and has not ended is
   * left to its kubelet for its grace, in seconds (default: its spec's; a second delete may shorten it); 0 removes it
   * at once. Does nothing when the object does not exist.
   */
  delete(resource: Resource, namespace: string, name: string, options?: { gracePeriodSeconds?: number }): void
  /** Every change from now on, in order, synchronously after the write. Returns the unsubscribe function. */
  subscribe(resource: Resource, listener: (event: StoreEvent) => void): () => void
  /** The remembered changes of a kind after `resourceVersion`, in order. Throws StoreError 410 when it is too old. */
  since(resource: Resource, resourceVersion: string): StoreEvent[]
  /** Forgets every change so far: `since` any earlier resourceVersion is 410 from now on. */
  forgetHistory(): void
}

/** A refusal, with the HTTP status that the API server would answer. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly status: 404 | 409 | 410 | 422
  readonly reason: string

  constructor(status: 404 | 409 | 410 | 422, reason: string, message: string) {
    super(message)
    this.status = status
    this.reason = reason
  }
}
