import { condition } from '../../flux/object.ts'
import { parseWorkload } from '../../flux/workload.ts'
import type { Cluster } from '../../kubernetes/cluster.ts'
import { listServed } from '../../kubernetes/list-served.ts'

/**
 * By its conditions: a run sets Ready to Unknown when it begins, and leaves it so when its plan waits for an approval. One
 * that never ran says nothing. Throws ObjectUnreadable.
 */
export function isRunning(raw: unknown): boolean {
  const { conditions } = parseWorkload('Terraform', raw)
  if (condition(conditions, 'Reconciling')?.status === 'True') return true
  const ready = condition(conditions, 'Ready')
  return ready?.status === 'Unknown' && ready.reason !== 'TerraformPlannedWithChanges'
}

/** Keys of all Terraform objects whose runs go on. Rejects with ClusterError, and ObjectUnreadable: it may run. */
export async function runsIn(cluster: Cluster): Promise<string[]> {
  const items = (await listServed(cluster, 'Terraform')) ?? []
  return items.filter(isRunning).map((raw) => parseWorkload('Terraform', raw).key)
}
