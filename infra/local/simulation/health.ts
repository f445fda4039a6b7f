import type { KubernetesObject, ObjectStore } from '../kubernetes/object-store.ts'
import { conditionOf, isTrue, type Status } from './conditions.ts'
import { isServed, resourceOf, simulatedKind } from './kinds.ts'

export type Health = 'Current' | 'InProgress' | 'Failed' | 'Terminating' | 'NotFound'

export interface HealthTarget {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

/** kstatus as kustomize-controller uses it. Kinds without a simulated controller are healthy as soon as they exist. */
export function healthOf(store: ObjectStore, target: HealthTarget): Health {
  if (!simulatedKind(target.apiVersion, target.kind)) return 'Current'
  const resource = resourceOf(target.apiVersion, target.kind)
  if (!isServed(store, resource)) return 'NotFound'
  const object = store.get(resource, target.namespace, target.name)
  return object ? kstatus(object) : 'NotFound'
}

/**
 * The order of the questions is kstatus's own. Ready False is still InProgress: only Stalled is final. The CRDs of
 * Flux and tofu-controller default observedGeneration to -1, so that an object nobody looked at yet is InProgress.
 */
export function kstatus(object: KubernetesObject): Health {
  const status: Status = object.status ?? {}
  if (object.metadata.deletionTimestamp) return 'Terminating'
  if ((status.observedGeneration ?? -1) !== object.metadata.generation) return 'InProgress'
  if (isTrue(status, 'Reconciling')) return 'InProgress'
  if (isTrue(status, 'Stalled')) return 'Failed'
  const ready = conditionOf(status, 'Ready')
  if (ready && ready.status !== 'True') return 'InProgress'
  return 'Current'
}
