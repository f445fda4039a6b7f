import type { LockPorts } from '../lib/step.ts'
import { forgetPlan, requestRun } from '../lib/unlock/fresh-plan.ts'
import { hold } from '../lib/unlock/hold.ts'
import { checkUnchanged, LockParts } from '../lib/unlock/lock-parts.ts'
import { UnderWay } from '../lib/unlock/under-way.ts'
import { UnlockStopped } from '../lib/unlock/unlock-stopped.ts'
import { waitSlice } from '../lib/unlock/wait-slice.ts'

/** How long the controller is given to release the lock, in milliseconds. */
const releaseMs = 5 * 60_000

/**
 * Has tofu-controller release the lock: it names exactly this one, and OpenTofu refuses any other. False where that takes
 * longer than a slice: call again. Throws NotReleased, LockChanged, ChangedMeanwhile, TurnLost, ClusterError,
 * LockStoreError.
 */
export async function forceUnlock(unlock: string, ports: LockPorts): Promise<boolean> {
  const underWay = await UnderWay.read(unlock, ports)
  const { where, judged, intent, deletedAt } = underWay.run
  if (!where || !judged || !intent) throw new TypeError(`Unlock ${unlock} was not begun.`)
  if (deletedAt !== undefined) return true
  const cluster = await underWay.cluster()
  const parts = new LockParts(where.parts, ports.locks, cluster)
  const isReleased = async () => {
    const found = await parts.readAll()
    for (const each of found) checkUnchanged(each, judged)
    return found.length === 0
  }
  if (!(await isReleased())) await underWay.renewTurn()
  if (await underWay.record('force', 'having the controller release the lock', { lock: intent.locked.lock })) {
    await forgetPlan(cluster, intent.locked, ports.clock.now())
  }
  for (const change of intent.changes) await hold(change, underWay)
  await requestRun(cluster, intent.locked, `${unlock}-release`)
  const released = await waitSlice(isReleased, {
    clock: ports.clock,
    sliceMs: ports.sliceMs,
    deadline: (await underWay.waitingSince('the controller to release the lock')) + releaseMs,
    late: () =>
      new UnlockStopped(
        'NotReleased',
        `tofu-controller has not released the lock of ${intent.locked.object} within ${releaseMs / 60_000} minutes.`,
        'It is unlocked by the next rung.',
      ),
  })
  if (released) await underWay.note({ deletedAt: ports.clock.now() })
  return released
}
