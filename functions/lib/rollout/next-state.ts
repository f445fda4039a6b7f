import * as z from 'zod'
import type { Ending } from './follow.ts'
import { note, type Rollout } from './rollout.ts'
import { turnOf } from './turn.ts'

/** The states of the rollout's state machine that a wait can lead to, by name. */
export const nextStateSchema = z.enum([
  'OpenLayer',
  'WaitForLayer',
  'AskForPlanApproval',
  'PlanAgain',
  'WaitForRecovery',
  'Report',
])
export type NextState = z.infer<typeof nextStateSchema>

/** Where the rollout goes when nothing that is open is waited for any more. */
export function afterSettling(rollout: Rollout, now: number): NextState {
  if (rollout.planStale) return 'PlanAgain'
  const { next, blocked } = turnOf(rollout)
  if (next.length > 0) return 'OpenLayer'
  const holds = blocked.some((object) => object.gated) || now < recoveryDeadline(rollout)
  return holds ? 'WaitForRecovery' : 'Report'
}

/** Failures that the object's controller does not try to mend by itself. */
const unmended = new Set(['DeadlineExceeded', 'OrderInvalid', 'Suspended', 'PlanDenied', 'PlanNotApproved'])

/**
 * Until when failed objects may still recover: their controllers try again, so one failed attempt is not the end of
 * what is left of the object's time. 0 when there is nothing to wait for.
 */
export function recoveryDeadline(rollout: Rollout): number {
  const allowed = new Map(rollout.layers.map(({ index, deadlineMs }) => [index, deadlineMs]))
  const trying = rollout.objects.filter(
    ({ phase, final, reason }) => phase === 'failed' && !final && !unmended.has(reason ?? ''),
  )
  return trying.reduce((last, { openedAt = 0, layer }) => Math.max(last, openedAt + (allowed.get(layer) ?? 0)), 0)
}

/**
 * Where the rollout goes when following has ended. A newer push or a person ends it: that is written down as its
 * outcome. `again` is the state that goes on waiting.
 */
export function afterFollowing(rollout: Rollout, ending: Ending<NextState>, again: NextState): NextState {
  switch (ending.why) {
    case 'decided':
      return ending.decision
    case 'slice':
      return again
    case 'stop for a newer push':
      rollout.outcome = 'superseded'
      return 'Report'
    case 'release the gates':
      rollout.outcome = 'released'
      note(rollout, 'The gates were released on request: they were opened without an order.')
      return 'Report'
  }
}
