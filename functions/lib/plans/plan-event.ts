import type { PlanApproval } from '../approval/approval.ts'
import { toldEnding } from '../approval/told-ending.ts'
import type { EventOf } from '../events.ts'
import type { Rollout } from '../rollout/rollout.ts'
import { aboutRollout } from '../rollout/rollout-events.ts'

type PlanEvent = EventOf<'Plan Approval Changed'>

/** What people are asked about a plan, or what has come of it: the same thing always has the same id. */
export function planEvent(rollout: Rollout, approval: PlanApproval): PlanEvent {
  const { id, object, plan, shown, decisions, askedAt, expiresAt, closed } = approval
  const what = closed === undefined ? 'asked' : toldEnding[closed.how]
  const { add, change, destroy } = shown?.counts ?? {}
  const hasCounts = add !== undefined && change !== undefined && destroy !== undefined
  const by = decisions.map((decision) => decision.by).join(', ')
  return {
    ...{ type: 'Plan Approval Changed', ...aboutRollout(rollout), id: `${id}/${askedAt}/${what}` },
    ...{ at: new Date(closed?.at ?? askedAt).toISOString(), what, object, plan },
    ...(hasCounts && { changes: { add, change, destroy } }),
    ...(closed && by !== '' && { by }),
    ...(closed === undefined && { until: new Date(expiresAt).toISOString() }),
  }
}
