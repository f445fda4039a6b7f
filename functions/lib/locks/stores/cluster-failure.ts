import { ClusterError, type ClusterErrorName } from '../../kubernetes/cluster.ts'
import { LockStoreError, type LockStoreErrorName } from './lock-store.ts'

/** What was asked of a cluster. */
export interface ClusterRequest {
  /** The store's name. */
  readonly store: string
  /** `get` */
  readonly verb: string
  /** `leases.coordination.k8s.io` */
  readonly resource: string
}

const storeErrors: Partial<Record<ClusterErrorName, LockStoreErrorName>> = {
  ClusterUnauthorized: 'LockStoreForbidden',
  ClusterForbidden: 'LockStoreForbidden',
  KindNotServed: 'LockStoreMissing',
  ClusterThrottled: 'LockStoreThrottled',
  ClusterUnavailable: 'LockStoreUnavailable',
}

/** The LockStoreError for a ClusterError; anything else as it is. */
export function clusterFailure({ store, verb, resource }: ClusterRequest, error: unknown): unknown {
  if (!(error instanceof ClusterError)) return error
  const { name, next, status } = error
  const as = storeErrors[name] ?? 'LockStoreRejected'
  const needed = as === 'LockStoreForbidden' ? `It takes ${verb} on ${resource}. ` : ''
  const message = `${verb} on ${resource} was answered with ${status || 'nothing'} (${name}).`
  return new LockStoreError(as, store, message, `${needed}${next}`)
}
