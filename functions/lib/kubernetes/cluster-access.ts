import type { Cluster } from './cluster.ts'

/** Reaches the fleet's clusters by name. Implementations: `eks.ts`; the local host's `kubeconfig-clusters.ts`. */
export interface ClusterAccess {
  /**
   * The cluster of that name, ready for requests; made once and kept, so that a warm function does not start over.
   * Throws LockstepError when the cluster cannot be found or reached through AWS; the cluster's own API is not called.
   */
  connect(name: string): Promise<Cluster>
}
