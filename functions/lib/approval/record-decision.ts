import { LockstepError } from '../errors.ts'
import type { Fleet } from '../fleet.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { AuditRecord } from '../unlock/run/audit.ts'
import { type Approval, type Decision, decide, type NotDecided, outcomeOf, overText } from './approval.ts'
import { auditedSubject } from './audited-subject.ts'
import { closeApproval } from './close-approval.ts'
import { type ConcludePorts, concludeApproval } from './conclude-approval.ts'
import { peopleFor } from './people.ts'
import { type StillAsked, stillAsked } from './still-asked.ts'
import type { TokenAnswer } from './task-tokens.ts'

export interface DecisionPorts extends ConcludePorts {
  readonly ledger: ConcludePorts['ledger'] & Pick<Ledger, 'readApproval' | 'readObservation' | 'readRollout'>
  readonly fleet: Pick<Fleet, 'clusters' | 'locks' | 'plans' | 'waves'>
}

export type DecisionAsked = Omit<Decision, 'at'> & {
  /** The id of the approval. */
  readonly approval: string
  /** What the person was shown: see `Approval.judged`. */
  readonly judged: string
}

/** Why a decision is not taken. */
export interface NotTaken extends Omit<NotDecided, 'rule'> {
  readonly rule: NotDecided['rule'] | 'changed' | 'unclear'
}

/**
 * Writes down what a person decides, and answers the task that waits when that was the last decision needed. What is
 * approved must still be what the person was shown, as far as the ledger knows, and somebody must still wait for it. Rejects
 * with LedgerUnavailable: then it is to be asked again. A task that cannot be answered now is answered by whoever looks
 * next: of an unlock the next scan.
 */
export async function recordDecision(asked: DecisionAsked, ports: DecisionPorts): Promise<Approval | NotTaken> {
  const { approval: id, judged, ...decision } = asked
  const { ledger, clock, fleet, log } = ports
  for (;;) {
    const approval = await ledger.readApproval(id)
    if (approval?.judged !== judged) return changed(approval)
    const next = decide(approval, { ...decision, at: clock.now() }, peopleFor(approval.kind, fleet))
    if ('outcome' in next) return next
    const doubt = await doubtAbout(approval, decision.decision, ports)
    if (doubt) return doubt
    for (const made of next.decisions.slice(approval.decisions.length)) await ledger.appendAudit(auditOf(next, made))
    // Whoever loses a race looks again: the winner may have been the same person.
    if (!(await ledger.writeApproval(next))) continue
    log.info(`a person has decided about ${aKind[next.kind]}`, {
      [next.kind]: id,
      by: asked.by,
      decision: decision.decision,
    })
    const outcome = outcomeOf(next)
    if (outcome === 'open') return next
    return (await concludeOrLeave(next, outcome, ports)) === 'gone' ? over(next, 'gone') : next
  }
}

const aKind: Readonly<Record<Approval['kind'], string>> = { unlock: 'an unlock', plan: 'a plan', wave: 'a wave' }

/** Why a person cannot approve now, in words. */
export function doubtText(kind: Approval['kind'], still: Exclude<StillAsked, 'same'>): string {
  if (still === 'ended') return overText('ended', { kind })
  const what = kind === 'unlock' ? 'lock' : kind
  return still === 'changed'
    ? `the ${what} is not what you were asked about any more`
    : `the ${what} could not be read by the latest scan`
}

function changed(approval: Approval | undefined): NotTaken {
  return { outcome: 'not-decided', rule: 'changed', why: doubtText(approval?.kind ?? 'unlock', 'changed') }
}

function over(approval: Approval, how: 'gone' | 'ended'): NotTaken {
  return { outcome: 'not-decided', rule: 'over', why: overText(how, approval) }
}

/** An approval of what has changed, or has ended, ends here, and does not wait for others to end it. A denial is taken of whatever waits. */
async function doubtAbout(
  approval: Approval,
  decision: Decision['decision'],
  ports: DecisionPorts,
): Promise<NotTaken | undefined> {
  const still = await stillAsked(approval, ports)
  if (still === 'ended') {
    await closeApproval(approval, 'ended', ports)
    return over(approval, 'ended')
  }
  if (still === 'same' || decision === 'deny') return undefined
  if (still === 'unknown') return { outcome: 'not-decided', rule: 'unclear', why: doubtText(approval.kind, 'unknown') }
  await concludeOrLeave(approval, 'changed', ports)
  return changed(approval)
}

async function concludeOrLeave(
  approval: Approval,
  how: 'approved' | 'denied' | 'changed',
  ports: DecisionPorts,
): Promise<TokenAnswer | 'left'> {
  try {
    return await concludeApproval(approval, how, ports)
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    ports.log.warn('an approval is left for others to end', { [approval.kind]: approval.id, error: error.name })
    return 'left'
  }
}

function auditOf(approval: Approval, { by, decision, at, reason }: Decision): AuditRecord {
  const { id, kind, judged, askedAt } = approval
  return {
    ...{ unlock: id, id: `decision ${askedAt} ${judged.slice(0, 16)} ${decision} ${by}`, at, by },
    what: `${decision === 'approve' ? 'approves' : 'denies'} the ${kind}`,
    detail: { ...auditedSubject(approval), judged, ...(reason !== undefined && { reason }) },
  }
}
