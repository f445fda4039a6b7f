import { type AnyKind, type Cluster, ClusterError, type ObjectRef } from './cluster.ts'

/** The raw object; undefined where it does not exist. Throws other ClusterErrors. */
export async function getIfThere(cluster: Cluster, ref: ObjectRef<AnyKind>): Promise<unknown> {
  try {
    return await cluster.get(ref)
  } catch (error) {
    if (error instanceof ClusterError && error.name === 'ClusterNotFound') return undefined
    throw error
  }
}
