import { type Cluster, ClusterError, type Kind } from './cluster.ts'

/** All raw objects of a kind; undefined where the cluster does not serve it (no CRD). Throws other ClusterErrors. */
export async function listServed(cluster: Cluster, kind: Kind): Promise<readonly unknown[] | undefined> {
  try {
    return (await cluster.list(kind)).items
  } catch (error) {
    if (error instanceof ClusterError && error.name === 'KindNotServed') return undefined
    throw error
  }
}
