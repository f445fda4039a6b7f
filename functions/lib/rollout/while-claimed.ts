import type { Clock } from '../clock.ts'
import type { Cluster, Kind } from '../kubernetes/cluster.ts'
import { type Mirror, type MirrorEvent, mirror } from '../kubernetes/mirror.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { checkClaim, type Wish } from './lease.ts'
import type { Rollout } from './rollout.ts'

export interface WhileClaimedPorts {
  readonly cluster: Cluster
  readonly ledger: Ledger
  readonly clock: Clock
}

/** What one look answers: the end, or when to look again at the latest (milliseconds since the epoch). */
export type Look<T> = { readonly done: T } | { readonly until: number }

const lookAtClaimMs = 2_000

/**
 * Watches `kinds` with one LIST and one WATCH each and calls `look` at first, after every change and at the time that
 * it names, until it is done. Between looks the rollout's claim is checked: what others want of its holder ends the
 * watching. `onEvent` hears every change after the first lists, before the look that follows it.
 * Throws ClaimLost, ClusterError, and what `look` and `onEvent` throw.
 */
export async function whileClaimed<T>(
  rollout: Rollout,
  kinds: readonly Kind[],
  { cluster, ledger, clock }: WhileClaimedPorts,
  look: (now: number, view: Mirror) => Look<T> | Promise<Look<T>>,
  onEvent: (event: MirrorEvent) => void = () => {},
): Promise<{ readonly done: T } | { readonly wish: Exclude<Wish, 'go on'> }> {
  const ending = new AbortController()
  let wake = () => {}
  const view = await mirror(cluster, kinds, {
    clock,
    signal: ending.signal,
    onEvent: (event) => {
      onEvent(event)
      wake()
    },
  })
  // Its failure is seen in the race below; until then it must not count as unhandled.
  view.closed.catch(() => {})
  try {
    let lookedAtClaim = Number.NEGATIVE_INFINITY
    for (;;) {
      const now = clock.now()
      // Armed before anything is read: an event during the work below must not be slept over.
      const moved = new Promise<void>((resolve) => {
        wake = resolve
      })
      if (now - lookedAtClaim >= lookAtClaimMs) {
        const wish = await checkClaim(rollout, { ledger, clock })
        if (wish !== 'go on') return { wish }
        lookedAtClaim = now
      }
      const seen = await look(now, view)
      if ('done' in seen) return seen
      const until = Math.min(seen.until, lookedAtClaim + lookAtClaimMs)
      const cancel = clock.after(Math.max(1, until - clock.now()), wake)
      await Promise.race([moved, view.closed]).finally(cancel)
    }
  } finally {
    ending.abort()
  }
}
