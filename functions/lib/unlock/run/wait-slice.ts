import { type Clock, sleep } from '../../clock.ts'

const firstPauseMs = 200
const longestPauseMs = 5_000

export interface SliceOptions {
  readonly clock: Clock
  /** How long to look before the step answers with what it has seen, in milliseconds. */
  readonly sliceMs: number
  /** Throws once this is past. Milliseconds since the epoch. */
  readonly deadline: number
  /** What to throw then. */
  readonly late: () => Error
}

/**
 * Looks again and again until `look` says true; false when the slice is over. What is waited for here are a few objects of
 * one cluster, seldom and for minutes: looking costs less than watching, and survives whatever breaks a watch.
 */
export async function waitSlice(look: () => Promise<boolean>, options: SliceOptions): Promise<boolean> {
  const { clock, sliceMs, deadline, late } = options
  const until = clock.now() + sliceMs
  for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, longestPauseMs)) {
    if (await look()) return true
    if (clock.now() >= deadline) throw late()
    if (clock.now() >= until) return false
    await sleep(clock, pause)
  }
}
