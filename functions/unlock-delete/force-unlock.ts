import type { LockPorts } from '../lib/step.ts'
import { type Standing, standingOf } from '../lib/unlock/hold/change.ts'
import { hold } from '../lib/unlock/hold/hold.ts'
import { forgetPlan, requestRun } from '../lib/unlock/run/fresh-plan.ts'
import { LockParts } from '../lib/unlock/run/lock-parts.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'
import { UnlockStopped } from '../lib/unlock/run/unlock-stopped.ts'
import { waitSlice } from '../lib/unlock/run/wait-slice.ts'

/** How long the controller is given to release the lock, in milliseconds. */
const releaseMs = 5 * 60_000

/**
 * Has tofu-controller release the lock: it names exactly this one, and OpenTofu refuses any other. False where that takes
 * longer than a slice: call again. Throws NotReleased, ChangedMeanwhile, TurnLost, ClusterError,
 * LockStoreError.
 */
export async function forceUnlock(unlock: string, ports: LockPorts): Promise<boolean> {
  const underWay = await UnderWay.read(unlock, ports)
  const { where, lock, intent, deletedAt, backup } = underWay.run
  // Nobody keeps the object from running: from the backup on, what is written may be its own.
  const releasedAt = backup?.at ?? ports.clock.now()
  if (!where || !intent) throw new TypeError(`Unlock ${unlock} was not begun.`)
  if (deletedAt !== undefined) return true
  const cluster = await underWay.cluster()
  const parts = new LockParts(where.parts, ports.locks, cluster)
  // The controller's next run takes a lock of its own: what counts is that this one is gone. One that cannot be read stays.
  const isReleased = async () =>
    (await parts.readAll()).every(({ record }) => record.info !== undefined && record.info.id !== lock)
  const isBefore = async () =>
    (await Promise.all(intent.changes.map((each) => standingOf(cluster, each)))).some(isUndone)
  if (await isBefore()) {
    if (await isReleased()) {
      await underWay.note({ deletedAt: ports.clock.now(), releasedAt })
      return true
    }
    await underWay.renewTurn()
    await underWay.record('force', 'having the controller release the lock', { lock: intent.locked.lock })
    // It releases only a lock that it remembers to have met.
    const { object, uid } = intent.locked
    await forgetPlan(cluster, { object, uid }, ports.clock.now())
  }
  // The run that releases the lock goes on with the fresh plan.
  if (underWay.run.releasedAt === undefined) await underWay.note({ releasedAt })
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
        'Asked for again, it is unlocked by the next rung.',
      ),
  })
  if (released) await underWay.note({ deletedAt: ports.clock.now() })
  return released
}

function isUndone({ is }: Standing): boolean {
  return is === 'before'
}
