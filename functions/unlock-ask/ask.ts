import { type Approval, approversOf, decisionBy, outcomeOf } from '../lib/approval/approval.ts'
import { concludeApproval } from '../lib/approval/conclude-approval.ts'
import { sendLinks } from '../lib/approval/send-links.ts'
import { writeAsked } from '../lib/approval/write-asked.ts'
import type { Approver } from '../lib/fleet.ts'
import { oneLine } from '../lib/locks/evidence/one-line.ts'
import type { Observation } from '../lib/locks/scan/observation.ts'
import type { ApprovalPorts } from '../lib/step.ts'
import { fingerprintOf } from '../lib/unlock/approval/fingerprint.ts'
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
 * many people were sent a link. Throws UnlockRefused, LockChanged and AskedMeanwhile; rejects with LedgerUnavailable, ApproversUnavailable
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
  await sendLinks(approval, summaryOf(plan, run), undecided, ports)
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
  const asked = {
    ...{ kind: 'unlock' as const, id: unlock, cluster: plan.cluster, place: observation.key, object: plan.object },
    ...{ lock: plan.lock, needed, requestedBy, reason, rung: plan.rung, plan: planLines(plan), token },
    judged: fingerprintOf(observation, plan.rung),
  }
  const detail = { rung: plan.rung, rule: observation.judgement.rule }
  return writeAsked(asked, { ledger, now: () => clock.now(), approvalFor: fleet.locks.approvalFor, detail })
}

function summaryOf({ object, cluster, rung }: UnlockPlan, { requestedBy, reason }: UnlockRun): string {
  return `${requestedBy} asks to unlock ${object} in ${cluster} (${rung}): ${oneLine(reason) || 'no reason given'}`
}
