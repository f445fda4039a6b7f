import type { Evidence } from '../evidence.ts'
import { clockTolerance, serverTolerance } from './lock-limits.ts'

/** How old a lock is, as far as clocks that differ can tell. All in milliseconds. */
export interface LockAge {
  /** It is at least this old. */
  readonly atLeast: number
  /** It was taken at this time or before, by the clock of the cluster's API server. */
  readonly takenBefore: number
  /** The holder's clock against the store's; undefined where the store keeps no time, or the record none. */
  readonly skew?: number
  /** Why `Created` does not count. */
  readonly doubt?: string
}

/**
 * Every source gives a bound that holds although its clock is off: our first sight, the store's own time, and the
 * record's Created less the tolerance. A Created in the future, or one that other clocks contradict, counts for nothing.
 */
export function ageOf({ at, lock, sight }: Evidence): LockAge {
  const created = lock.record?.createdAt
  const takenAt = earliest(lock.parts.map((part) => part.takenAt))
  const skew = created !== undefined && takenAt !== undefined ? created - takenAt : undefined
  const doubt = doubtOf({ at, created, skew, notSeenAt: sight.notSeenAt })
  const byHolder = doubt === undefined && created !== undefined ? created + clockTolerance : undefined

  const byStores = lock.parts.map(({ store, takenAt }) =>
    // A Lease's time and a pod's are of one clock.
    takenAt === undefined || store === 'kubernetes' ? takenAt : takenAt + clockTolerance,
  )
  const ourBound = earliest([sight.firstSeenAt, takenAt && takenAt + serverTolerance, byHolder]) ?? at
  const byBoth = byHolder === undefined ? undefined : byHolder + serverTolerance
  const serversBound = earliest([sight.firstSeenAt + clockTolerance, byBoth, ...byStores]) ?? at
  return {
    atLeast: Math.max(0, at - ourBound),
    takenBefore: serversBound,
    ...(skew !== undefined && { skew }),
    ...(doubt !== undefined && { doubt }),
  }
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined)
  return known.length > 0 ? Math.min(...known) : undefined
}

interface Times {
  readonly at: number
  readonly created: number | undefined
  readonly skew: number | undefined
  readonly notSeenAt: number | undefined
}

function doubtOf({ at, created, skew, notSeenAt }: Times): string | undefined {
  if (created === undefined) return 'the record has no time of creation'
  if (created > at) return 'Created is in the future'
  if (skew !== undefined && Math.abs(skew) > clockTolerance) return "Created is far from the store's own time"
  if (notSeenAt !== undefined && created < notSeenAt - clockTolerance)
    return 'a scan after Created did not find the lock yet'
  return undefined
}
