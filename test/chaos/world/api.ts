import type { Clock } from '../../../functions/lib/clock.ts'
import {
  type AnyKind,
  builtinResources,
  ClusterError,
  type Listing,
  type ListOptions,
  type Resource,
  resources,
} from '../../../functions/lib/kubernetes/cluster.ts'
import { refOfKey } from '../../../functions/lib/unlock/hold/intent.ts'
import { MemoryObjectStore } from '../../../infra/local/kubernetes/memory-object-store.ts'
import type { KubernetesObject, StoreEvent } from '../../../infra/local/kubernetes/object-store.ts'
import { StoreCluster } from '../../fixtures/store-cluster.ts'

const served: Readonly<Record<AnyKind, Resource>> = { ...resources, ...builtinResources }

/** Kinds whose changes somebody in the world reacts to, or that are checked. */
const followed = ['Deployment', 'Pod', 'Terraform', 'HelmRelease', 'Kustomization', 'Lease'] as const

/** The API server: the objects as everybody sees them. Objects are named by their keys, `Terraform/flux-system/vpc`. */
export class Api {
  /** It answers nobody. */
  down = false
  /** Whoever writes now is Lockstep. */
  isLockstep = false
  /** As Lockstep is connected to it. */
  readonly cluster: StoreCluster
  private readonly store: MemoryObjectStore
  private readonly followers: ((key: string, event: StoreEvent) => void)[] = []

  /** `heartbeats` answers the Leases that nodes and a leader renew: they are as of now, whenever they are read. */
  constructor(clock: Clock, heartbeats: () => readonly KubernetesObject[]) {
    this.store = new MemoryObjectStore({ clock, historyLimit: 1 })
    for (const resource of Object.values(served)) this.store.register(resource)
    this.cluster = new ChaosCluster(this.store, heartbeats, () => this.down)
    // Once for all: each subscriber of the store gets a copy of its own.
    for (const kind of followed) {
      this.store.subscribe(served[kind], (event) => {
        const key = keyOf(kind, event.object)
        for (const follower of this.followers) follower(key, event)
      })
    }
  }

  /** After every write of anybody. What it is told must not be changed. */
  follow(follower: (key: string, event: StoreEvent) => void): void {
    this.followers.push(follower)
  }

  get(key: string): KubernetesObject | undefined {
    const { kind, namespace, name } = refOfKey<AnyKind>(key)
    return this.store.get(served[kind], namespace, name)
  }

  /** Changes what is not status, as somebody. Nothing where there is no such object. */
  edit(key: string, manager: string, change: (object: KubernetesObject) => void): void {
    const { kind, namespace, name } = refOfKey<AnyKind>(key)
    this.store.update(served[kind], namespace, name, change, { manager })
  }

  editStatus(key: string, manager: string, change: (object: KubernetesObject) => void): void {
    const { kind, namespace, name } = refOfKey<AnyKind>(key)
    this.store.update(served[kind], namespace, name, change, { manager, subresource: 'status' })
  }

  /** Server-side apply, as Flux does it. */
  apply(key: string, manager: string, content: Pick<KubernetesObject, 'spec'> & { readonly labels?: object }): void {
    const { kind } = refOfKey<AnyKind>(key)
    this.store.apply(served[kind], objectOf(key, content), manager)
  }

  create(key: string, manager: string, content: Content): KubernetesObject {
    const { kind } = refOfKey<AnyKind>(key)
    const made = this.store.create(served[kind], objectOf(key, content), manager)
    if (content.status !== undefined) {
      this.editStatus(key, manager, (object) => {
        object.status = content.status
      })
    }
    return made
  }

  /** A pod is left its grace, unless one is given, in seconds. */
  remove(key: string, gracePeriodSeconds?: number): void {
    const { kind, namespace, name } = refOfKey<AnyKind>(key)
    this.store.delete(served[kind], namespace, name, gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds })
  }

  list(kind: AnyKind): KubernetesObject[] {
    return this.store.list(served[kind]).items
  }
}

interface Content {
  readonly labels?: object
  readonly annotations?: object
  readonly spec?: object
  readonly data?: object
  readonly status?: object
}

class ChaosCluster extends StoreCluster {
  private readonly heartbeats: () => readonly KubernetesObject[]
  private readonly isDown: () => boolean

  constructor(store: MemoryObjectStore, heartbeats: () => readonly KubernetesObject[], isDown: () => boolean) {
    super('staging', store)
    this.heartbeats = heartbeats
    this.isDown = isDown
  }

  override async list(kind: AnyKind, options: ListOptions = {}): Promise<Listing> {
    this.check()
    const listing = await super.list(kind, options)
    return kind === 'Lease' ? { ...listing, items: [...listing.items, ...this.heartbeats()] } : listing
  }

  override async get(...asked: Parameters<StoreCluster['get']>): Promise<unknown> {
    this.check()
    return super.get(...asked)
  }

  override async patch(...asked: Parameters<StoreCluster['patch']>): Promise<unknown> {
    this.check()
    return super.patch(...asked)
  }

  override async create(...asked: Parameters<StoreCluster['create']>): Promise<unknown> {
    this.check()
    return super.create(...asked)
  }

  override async delete(...asked: Parameters<StoreCluster['delete']>): ReturnType<StoreCluster['delete']> {
    this.check()
    return super.delete(...asked)
  }

  private check(): void {
    if (!this.isDown()) return
    throw new ClusterError('ClusterUnavailable', this.name, 0, `${this.name} does not answer.`, 'It is tried again.')
  }
}

function objectOf(key: string, { labels, annotations, ...content }: Content): KubernetesObject {
  const { kind, namespace, name } = refOfKey<AnyKind>(key)
  const { group, version } = served[kind]
  return {
    apiVersion: group === '' ? version : `${group}/${version}`,
    kind,
    metadata: {
      name,
      ...(namespace !== '' && { namespace }),
      ...(labels && { labels: { ...labels } }),
      ...(annotations && { annotations: { ...annotations } }),
    },
    ...content,
  }
}

function keyOf(kind: string, { metadata }: KubernetesObject): string {
  return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`
}

/** As Kubernetes writes it: whole seconds. */
export function timeText(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}
