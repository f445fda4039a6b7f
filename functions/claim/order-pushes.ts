import type { Claimant } from '../lib/ledger/ledger.ts'

/**
 * Whether `push` comes before `other` in the branch's history. GitHub does not promise an order of delivery: where
 * the commits join up they decide; else GitHub's time of the push, in whole seconds. Of two pushes that neither
 * tells apart, none is older: then the later arrival is taken, and the source serves the branch's head either way.
 */
export function isOlder(push: Claimant, other: Claimant): boolean {
  const leadsToOther = push.after === other.before
  const followsOther = push.before === other.after
  // Both where a branch was moved there and back.
  if (leadsToOther !== followsOther) return leadsToOther
  return push.pushedAt < other.pushedAt
}
