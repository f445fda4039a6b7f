import { type Cluster, ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'

/** The same cluster; what it forbids is written down, whatever is made of it. */
export function noting(cluster: Cluster, refusals: ClusterError[]): Cluster {
  const noted = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (error instanceof ClusterError && error.name === 'ClusterForbidden') refusals.push(error)
      throw error
    }
  }
  return {
    name: cluster.name,
    list: (kind, options) => noted(cluster.list(kind, options)),
    get: (ref, options) => noted(cluster.get(ref, options)),
    patch: (ref, patch, options) => noted(cluster.patch(ref, patch, options)),
    create: (ref, content) => noted(cluster.create(ref, content)),
    delete: (ref, options) => noted(cluster.delete(ref, options)),
    watch: (...watch) => noted(cluster.watch(...watch)),
  }
}
