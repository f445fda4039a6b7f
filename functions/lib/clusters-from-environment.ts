import { required } from './environment.ts'
import type { ClusterAccess } from './kubernetes/cluster-access.ts'
import { eksClusters } from './kubernetes/eks.ts'
import type { Ports } from './step.ts'

/**
 * The fleet's clusters, as a function of that name reaches them: through the role CLUSTER_ROLE_ARN, which it takes on under its
 * own name, so that the audit log of a cluster tells which function did what. A function that reaches none has no such role.
 */
export function clustersFromEnvironment({ clock, fleet }: Pick<Ports, 'clock' | 'fleet'>, name: string): ClusterAccess {
  let clusters: ClusterAccess | undefined
  return {
    async connect(cluster) {
      const arn = required('CLUSTER_ROLE_ARN', process.env.CLUSTER_ROLE_ARN)
      clusters ??= eksClusters({ clock, fleet, role: { arn, sessionName: name } })
      return clusters.connect(cluster)
    },
  }
}
