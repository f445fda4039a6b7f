import { type AnyKind, type Cluster, ClusterError, type ObjectRef } from './cluster.ts'

/** The raw object; undefined where there is none, or none of its kind. Rejects with ClusterError. */
export async function getIfThere(cluster: Cluster, ref: ObjectRef<AnyKind>): Promise<unknown> {
  try {
    return await cluster.get(ref)
  } catch (error) {
    if (error instanceof ClusterError && ['ClusterNotFound', 'KindNotServed'].includes(error.name)) return undefined
    throw error
  }
}
