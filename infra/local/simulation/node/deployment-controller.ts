import { createHash } from 'node:crypto'
import type { Clock } from '../../../../functions/lib/clock.ts'
import { builtinResources } from '../../kubernetes/builtin-resources.ts'
import type { KubernetesObject, ObjectStore } from '../../kubernetes/object-store.ts'
import { timestamp } from '../conditions.ts'

const { Deployment, Pod } = builtinResources
const manager = 'kube-controller-manager'

/**
 * Keeps as many pods as each Deployment asks for, and counts them in its status. Without ReplicaSets: the pods belong
 * to the Deployment. A changed template is met by new pods only.
 */
export class DeploymentController {
  private readonly store: ObjectStore
  private readonly clock: Clock
  private unsubscribe: (() => void)[] = []
  private created = 0

  constructor(store: ObjectStore, clock: Clock) {
    this.store = store
    this.clock = clock
  }

  start(): void {
    if (this.unsubscribe.length > 0) return
    this.unsubscribe = [
      this.store.subscribe(Deployment, ({ type, object }) => {
        if (type === 'DELETED') this.deleteAll(object)
        else this.reconcile(object.metadata.namespace ?? '', object.metadata.name)
      }),
      this.store.subscribe(Pod, ({ object }) => {
        const owner = object.metadata.ownerReferences as { kind: string; name: string }[] | undefined
        if (owner?.[0]?.kind === 'Deployment') this.reconcile(object.metadata.namespace ?? '', owner[0].name)
      }),
    ]
    for (const { metadata } of this.store.list(Deployment).items)
      this.reconcile(metadata.namespace ?? '', metadata.name)
  }

  stop(): void {
    for (const stop of this.unsubscribe) stop()
    this.unsubscribe = []
  }

  private reconcile(namespace: string, name: string): void {
    const deployment = this.store.get(Deployment, namespace, name)
    if (!deployment) return
    const wanted = Number(deployment.spec?.replicas ?? 1)
    const active = this.podsOf(deployment).filter(isActive)
    for (const pod of active.slice(wanted)) this.store.delete(Pod, namespace, pod.metadata.name)
    for (let missing = wanted - active.length; missing > 0; missing--) {
      this.store.create(Pod, this.newPod(deployment), manager)
    }
    this.count(deployment)
  }

  private deleteAll(deployment: KubernetesObject): void {
    const namespace = deployment.metadata.namespace ?? ''
    for (const { metadata } of this.podsOf(deployment)) this.store.delete(Pod, namespace, metadata.name)
  }

  private count(deployment: KubernetesObject): void {
    const { namespace = '', name, generation } = deployment.metadata
    const active = this.podsOf(deployment).filter(isActive)
    const ready = active.filter(isReady).length
    const available = ready >= Number(deployment.spec?.replicas ?? 1)
    const write = (object: KubernetesObject) => {
      const [before] = object.status?.conditions ?? []
      const status = available ? 'True' : 'False'
      object.status = {
        observedGeneration: generation,
        ...(active.length > 0 && { replicas: active.length, updatedReplicas: active.length }),
        ...(ready > 0 && { readyReplicas: ready, availableReplicas: ready }),
        ...(active.length > ready && { unavailableReplicas: active.length - ready }),
        conditions: [
          {
            type: 'Available',
            status,
            reason: available ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
            lastTransitionTime: before?.status === status ? before.lastTransitionTime : timestamp(this.clock),
          },
        ],
      }
    }
    this.store.update(Deployment, namespace, name, write, { manager, subresource: 'status' })
  }

  private podsOf({ metadata }: KubernetesObject): KubernetesObject[] {
    return this.store.list(Pod).items.filter((pod) => {
      const owners = pod.metadata.ownerReferences as { uid: string }[] | undefined
      return owners?.some(({ uid }) => uid === metadata.uid)
    })
  }

  private newPod({ apiVersion, kind, metadata, spec }: KubernetesObject): KubernetesObject {
    const id = createHash('sha256')
      .update(`${metadata.uid} ${this.created++}`)
      .digest('hex')
    const template: Partial<KubernetesObject> = structuredClone(spec?.template ?? {})
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      ...template,
      metadata: {
        ...template.metadata,
        name: `${metadata.name}-${id.slice(0, 10)}-${id.slice(10, 15)}`,
        namespace: metadata.namespace ?? '',
        ownerReferences: [{ apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true }],
      },
    }
  }
}

/** Counts towards the replicas: not on its way out, and not ended. */
function isActive({ metadata, status }: KubernetesObject): boolean {
  return metadata.deletionTimestamp === undefined && !['Failed', 'Succeeded'].includes(status?.phase)
}

function isReady({ status }: KubernetesObject): boolean {
  const conditions: { type: string; status: string }[] = status?.conditions ?? []
  return conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True')
}
