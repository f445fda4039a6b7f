import type { Retrier } from './definition.ts'
import { errorMatches } from './state-error.ts'

/** A retry that is due: which retrier allows it, and how long to wait before it. */
export interface Retry {
  readonly retrier: number
  readonly delayMs: number
}

/**
 * The retry that the first matching retrier still allows; undefined when none matches or it is used up. `used` counts
 * the retries per retrier. Delays grow from IntervalSeconds by BackoffRate up to MaxDelaySeconds; with FULL jitter
 * the delay is drawn between nothing and that.
 */
export function nextRetry(
  retriers: readonly Retrier[],
  used: readonly number[],
  error: string,
  random: () => number,
): Retry | undefined {
  const index = retriers.findIndex(({ ErrorEquals }) => errorMatches(ErrorEquals, error))
  const retrier = retriers[index]
  const count = used[index] ?? 0
  if (!retrier || count >= retrier.MaxAttempts) return undefined
  const grown = retrier.IntervalSeconds * retrier.BackoffRate ** count
  const seconds = Math.min(grown, retrier.MaxDelaySeconds ?? 31_622_400)
  const share = retrier.JitterStrategy === 'FULL' ? random() : 1
  return { retrier: index, delayMs: Math.round(seconds * share * 1000) }
}
