import { ApiError } from './api-status.ts'
import type { KubernetesObject } from './object-store.ts'

interface Scale {
  metadata: object
  spec: { replicas?: unknown }
}

/** The autoscaling/v1 Scale of an object with `spec.replicas` and a label selector. A count of 0 is left out. */
export function scaleOf(object: KubernetesObject): object {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  const replicas = object.spec?.replicas ?? 1
  const labels: Record<string, string> = object.spec?.selector?.matchLabels ?? {}
  const selector = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: replicas === 0 ? {} : { replicas },
    status: { replicas: object.status?.replicas ?? 0, selector },
  }
}

/** Changes the scale of `object` in place. Throws ApiError 422 when the replicas are no count. */
export function applyScale(object: KubernetesObject, change: (scale: object) => void): void {
  const scale = scaleOf(object) as Scale
  change(scale)
  const replicas = scale.spec?.replicas ?? 0
  if (!Number.isInteger(replicas) || (replicas as number) < 0) {
    throw new ApiError(422, 'Invalid', `Scale "${object.metadata.name}" is invalid: spec.replicas: Invalid value`)
  }
  // Brings along the resourceVersion that the client meant.
  object.metadata = { ...object.metadata, ...scale.metadata }
  object.spec = { ...object.spec, replicas }
}
