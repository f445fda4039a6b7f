import * as z from 'zod'
import type { Ending } from './follow.ts'
import { note, type PlannedObject, type Rollout } from './rollout.ts'
import { turnOf } from './turn.ts'

/** The states of the rollout's state machine that a wait can lead to, by name. */
export const nextStateSchema = z.enum(['OpenLayer', 'WaitForLayer', 'PlanAgain', 'WaitForRecovery', 'Report'])
export type NextState = z.infer<typeof nextStateSchema>

export type Phases = ReadonlyMap<string, PlannedObject['phase']>

/** The objects' phases now, to see later what has changed. */
export function phasesOf(rollout: Rollout): Phases {
  return new Map(rollout.objects.map((object) => [object.key, object.phase]))
}

/**
 * Where the rollout goes when nothing that is open is waited for any more. `before` are the phases when waiting began:
 * if an object that applies others has run since, or one has gone, the plan is made again first.
 */
export function afterSettling(rollout: Rollout, before: Phases, now: number): NextState {
  const changed = rollout.objects.filter((object) => before.get(object.key) !== object.phase)
  // A failed apply may have changed the cluster too, up to the object that it failed on.
  if (changed.some((object) => object.phase === 'gone' || object.appliesWorkloads)) return 'PlanAgain'
  const { next, blocked } = turnOf(rollout)
  if (next.length > 0) return 'OpenLayer'
  const holds = blocked.some((object) => object.gated) || now < recoveryDeadline(rollout)
  return holds ? 'WaitForRecovery' : 'Report'
}

/** Failures that the object's controller does not try to mend by itself. */
const unmended = new Set(['DeadlineExceeded', 'OrderInvalid', 'Suspended'])

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
      note(rollout, 'A person released the gates: they were opened without an order.')
      return 'Report'
  }
}
