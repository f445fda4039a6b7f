import { type FollowPorts, follow } from '../lib/rollout/follow.ts'
import { afterFollowing, afterSettling, type NextState, recoveryDeadline } from '../lib/rollout/next-state.ts'
import { note, type Rollout } from '../lib/rollout/rollout.ts'
import { turnOf } from '../lib/rollout/turn.ts'

/**
 * Keeps gates closed behind failures and waits for one of four ends: what failed recovers, and the rollout goes on;
 * a newer push takes over; a person releases the gates; `holdForMs` runs out, and the rollout fails, which tells a
 * person. Where a failure holds nothing back, it may recover for as long as its layer's deadline allows.
 * Updates `rollout`; answers the state that comes next. Throws ClaimLost, ClusterError, ObjectUnreadable.
 */
export async function holdGates(rollout: Rollout, holdForMs: number, ports: FollowPorts): Promise<NextState> {
  const heldSince = rollout.heldSince ?? ports.clock.now()
  rollout.heldSince = heldSince
  const endsAt = () => (holdsGates(rollout) ? heldSince + holdForMs : recoveryDeadline(rollout))
  const decide = (now: number): NextState | undefined => {
    // Released by a person, or by Git: it runs, and is waited for like any other.
    if (turnOf(rollout).unsettled.length > 0) return 'WaitForLayer'
    const next = afterSettling(rollout, now)
    if (next !== 'WaitForRecovery') return next
    if (now < endsAt()) return undefined
    if (holdsGates(rollout)) giveUp(rollout, holdForMs)
    return 'Report'
  }
  const ending = await follow(rollout, ports, decide, endsAt)
  const next = afterFollowing(rollout, ending, 'WaitForRecovery')
  if (next === 'OpenLayer' || next === 'PlanAgain' || next === 'WaitForLayer') delete rollout.heldSince
  return next
}

function holdsGates(rollout: Rollout): boolean {
  return turnOf(rollout).blocked.some((object) => object.gated)
}

function giveUp(rollout: Rollout, holdForMs: number): void {
  const failed = rollout.objects.filter((object) => object.phase === 'failed').map((object) => object.key)
  const more = failed.length > 3 ? ` and ${failed.length - 3} more` : ''
  const behind = failed.length > 0 ? failed.slice(0, 3).join(', ') + more : 'objects that are not ready'
  rollout.failure = `Gates were held for ${Math.round(holdForMs / 60_000)} minutes behind ${behind}, and nothing changed.`
  note(rollout, `${rollout.failure} They are opened now, without an order.`)
}
