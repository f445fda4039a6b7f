import type { Fleet } from '../lib/fleet.ts'
import { planPeople } from '../lib/plans/plan-approval.ts'
import { type FollowPorts, follow } from '../lib/rollout/follow.ts'
import { afterFollowing, afterSettling, type NextState } from '../lib/rollout/next-state.ts'
import { note, type PlannedObject, type Rollout } from '../lib/rollout/rollout.ts'
import { turnOf } from '../lib/rollout/turn.ts'

export interface WaitPorts extends FollowPorts {
  readonly fleet: Fleet
}

/**
 * Waits until every open object is ready or has failed, or its layer's deadline has passed. Updates `rollout`;
 * answers the state that comes next: at once, when a plan waits that people are to be asked about. Throws ClaimLost, ClusterError, ObjectUnreadable.
 */
export async function waitForLayer(rollout: Rollout, ports: WaitPorts): Promise<NextState> {
  const asks = planPeople(ports.fleet, rollout) !== undefined
  const decide = (now: number): NextState | undefined => {
    failOverdue(rollout, now, asks)
    if (turnOf(rollout).unsettled.some(({ waitsForPlan }) => waitsForPlan)) {
      if (asks) return 'AskForPlanApproval'
      noteByHand(rollout)
    }
    if (turnOf(rollout).unsettled.length > 0) return undefined
    closeLayers(rollout, now)
    return afterSettling(rollout, now)
  }
  const ending = await follow(rollout, ports, decide, () => nextDeadline(rollout, asks))
  return afterFollowing(rollout, ending, 'WaitForLayer')
}

function noteByHand(rollout: Rollout): void {
  for (const { key, waitsForPlan } of rollout.objects) {
    if (!waitsForPlan) continue
    note(rollout, `${key} waits for ${waitsForPlan.plan}, and the fleet asks nobody: set spec.approvePlan in Git.`)
  }
}

function failOverdue(rollout: Rollout, now: number, asks: boolean): void {
  for (const [object, deadline] of deadlines(rollout, asks)) {
    if (now < deadline) continue
    object.phase = 'failed'
    object.reason = 'DeadlineExceeded'
    object.settledAt = now
    const said = object.detail ? ` It says: ${object.detail}` : ''
    object.detail = `was not ready by its layer's deadline.${said}`.slice(0, 240)
    note(rollout, `${object.key} ${object.detail}`)
  }
}

/**
 * Until when each object that is waited for may take. One that waits for the health of others has as long after the
 * last of them was opened. One whose plan people are asked about has as long as they have.
 */
function deadlines(rollout: Rollout, asks: boolean): Map<PlannedObject, number> {
  const lastOpened = new Map<string, number>()
  for (const { key, awaitedBy = key, openedAt = 0 } of rollout.objects) {
    lastOpened.set(key, Math.max(openedAt, lastOpened.get(key) ?? 0))
    lastOpened.set(awaitedBy, Math.max(openedAt, lastOpened.get(awaitedBy) ?? 0))
  }
  const allowed = new Map(rollout.layers.map(({ index, deadlineMs }) => [index, deadlineMs]))
  return new Map(
    turnOf(rollout)
      .unsettled.filter(({ waitsForPlan }) => !(asks && waitsForPlan))
      .map((object) => [object, (lastOpened.get(object.key) ?? 0) + (allowed.get(object.layer) ?? 0)]),
  )
}

function nextDeadline(rollout: Rollout, asks: boolean): number | undefined {
  const all = [...deadlines(rollout, asks).values()]
  return all.length === 0 ? undefined : all.reduce((least, deadline) => Math.min(least, deadline))
}

/** A layer is over when none of its objects is open. */
function closeLayers(rollout: Rollout, now: number): void {
  const open = new Set(rollout.objects.filter((object) => object.phase === 'open').map((object) => object.layer))
  for (const layer of rollout.layers) {
    if (layer.openedAt !== undefined && !open.has(layer.index)) layer.settledAt ??= now
  }
}
