import { type FollowPorts, follow } from '../lib/rollout/follow.ts'
import { afterFollowing, afterSettling, type NextState, phasesOf } from '../lib/rollout/next-state.ts'
import { note, type PlannedObject, type Rollout } from '../lib/rollout/rollout.ts'
import { turnOf } from '../lib/rollout/turn.ts'

/**
 * Waits until every open object is ready or has failed, or its layer's deadline has passed. Updates `rollout`;
 * answers the state that comes next. Throws ClaimLost, ClusterError, ObjectUnreadable.
 */
export async function waitForLayer(rollout: Rollout, ports: FollowPorts): Promise<NextState> {
  const before = phasesOf(rollout)
  const decide = (now: number): NextState | undefined => {
    failOverdue(rollout, now)
    if (turnOf(rollout).unsettled.length > 0) return undefined
    closeLayers(rollout, now)
    return afterSettling(rollout, before)
  }
  const ending = await follow(rollout, ports, decide, () => nextDeadline(rollout))
  return afterFollowing(rollout, ending, 'WaitForLayer')
}

function failOverdue(rollout: Rollout, now: number): void {
  for (const object of turnOf(rollout).unsettled) {
    const deadline = deadlineOf(rollout, object)
    if (deadline === undefined || now < deadline) continue
    object.phase = 'failed'
    object.reason = 'DeadlineExceeded'
    object.settledAt = now
    const said = object.detail ? ` It says: ${object.detail}` : ''
    object.detail = `was not ready by its layer's deadline.${said}`.slice(0, 240)
    note(rollout, `${object.key} ${object.detail}`)
  }
}

function deadlineOf(rollout: Rollout, object: PlannedObject): number | undefined {
  return rollout.layers.find(({ index }) => index === object.layer)?.deadlineAt
}

function nextDeadline(rollout: Rollout): number | undefined {
  let next: number | undefined
  for (const object of turnOf(rollout).unsettled) {
    const deadline = deadlineOf(rollout, object)
    if (deadline !== undefined) next = Math.min(next ?? deadline, deadline)
  }
  return next
}

/** A layer is over when none of its objects is open. */
function closeLayers(rollout: Rollout, now: number): void {
  const open = new Set(rollout.objects.filter((object) => object.phase === 'open').map((object) => object.layer))
  for (const layer of rollout.layers) {
    if (layer.openedAt !== undefined && !open.has(layer.index)) layer.settledAt ??= now
  }
}
