import type { PlanApproval } from '../approval/approval.ts'
import { approvedPlanAnnotation } from '../flux/annotations.ts'
import { parseWorkload, type Workload } from '../flux/workload.ts'
import { type Cluster, ClusterError } from '../kubernetes/cluster.ts'
import { type Decision, patchAsRead } from '../kubernetes/patch-as-read.ts'
import { refOf } from '../rollout/gates.ts'
import { PlanMissing, planFingerprint } from './stored-plan.ts'

/**
 * What an attempt to approve a plan came to. `by hand`: somebody else has approved it already. `changed`: it is not the plan
 * that people agreed to, or the object is gone.
 */
export type Approved = 'approved' | 'by hand' | 'changed'

/**
 * Has tofu-controller apply the plan that people agreed to, and no other one: the object and its stored plan are read
 * again, and the patch fails if the object has changed since. A plan that is made anew changes the object first.
 * `beforehand` is called before each try. Throws ClusterError, UnexpectedShape, ObjectUnreadable.
 */
export function approvePlan(
  approval: PlanApproval,
  cluster: Cluster,
  beforehand: () => Promise<void>,
): Promise<Approved> {
  const { object, uid, plan, judged } = approval
  return patchAsRead<Approved>(cluster, refOf(object), async (raw): Promise<Decision<Approved>> => {
    if (raw === undefined) return { answer: 'changed' }
    const workload = parseWorkload('Terraform', raw)
    const { planning, pendingPlan, resourceVersion } = workload
    if (workload.uid !== uid || workload.deleting || pendingPlan !== plan) return { answer: 'changed' }
    const { approvePlan: before = '' } = planning ?? {}
    // It may have been this very step, cut off: then our mark is on the object.
    if (before === plan) return { answer: planOfMark(planning?.approvedMark) === plan ? 'approved' : 'by hand' }
    if (before === 'auto') return { answer: 'by hand' }
    if ((await fingerprintNow(workload, cluster)) !== judged) return { answer: 'changed' }
    await beforehand()
    const annotations = { [approvedPlanAnnotation]: approvalMark(plan, hasField(raw)) }
    return {
      answer: 'approved',
      patch: { body: { spec: { approvePlan: plan }, metadata: { annotations } }, resourceVersion },
    }
  })
}

async function fingerprintNow(workload: Workload, cluster: Cluster): Promise<string | undefined> {
  try {
    return await planFingerprint(workload, cluster)
  } catch (error) {
    if (error instanceof PlanMissing) return undefined
    throw error
  }
}

/** `plan-main-c1139c7fe7 empty`: what was approved, and whether the field was there before, empty, or not there at all. */
function approvalMark(plan: string, wasThere: boolean): string {
  return `${plan} ${wasThere ? 'empty' : 'absent'}`
}

/** The plan that people approved through Lockstep, by the object's mark. */
export function planOfMark(mark: string | undefined): string | undefined {
  return mark?.split(' ', 1)[0]
}

function hasField(raw: unknown): boolean {
  return Object.hasOwn((raw as { spec?: object }).spec ?? {}, 'approvePlan')
}

/**
 * Whether the approval has done what it is for: its plan was applied, or there is another one. Left on the object it
 * would approve whatever is planned of the same commit, unseen.
 */
export function isSpent({ planning, pendingPlan }: Pick<Workload, 'planning' | 'pendingPlan'>): boolean {
  return planning?.approvedMark !== undefined && planOfMark(planning.approvedMark) !== pendingPlan
}

/**
 * Takes an approval that is spent out of the object again: `spec.approvePlan` is as it was, unless somebody else has set
 * it meanwhile. Without such an approval nothing is changed. Rejects with ClusterError.
 */
export async function handBackApproval(cluster: Cluster, key: string): Promise<void> {
  await patchAsRead(cluster, refOf(key), (raw) => {
    if (raw === undefined) return { answer: undefined }
    const workload = parseWorkload('Terraform', raw)
    const { planning, resourceVersion } = workload
    const mark = planning?.approvedMark
    if (mark === undefined || !isSpent(workload)) return { answer: undefined }
    const isOurs = planning?.approvePlan === planOfMark(mark)
    const before = mark.endsWith(' empty') ? '' : null
    const body = {
      metadata: { annotations: { [approvedPlanAnnotation]: null } },
      ...(isOurs && { spec: { approvePlan: before } }),
    }
    return { answer: undefined, patch: { body, resourceVersion } }
  })
}

/** As `handBackApproval`, for the end of a rollout: an object that refuses does not keep the others from it. Answers those that refuse. */
export async function handBackApprovals(cluster: Cluster, keys: readonly string[]): Promise<string[]> {
  const refused: string[] = []
  for (const key of keys) {
    try {
      await handBackApproval(cluster, key)
    } catch (error) {
      if (!(error instanceof ClusterError) || !['ClusterRejected', 'ClusterForbidden'].includes(error.name)) throw error
      refused.push(key)
    }
  }
  return refused
}
