import type { UnlockEvent } from '../../events.ts'
import type { UnlockRun } from './unlock-run.ts'

/** The event of what has become of an unlock: the same thing always has the same id. */
export function unlockEventOf(run: UnlockRun): UnlockEvent {
  const { outcome, requestedAt, endedAt } = run
  return event(run, outcome ?? 'asked', outcome === undefined ? requestedAt : (endedAt ?? requestedAt))
}

/** What the unlock had changed is put back, as far as nobody has changed it since. */
export function restoredEventOf(run: UnlockRun, by: 'unlock' | 'watch', at: number): UnlockEvent {
  return { ...event(run, 'restored', at), by }
}

function event(run: UnlockRun, what: UnlockEvent['what'], at: number): UnlockEvent {
  const { unlock, cluster, place, lock, object, requestedBy, reason, rung, why } = run
  return {
    ...{ type: 'Unlock Changed', version: 1, id: `${unlock}/${what}`, at: new Date(at).toISOString() },
    ...{ unlock, what, cluster, place, lock, requestedBy, reason },
    ...(object !== undefined && { object }),
    ...(rung !== undefined && { rung }),
    ...(why !== undefined && { why }),
  }
}
