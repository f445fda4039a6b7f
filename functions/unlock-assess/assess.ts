import type { Fleet } from '../lib/fleet.ts'
import type { Observation } from '../lib/locks/scan/observation.ts'
import type { LockPorts } from '../lib/step.ts'
import { tell } from '../lib/tell.ts'
import { missingApprovals } from '../lib/unlock/approval/missing-approvals.ts'
import { planNow } from '../lib/unlock/plan/plan-now.ts'
import type { Rung } from '../lib/unlock/plan/rung.ts'
import type { AuditRecord } from '../lib/unlock/run/audit.ts'
import { judgedAfresh } from '../lib/unlock/run/judged-afresh.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'
import { unlockEventOf } from '../lib/unlock/run/unlock-event.ts'
import type { UnlockInput } from '../lib/unlock/run/unlock-request.ts'
import type { Judged } from '../lib/unlock/run/unlock-run.ts'
import { UnlockStopped } from '../lib/unlock/run/unlock-stopped.ts'

export interface Assessment {
  readonly rung: Rung
  /** Approvals that the policy asks for and that nobody has given yet. */
  readonly missing: number
  /** How long an approval may take, in seconds. */
  readonly approvalSeconds: number
  /** How long the scans may be silent about it, in seconds. */
  readonly heartbeatSeconds: number
}

/**
 * What an unlock would do, and who has to agree first. It looks at the lock and at the cluster anew. Throws UnlockRefused,
 * LockChanged, ScanBusy.
 */
export async function assess(asked: UnlockInput & { readonly unlock: string }, ports: LockPorts): Promise<Assessment> {
  const underWay = await UnderWay.open({ ...asked, requestedAt: ports.clock.now() }, ports)
  const { requestedBy, reason, place, lock } = underWay.run
  const isNew = await underWay.record('asked', 'an unlock is asked for', { requestedBy, reason, place, lock })
  if (isNew) await tell(unlockEventOf(underWay.run), ports)
  const observation = await judgedAfresh(underWay.run, ports)
  const plan = await planNow(observation, ports)
  await underWay.record(`judged/${observation.version}`, 'judged', verdictIn(observation))
  if (plan.outcome === 'refused') {
    throw new UnlockStopped('UnlockRefused', `${plan.reasons.join('; ')}.`, plan.next)
  }
  const { object, rung, why, approvals, estimate } = plan
  await underWay.note({ object, rung, judged: judgedIn(observation) })
  const missing = await missingApprovals(plan, observation, underWay.run, ports)
  await underWay.record(`planned/${observation.version}`, 'planned', {
    rung,
    why,
    missing,
    needed: approvals.needed,
    ...estimate,
  })
  return { rung, missing, ...approvalTimes(ports.fleet) }
}

/** Step Functions wants a heartbeat to be shorter than the whole time. */
function approvalTimes({
  locks: { approvalFor, every },
}: Fleet): Pick<Assessment, 'approvalSeconds' | 'heartbeatSeconds'> {
  const approvalSeconds = Math.max(60, Math.ceil(approvalFor / 1_000))
  const silentSeconds = Math.max(3_600, (5 * every) / 1_000)
  return { approvalSeconds, heartbeatSeconds: Math.min(silentSeconds, approvalSeconds - 1) }
}

/** What a delete has to find again. */
export function judgedIn({ evidence, judgement }: Observation): Judged {
  const { rule, reasons } = judgement
  const state = 'value' in evidence.state.reading ? evidence.state.reading.value : undefined
  return {
    ...{ at: evidence.at, rule, reasons, parts: evidence.lock.parts },
    ...(state?.exists && { state: state.version }),
  }
}

/** For the audit: the evidence as it was stored, but for what tells of a state's content. */
export function verdictIn({ evidence, judgement }: Observation): AuditRecord['detail'] {
  const { verdict, rule, reasons } = judgement
  const { at, lock, holder, pod, nodes, controller, object } = evidence
  const parts = lock.parts.map(({ store, address, takenAt }) => ({ store, address, takenAt }))
  const told = { verdict, rule, reasons, at, holder, lock: { ...lock, parts }, pod, nodes, controller, object }
  // What is not known is left out.
  return JSON.parse(JSON.stringify(told))
}
