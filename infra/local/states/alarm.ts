import type { Clock } from '../../../functions/lib/clock.ts'

/** A timer of the system holds no more than 2^31-1 ms, and a scaled clock may fire a moment early. */
const longestTimerMs = 2 ** 31 - 1

/** Calls `ring` once the clock has reached `at` (milliseconds since the epoch), however far off. Cancel by the result. */
export function alarm(clock: Clock, at: number, ring: () => void): () => void {
  let cancel = () => {}
  const arm = () => {
    const left = at - clock.now()
    cancel = clock.after(Math.min(Math.max(left, 0), longestTimerMs), () => (clock.now() >= at ? ring() : arm()))
  }
  arm()
  return () => cancel()
}
