import { condition } from '../flux/object.ts'
import { parseWorkload } from '../flux/workload.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { listServed } from '../kubernetes/list-served.ts'

/** By its conditions: a run sets Ready to Unknown when it begins. One that never ran says nothing. Throws ObjectUnreadable. */
export function isRunning(raw: unknown): boolean {
  const { conditions } = parseWorkload('Terraform', raw)
  const is = (type: string, status: string) => condition(conditions, type)?.status === status
  return is('Reconciling', 'True') || is('Ready', 'Unknown')
}

/** Keys of all Terraform objects whose runs go on. Rejects with ClusterError, and ObjectUnreadable: it may run. */
export async function runsIn(cluster: Cluster): Promise<string[]> {
  const items = (await listServed(cluster, 'Terraform')) ?? []
  return items.filter(isRunning).map((raw) => parseWorkload('Terraform', raw).key)
}
