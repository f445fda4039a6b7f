import type { PlanApproval } from '../lib/approval/approval.ts'
import { deniedText } from '../lib/approval/conclude-approval.ts'
import type { Clock } from '../lib/clock.ts'
import type { Cluster } from '../lib/kubernetes/cluster.ts'
import type { Ledger } from '../lib/ledger/ledger.ts'
import { approvePlan } from '../lib/plans/approve-plan.ts'
import { planApprovalId } from '../lib/plans/plan-approval.ts'
import { refOf } from '../lib/rollout/gates.ts'
import { note, type PlannedObject, type Rollout } from '../lib/rollout/rollout.ts'

export interface CarryOutPorts {
  readonly cluster: Cluster
  readonly ledger: Pick<Ledger, 'readApproval' | 'writeApproval' | 'appendAudit'>
  readonly clock: Clock
}

/** How many of the rollout's plans were approved, and how many were not. */
export interface CarriedOut {
  readonly approved: number
  readonly refused: number
}

/**
 * Carries out what people have decided about the plans of a rollout: a plan that they approved is approved for
 * tofu-controller, if it is still that plan; an object whose plan they denied, or did not decide about in time, has
 * failed. Updates `rollout`. Doing it again changes nothing. Throws ClusterError, LedgerUnavailable.
 */
export async function carryOut(rollout: Rollout, ports: CarryOutPorts): Promise<CarriedOut> {
  let approved = 0
  let refused = 0
  for (const object of rollout.objects) {
    if (object.phase !== 'open' || refOf(object.key).kind !== 'Terraform') continue
    const approval = await ports.ledger.readApproval(planApprovalId(rollout.id, object.key))
    if (approval?.kind !== 'plan' || !approval.closed || approval.carriedOut) continue
    if (approval.closed.how === 'approved' && (await approve(rollout, object, approval, ports))) approved++
    if (approval.closed.how === 'denied' || approval.closed.how === 'expired') {
      refuse(rollout, object, approval, ports.clock.now())
      refused++
    }
    await ports.ledger.writeApproval({ ...approval, version: approval.version + 1, carriedOut: true })
  }
  return { approved, refused }
}

async function approve(
  rollout: Rollout,
  object: PlannedObject,
  approval: PlanApproval,
  { cluster, ledger, clock }: CarryOutPorts,
): Promise<boolean> {
  const { id, plan, judged, askedAt, decisions } = approval
  const people = decisions.map(({ by }) => by).join(', ')
  const beforehand = async () => {
    await ledger.appendAudit({
      ...{ unlock: id, id: `approving ${askedAt} ${judged.slice(0, 16)}`, at: clock.now(), by: 'approval' },
      ...{ what: 'sets spec.approvePlan', detail: { object: object.key, plan, judged } },
    })
  }
  const result = await approvePlan(approval, cluster, beforehand)
  if (result === 'changed') {
    note(
      rollout,
      `${object.key}: ${people} approved ${plan}, and it is not that plan any more. People are asked again.`,
    )
    return false
  }
  note(
    rollout,
    `${object.key}: ${people} approved ${plan}${result === 'by hand' ? ', and somebody else has set it already' : ''}.`,
  )
  object.detail = `${plan} is approved by ${people}`.slice(0, 240)
  // From now on it has its layer's time.
  object.openedAt = clock.now()
  delete object.waitsForPlan
  return true
}

function refuse(rollout: Rollout, object: PlannedObject, approval: PlanApproval, now: number): void {
  const isDenied = approval.closed?.how === 'denied'
  const { decisions, needed, plan } = approval
  const why = isDenied
    ? deniedText(approval)
    : `${decisions.length} of ${needed} approvals of ${plan} were given in time.`
  object.phase = 'failed'
  object.reason = isDenied ? 'PlanDenied' : 'PlanNotApproved'
  object.detail = why.slice(0, 240)
  object.settledAt = now
  delete object.waitsForPlan
  note(rollout, `${object.key}: ${object.detail}`)
}
