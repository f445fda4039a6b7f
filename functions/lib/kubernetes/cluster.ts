import { LockstepError } from '../errors.ts'

/** A kind as the API server serves it: `/apis/<group>/<version>/<plural>`, or `/api/<version>/<plural>`. */
export interface Resource {
  readonly kind: string
  /** `''` for the core group. */
  readonly group: string
  readonly version: string
  readonly plural: string
}

/** The kinds that Lockstep reads, at the versions that Flux 2.9 and tofu-controller 0.16 serve. */
export const resources = {
  GitRepository: {
    kind: 'GitRepository',
    group: 'source.toolkit.fluxcd.io',
    version: 'v1',
    plural: 'gitrepositories',
  },
  OCIRepository: {
    kind: 'OCIRepository',
    group: 'source.toolkit.fluxcd.io',
    version: 'v1',
    plural: 'ocirepositories',
  },
  HelmChart: { kind: 'HelmChart', group: 'source.toolkit.fluxcd.io', version: 'v1', plural: 'helmcharts' },
  Kustomization: {
    kind: 'Kustomization',
    group: 'kustomize.toolkit.fluxcd.io',
    version: 'v1',
    plural: 'kustomizations',
  },
  HelmRelease: { kind: 'HelmRelease', group: 'helm.toolkit.fluxcd.io', version: 'v2', plural: 'helmreleases' },
  Terraform: { kind: 'Terraform', group: 'infra.contrib.fluxcd.io', version: 'v1alpha2', plural: 'terraforms' },
} as const satisfies Record<string, Resource>

export type Kind = keyof typeof resources

/** The kinds that Kubernetes itself brings, as far as Lockstep reads them. No fleet lacks them, and none orders them. */
export const builtinResources = {
  Deployment: { kind: 'Deployment', group: 'apps', version: 'v1', plural: 'deployments' },
  Pod: { kind: 'Pod', group: '', version: 'v1', plural: 'pods' },
  Node: { kind: 'Node', group: '', version: 'v1', plural: 'nodes' },
  Secret: { kind: 'Secret', group: '', version: 'v1', plural: 'secrets' },
  ConfigMap: { kind: 'ConfigMap', group: '', version: 'v1', plural: 'configmaps' },
  Lease: { kind: 'Lease', group: 'coordination.k8s.io', version: 'v1', plural: 'leases' },
  HorizontalPodAutoscaler: {
    kind: 'HorizontalPodAutoscaler',
    group: 'autoscaling',
    version: 'v2',
    plural: 'horizontalpodautoscalers',
  },
} as const satisfies Record<string, Resource>

export type AnyKind = Kind | keyof typeof builtinResources

/** Names one object in one cluster. */
export interface ObjectRef<K extends AnyKind = Kind> {
  readonly kind: K
  /** `''` for a Node, which is in none. */
  readonly namespace: string
  readonly name: string
}

/** `Terraform/flux-system/vpc`, `Node/node-1`: how objects are named to people, in annotations and in the ledger. */
export function refKey({ kind, namespace, name }: ObjectRef<AnyKind>): string {
  return namespace === '' ? `${kind}/${name}` : `${kind}/${namespace}/${name}`
}

/** Which objects of a kind are meant; all of them where nothing is said. */
export interface ListOptions {
  readonly namespace?: string
  /** As kubectl takes it: `app.kubernetes.io/name=tofu-controller,app=x`. */
  readonly labelSelector?: string
}

export interface Listing {
  /** Raw objects: parse before use. */
  readonly items: readonly unknown[]
  readonly resourceVersion: string
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  /** Raw object: parse before use. */
  readonly object: unknown
}

export type Patch =
  /** RFC 7396. With `resourceVersion` the patch fails with ClusterConflict when the object has moved on. */
  | { readonly type: 'merge'; readonly body: object; readonly resourceVersion?: string }
  /** RFC 6902. A failing `test` operation is a PatchTestFailed, and nothing is changed. */
  | { readonly type: 'json'; readonly operations: readonly JsonPatchOperation[] }

