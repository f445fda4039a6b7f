import { LockstepError } from '../../errors.ts'
import type { Fleet } from '../../fleet.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Log } from '../../log.ts'
import type { AuditRecord } from '../run/audit.ts'
import { type Approval, type Decision, decide, type NotDecided, outcomeOf } from './approval.ts'
import { type ConcludePorts, concludeApproval } from './conclude-approval.ts'
import { stillJudged } from './still-judged.ts'

export interface DecisionPorts extends ConcludePorts {
  readonly ledger: ConcludePorts['ledger'] & Pick<Ledger, 'readApproval' | 'readObservation'>
  readonly fleet: Pick<Fleet, 'clusters' | 'locks'>
  readonly log: Log
}

export type DecisionAsked = Omit<Decision, 'at'> & {
  readonly unlock: string
  /** What the person was shown: see `fingerprintOf`. */
  readonly judged: string
}

/** Why a decision is not taken. */
export interface NotTaken extends Omit<NotDecided, 'rule'> {
  readonly rule: NotDecided['rule'] | 'changed' | 'unclear'
}

/**
 * Writes down what a person decides, and answers the task that waits when that was the last decision needed. The lock
 * must still be what the person was shown, by the latest scan. Rejects with LedgerUnavailable: then it is to be asked
 * again. A task that cannot be answered now is answered by the next scan.
 */
export async function recordDecision(asked: DecisionAsked, ports: DecisionPorts): Promise<Approval | NotTaken> {
  const { unlock, judged, ...decision } = asked
  const { ledger, clock, fleet, log } = ports
  for (;;) {
    const approval = await ledger.readApproval(unlock)
    if (approval?.judged !== judged) return changed
    const next = decide(approval, { ...decision, at: clock.now() }, fleet.locks.approvers)
    if ('outcome' in next) return next
    const doubt = decision.decision === 'approve' ? await doubtAbout(approval, ports) : undefined
    if (doubt) return doubt
    for (const made of next.decisions.slice(approval.decisions.length)) await ledger.appendAudit(auditOf(next, made))
    // Whoever loses a race looks again: the winner may have been the same person.
    if (!(await ledger.writeApproval(next))) continue
    log.info('a person has decided about an unlock', { unlock, by: asked.by, decision: decision.decision })
    const outcome = outcomeOf(next)
    if (outcome !== 'open') await concludeOrLeave(next, outcome, ports)
    return next
  }
}

const changed: NotTaken = {
  outcome: 'not-decided',
  rule: 'changed',
  why: 'the lock is not what you were asked about any more',
}

/** An approval of a lock that has changed ends here, and does not wait for the next scan to end it. */
async function doubtAbout(approval: Approval, ports: DecisionPorts): Promise<NotTaken | undefined> {
  const observation = await ports.ledger.readObservation(approval.place)
  const still = observation ? stillJudged(approval, observation, ports.fleet) : 'unknown'
  if (still === 'same') return undefined
  if (still === 'unknown')
    return { outcome: 'not-decided', rule: 'unclear', why: 'the lock could not be read by the latest scan' }
  await concludeOrLeave(approval, 'changed', ports)
  return changed
}

async function concludeOrLeave(
  approval: Approval,
  how: 'approved' | 'denied' | 'changed',
  ports: DecisionPorts,
): Promise<void> {
  try {
    await concludeApproval(approval, how, ports)
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    ports.log.warn('an approval is left for the next scan to end', { unlock: approval.unlock, error: error.name })
  }
}

function auditOf({ unlock, lock, judged, askedAt }: Approval, { by, decision, at, reason }: Decision): AuditRecord {
  return {
    ...{ unlock, id: `decision ${askedAt} ${judged.slice(0, 16)} ${decision} ${by}`, at, by },
    what: decision === 'approve' ? 'approves the unlock' : 'denies the unlock',
    detail: { lock, judged, ...(reason !== undefined && { reason }) },
  }
}
