import type { Approver } from '../lib/fleet.ts'
import { UnlockMoved } from '../lib/ledger/ledger.ts'
import { oneLine } from '../lib/locks/evidence/one-line.ts'
import type { Observation } from '../lib/locks/scan/observation.ts'
import type { ApprovalPorts } from '../lib/step.ts'
import { type Approval, approversOf, decisionBy, fingerprintOf, outcomeOf } from '../lib/unlock/approval/approval.ts'
import { signLink } from '../lib/unlock/approval/approval-link.ts'
import { concludeApproval } from '../lib/unlock/approval/conclude-approval.ts'
import { planNow } from '../lib/unlock/plan/plan-now.ts'
import type { UnlockPlan } from '../lib/unlock/plan/unlock-plan.ts'
import { planLines } from '../lib/unlock/plan/unlock-plan-text.ts'
import type { UnlockRun } from '../lib/unlock/run/unlock-run.ts'
import { UnlockStopped } from '../lib/unlock/run/unlock-stopped.ts'

export interface AskInput {
  readonly unlock: string
  /** Of the task that waits for people. */
  readonly token: string
  /** How many people have to agree. */
  readonly needed: number
}

/**
 * Writes down what people are asked, and sends each of them a link, except whoever asked for the unlock. Asked again for
 * the same lock it takes the new token, and keeps what people have decided; of another lock nothing is kept. Answers how
 * many people were sent a link. Throws UnlockRefused and LockChanged; rejects with LedgerUnavailable, ApproversUnavailable
 * and TaskTokensUnavailable.
 */
export async function askForApproval(input: AskInput, ports: ApprovalPorts): Promise<{ asked: number }> {
  const { fleet } = ports
  const run = (await ports.ledger.readUnlockRun(input.unlock))?.value
  if (!run) throw new TypeError(`There is no unlock ${input.unlock} in the ledger.`)
  const others = approversOf(run.requestedBy, fleet.locks.approvers)
  if (others.length < input.needed) throw tooFew(input.needed, run, others)
  const { observation, plan } = await lookAgain(run, ports)
  const approval = await writeDown(input, run, { observation, plan }, ports)
  const outcome = outcomeOf(approval)
  if (outcome !== 'open') {
    await concludeApproval(approval, outcome, ports)
    return { asked: 0 }
  }
  const undecided = others.filter(({ name }) => !decisionBy(name, approval))
  await send(approval, undecided, ports)
  ports.log.info('people are asked to approve an unlock', { unlock: run.unlock, asked: undecided.length })
  return { asked: undecided.length }
}

interface Shown {
  readonly observation: Observation
  readonly plan: UnlockPlan
}

/** What people are shown is what is there now. */
async function lookAgain(run: UnlockRun, ports: ApprovalPorts): Promise<Shown> {
  const observation = await ports.ledger.readObservation(run.place)
  if (!observation) throw refused('its lock is not known any more', 'Look at it with the next scan.')
  const plan = await planNow(observation, ports)
  if (plan.outcome === 'refused') throw refused(plan.reasons.join('; '), plan.next)
  if (plan.lock !== run.lock) {
    throw new UnlockStopped('LockChanged', `Somebody else holds the state of ${plan.object} now.`, 'Let them finish.')
  }
  return { observation, plan }
}

function refused(why: string, next: string): UnlockStopped {
  return new UnlockStopped('UnlockRefused', `Nobody is asked: ${why}.`, next)
}

/** It would wait for people that there are not. */
function tooFew(needed: number, { requestedBy }: UnlockRun, others: readonly Approver[]): UnlockStopped {
  const names = others.length === 0 ? 'nobody' : `only ${others.map(({ name }) => name).join(', ')}`
  const people = needed === 1 ? '1 person has' : `${needed} people have`
  const why = `${people} to agree, and beside ${requestedBy} the fleet names ${names}`
  return refused(why, 'Name more people in locks.approvers of the fleet.')
}

async function writeDown(
  { unlock, token, needed }: AskInput,
  { requestedBy, reason }: UnlockRun,
  { observation, plan }: Shown,
  { ledger, clock, fleet }: ApprovalPorts,
): Promise<Approval> {
  const judged = fingerprintOf(observation, plan.rung)
  const known = (await ledger.readApproval(unlock))?.token
  for (;;) {
    const earlier = await ledger.readApproval(unlock)
    // A later try has asked in the meantime: this one's task is nobody's any more.
    if (earlier && earlier.token !== known && earlier.token !== token) throw new UnlockMoved(unlock)
    const at = clock.now()
    const kept = earlier?.judged === judged && at < earlier.expiresAt ? earlier : undefined
    const approval: Approval = {
      ...{ unlock, cluster: plan.cluster, place: observation.key, object: plan.object, lock: plan.lock },
      ...{ version: (earlier?.version ?? 0) + 1, needed, requestedBy, reason, rung: plan.rung, judged },
      ...{ askedAt: kept?.askedAt ?? at, expiresAt: kept?.expiresAt ?? at + fleet.locks.approvalFor },
      ...{ plan: planLines(plan), token, decisions: kept?.decisions ?? [] },
    }
    await ledger.appendAudit({
      ...{ unlock, id: `asking ${approval.version}`, at, what: 'asks for approval', by: 'ask' },
      detail: { lock: plan.lock, judged, needed, rung: plan.rung, rule: observation.judgement.rule },
    })
    // Somebody has decided meanwhile: that is not lost.
    if (await ledger.writeApproval(approval)) return approval
  }
}

async function send(
  { unlock, object, cluster, requestedBy, reason, expiresAt, judged, rung }: Approval,
  people: readonly Approver[],
  { approvers, linkSecrets, approvalUrl }: ApprovalPorts,
): Promise<void> {
  const secrets = await linkSecrets()
  const summary = `${requestedBy} asks to unlock ${object} in ${cluster} (${rung}): ${oneLine(reason) || 'no reason given'}`
  for (const { name: approver } of people) {
    const link = `${approvalUrl}${signLink({ unlock, approver, expiresAt, judged }, secrets)}`
    await approvers.send({ approver, link, summary })
  }
}
