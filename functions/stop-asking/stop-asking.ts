import { type Approval, type Closing, outcomeOf, type PlanApproval } from '../lib/approval/approval.ts'
import { closeApproval } from '../lib/approval/close-approval.ts'
import { planEvent } from '../lib/plans/plan-event.ts'
import type { Ports } from '../lib/step.ts'
import { tell } from '../lib/tell.ts'

/** An execution of `fleet` or of `rollout` that has not ended well. */
export interface EndedExecution {
  /** Its ARN. */
  readonly execution: string
  readonly name: string
  /** A person has stopped it. */
  readonly stopped: boolean
  /** As statemachines/*.asl.json name it. */
  readonly error: string
}

/**
 * Closes what an execution has asked people that has ended: nobody waits for their answers any more, and they are told so. An
 * unlock's is closed by the scans. Doing it again changes nothing. Answers how many approvals there were. Rejects with LedgerUnavailable.
 */
export async function stopAsking(ended: EndedExecution, ports: Ports): Promise<number> {
  const approvals = await ports.ledger.listApprovals('all')
  let closed = 0
  for (const approval of approvals.filter((each) => isOf(ended, each))) {
    if (await end(approval, ended, ports)) closed++
  }
  if (closed > 0) ports.log.info('nobody is asked any more', { execution: ended.name, closed })
  return closed
}

function isOf({ execution, name }: EndedExecution, approval: Approval): boolean {
  if (approval.kind === 'plan') return approval.rollout === name && !approval.carriedOut
  return approval.kind === 'wave' && approval.execution === execution && !approval.closed
}

/** Answers whether there was something to end. Whoever decides meanwhile makes it look again. */
async function end({ id }: Approval, ended: EndedExecution, ports: Ports): Promise<boolean> {
  for (;;) {
    const approval = await ports.ledger.readApproval(id)
    if (!approval || !isOf(ended, approval)) return false
    if (!approval.closed) {
      const isClosed = await closeApproval(approval, closingOf(approval, ended), ports)
      if (isClosed && approval.kind === 'wave') return true
    } else if (approval.kind === 'plan' && (await tellOfPlan(approval, ports))) return true
  }
}

function closingOf(approval: Approval, { stopped, error }: EndedExecution): Closing {
  const said = outcomeOf(approval)
  if (approval.kind === 'wave' && said === 'denied') return 'denied'
  if (stopped) return 'stopped'
  // Where somebody had agreed, the task did not hear of it.
  return error === 'WaveNotApproved' && said === 'open' ? 'expired' : 'ended'
}

/** As the rollout would have told: functions/plan-approve. */
async function tellOfPlan(approval: PlanApproval, ports: Ports): Promise<boolean> {
  const rollout = (await ports.ledger.readRollout(approval.rollout))?.value
  if (rollout) await tell(planEvent(rollout, approval), ports)
  return ports.ledger.writeApproval({ ...approval, version: approval.version + 1, carriedOut: true })
}
