import type { Cluster } from '../lib/kubernetes/cluster.ts'
import type { Log } from '../lib/log.ts'
import { handBackApprovals } from '../lib/plans/approve-plan.ts'
import type { Rollout } from '../lib/rollout/rollout.ts'

/**
 * Takes out again what people's approvals have set on the objects of a rollout that ends. An approval whose plan is not
 * applied yet stays: it is of the very plan that people saw. Rejects with ClusterError for what can pass.
 */
export async function handBackPlans(rollout: Rollout, cluster: Cluster, log: Log): Promise<void> {
  const keys = rollout.objects
    .filter(({ approvedPlan, waitsForPlan }) => approvedPlan || waitsForPlan)
    .map(({ key }) => key)
  const refused = await handBackApprovals(cluster, keys)
  if (refused.length > 0) log.warn('spec.approvePlan stays as it is', { rollout: rollout.id, refused: refused.length })
}