export type JsonPatchOperation =
  | { readonly op: 'test' | 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }

/** A part of an object that is served at a path of its own, with rights of its own. */
export type Subresource = 'status' | 'scale'

export interface OfSubresource<S extends Subresource> {
  /**
   * `scale` is there for Deployments only: an autoscaling/v1 Scale, at the resourceVersion of the Deployment. It has no
   * `spec.replicas` while none are wanted: a JSON patch has nothing to test or replace then.
   */
  readonly subresource?: S
}

/**
 * One Kubernetes cluster, as far as Lockstep needs it. Implementations: `kubernetes-client.ts` over
 * @kubernetes/client-node. Every method rejects with one of the ClusterError names below.
 */
export interface Cluster {
  readonly name: string
  /** All objects of one kind, in all namespaces unless one is named, at one resourceVersion. */
  list(kind: AnyKind, options?: ListOptions): Promise<Listing>
  /**
   * One watch connection. Calls `onEvent` in order; resolves when the server or `signal` ends it.
   * Rejects with ClusterGone when `resourceVersion` is too old (HTTP 410, or an ERROR event with code 410).
   */
  watch(kind: Kind, resourceVersion: string, onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<void>
  /** The raw object, or its scale. Rejects with ClusterNotFound. */
  get(ref: ObjectRef<AnyKind>, options?: OfSubresource<'scale'>): Promise<unknown>
  /**
   * Patches as field manager `lockstep`; answers the raw object, or its scale, after the patch. A patch of `status`
   * changes nothing but the status, and one without a subresource leaves the status alone.
   */
  patch(ref: ObjectRef<AnyKind>, patch: Patch, options?: OfSubresource<Subresource>): Promise<unknown>
  /**
   * Creates an object as field manager `lockstep`; answers it as it was stored. `content` is all of it but what `ref`
   * says: labels, annotations, spec, data. Rejects with AlreadyExists where there is one of that name.
   */
  create(ref: ObjectRef<AnyKind>, content: ObjectContent): Promise<unknown>
  /**
   * Has this one object deleted, never one that came after it under the same name. A pod is left the grace of its spec.
   * May be asked again after a lost answer.
   */
  delete(ref: ObjectRef<AnyKind>, { uid }: { readonly uid: string }): Promise<Deletion>
}

/** An object without its kind and its name. */
export interface ObjectContent {
  readonly metadata?: { readonly labels?: object; readonly annotations?: object }
  readonly [field: string]: unknown
}

export type Deletion =
  /** Accepted: the object is there until its grace and its finalizers are over. */
  | 'deleted'
  /** There is no object of that name. */
  | 'gone'
  /** There is an object of that name with another UID, hence not the one that was meant. It was left alone. */
  | 'another'

export type ClusterErrorName =
  | 'ClusterUnauthorized' // 401
  | 'ClusterForbidden' // 403
  | 'ClusterNotFound' // 404 on an object
  | 'KindNotServed' // 404 on a list or watch: the CRD is not installed
  | 'ClusterConflict' // 409
  | 'AlreadyExists' // 409 on a create, by its reason
  | 'ClusterGone' // 410
  | 'PatchTestFailed' // 422 on a JSON patch
  | 'ClusterRejected' // any other 4xx
  | 'ClusterThrottled' // 429
  | 'ClusterUnavailable' // 5xx, refused, reset, timed out

/** An answer of a cluster's API that is not a success. Never carries a token, a header or a request body. */
export class ClusterError extends LockstepError {
  declare readonly name: ClusterErrorName
  readonly cluster: string
  /** HTTP status, or 0 where there was no answer. */
  readonly status: number
  /** How long the server asks to wait before the next try, in milliseconds (its Retry-After). */
  readonly retryAfterMs: number | undefined

  constructor(
    name: ClusterErrorName,
    cluster: string,
    status: number,
    message: string,
    next: string,
    options?: ErrorOptions & { readonly retryAfterMs?: number | undefined },
  ) {
    super(name, message, next, options)
    this.cluster = cluster
    this.status = status
    this.retryAfterMs = options?.retryAfterMs
  }
}
