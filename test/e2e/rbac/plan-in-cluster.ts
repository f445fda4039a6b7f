import { systemClock } from '../../../functions/lib/clock.ts'
import { silentEvents } from '../../../functions/lib/events.ts'
import { parseWorkload, type Workload } from '../../../functions/lib/flux/workload.ts'
import type { Cluster, ObjectRef } from '../../../functions/lib/kubernetes/cluster.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { handBackApproval } from '../../../functions/lib/plans/approve-plan.ts'
import { planApprovalId } from '../../../functions/lib/plans/plan-approval.ts'
import type { ShownPlan } from '../../../functions/lib/plans/shown-plan.ts'
import { readStoredPlan } from '../../../functions/lib/plans/stored-plan.ts'
import { type CarriedOut, carryOut } from '../../../functions/plan-approve/carry-out.ts'
import { PlanStore } from '../../../infra/local/simulation/tofu/plan-store.ts'
import { readablePlan } from '../../../infra/local/simulation/tofu/readable-plan.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { plannedObject, rolloutTo } from '../../fixtures/notified-rollout.ts'
import { planApprovalOf } from '../../fixtures/plan-approvals.ts'
import { type Api, keyOf } from '../cluster/api.ts'
import { kinds } from '../cluster/kinds.ts'
import { apiPlanObjects } from '../tofu/api-plan-objects.ts'

export interface PlanInClusterOptions {
  /** As Lockstep. */
  readonly cluster: Cluster
  /** As admin. */
  readonly api: Api
  /** Where a Terraform object and its plan are made for it. */
  readonly namespace: string
}

/** What came of it: see `planInCluster`. */
export interface PlanInCluster {
  /** What people are shown, in both ways in which a plan may be stored for them. */
  readonly shown: readonly ShownPlan[]
  readonly carriedOut: CarriedOut
  /** `spec.approvePlan` once people have approved the plan, and once it is applied. */
  readonly approvePlan: readonly unknown[]
}

const plan = 'plan-main-c1139c7fe7'

/**
 * All that Lockstep does in a cluster for a plan that waits for people: it reads it, sets their approval once they have
 * agreed, and takes that back when the plan is applied. Throws ClusterError.
 */
export async function planInCluster({ cluster, api, namespace }: PlanInClusterOptions): Promise<PlanInCluster> {
  const ref: ObjectRef = { kind: 'Terraform', namespace, name: 'dns' }
  const key = { ...kinds.Terraform, ...ref }
  const sourceRef = { kind: 'GitRepository', name: 'fleet' }
  const spec = { interval: '1h', path: './', approvePlan: '', storeReadablePlan: 'json', sourceRef }
  const { metadata } = await api.create({ ...kinds.Terraform, metadata: { namespace, name: 'dns' }, spec })
  const pending = (id: string) => api.patch(key, { status: { plan: { pending: id } } }, { subresource: 'status' })
  const set = async () => (await api.find(key))?.spec?.approvePlan
  try {
    await pending(plan)
    await storePlan(api, namespace, metadata.uid ?? '')
    const object = parseWorkload('Terraform', await cluster.get(ref))
    const asJson = await readStoredPlan(object, cluster)
    const asText = await readStoredPlan(storing('human', object), cluster)
    const carriedOut = await approve(object, asJson.fingerprint, cluster)
    const approved = await set()
    await pending('')
    await handBackApproval(cluster, object.key)
    return { shown: [asJson.shown, asText.shown], carriedOut, approvePlan: [approved, await set()] }
  } finally {
    await api.delete(keyOf({ ...kinds.Terraform, metadata: { namespace, name: 'dns' } }))
  }
}

/** As the runner of tofu-controller does it. */
async function storePlan(api: Api, namespace: string, uid: string): Promise<void> {
  const plans = new PlanStore(apiPlanObjects(api), { namespace, name: 'dns', uid, workspace: 'default' })
  const file = Buffer.from('a plan file')
  await plans.save(plan, file, readablePlan('human', 'a', 'b'))
  await plans.save(plan, file, readablePlan('json', 'a', 'b'))
}

function storing(storesReadable: 'human', object: Workload): Workload {
  return { ...object, ...(object.planning && { planning: { ...object.planning, storesReadable } }) }
}

/** The step of a rollout whose plan people have agreed to. */
async function approve({ key, uid }: Workload, judged: string, cluster: Cluster): Promise<CarriedOut> {
  const ledger = new MemoryLedger(systemClock)
  const rollout = rolloutTo(cluster.name)
  rollout.objects.push(plannedObject(key, 0, { uid, phase: 'open' }))
  await ledger.writeApproval(
    planApprovalOf({
      ...{ id: planApprovalId(rollout.id, key), rollout: rollout.id, object: key, uid, plan, judged },
      ...{ decisions: [{ by: 'bob', decision: 'approve', at: 1 }], closed: { how: 'approved', at: 1 } },
    }),
  )
  const ports = { cluster, ledger, clock: systemClock, events: silentEvents, log: silentLog, metrics: silentMetrics }
  return carryOut(rollout, ports)
}
