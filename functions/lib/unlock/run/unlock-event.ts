import type { UnlockEvent } from '../../events.ts'
import type { UnlockRun } from './unlock-run.ts'

/** The event of what has become of an unlock: the same thing always has the same id. */
export function unlockEventOf(run: UnlockRun): UnlockEvent {
  const { unlock, cluster, place, lock, object, requestedBy, reason, rung, why, outcome } = run
  const what = outcome ?? 'asked'
  return {
    ...{ id: `${unlock}/${what}`, unlock, what, cluster, place, lock, requestedBy, reason },
    ...(object !== undefined && { object }),
    ...(rung !== undefined && { rung }),
    ...(why !== undefined && { why }),
  }
}
