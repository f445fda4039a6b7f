import type { Clock } from '../../functions/lib/clock.ts'

/**
 * The second call comes early, in milliseconds: the first scan of a ledger that is new does not know yet what the
 * other clusters have, and says so.
 */
const early = 10_000

/** Calls `start` now, soon again, and then every `every` milliseconds, as a schedule on AWS does. Call the result to end it. */
export function startSchedule(clock: Clock, every: number, start: () => void): () => void {
  let cancel = () => {}
  const next = (ms: number) => {
    start()
    cancel = clock.after(ms, () => next(every))
  }
  next(Math.min(early, every))
  return () => cancel()
}
