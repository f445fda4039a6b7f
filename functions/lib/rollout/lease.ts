import type { Clock } from '../clock.ts'
import { LockstepError } from '../errors.ts'
import type { Claim, Ledger } from '../ledger/ledger.ts'
import { branchOf } from './branch.ts'
import type { Rollout } from './rollout.ts'

/** A holder that has not renewed for this long is taken for dead: longer than a slice and the step after it. */
export const leaseMs = 15 * 60_000

/** Renewed when this much of the lease has passed. */
const renewAfterMs = leaseMs / 5

/** Another rollout has the claim now. Whatever this one still does must not touch the cluster. */
export class ClaimLost extends LockstepError {
  constructor(rollout: Rollout) {
    super(
      'ClaimLost',
      `Rollout ${rollout.id} no longer holds ${branchOf(rollout.push)} in ${rollout.cluster}.`,
      'Another rollout has taken over; look at that one.',
    )
  }
}

/** What others want of the holder. */
export type Wish = 'go on' | 'stop for a newer push' | 'release the gates'

/**
 * Looks at the rollout's own claim, and renews its lease when it is due: to be called at every safe point.
 * Throws ClaimLost.
 */
export async function checkClaim(rollout: Rollout, { ledger, clock }: { ledger: Ledger; clock: Clock }): Promise<Wish> {
  const claim = await ledger.readClaim(rollout.cluster, branchOf(rollout.push))
  if (claim?.holder?.rollout !== rollout.id) throw new ClaimLost(rollout)
  if (claim.next) return 'stop for a newer push'
  if (claim.release) return 'release the gates'
  if (claim.leaseUntil - clock.now() < leaseMs - renewAfterMs) await renew(claim, ledger, clock)
  return 'go on'
}

/** A write that loses against a newcomer's is fine: the next look sees what they wrote. */
async function renew(claim: Claim, ledger: Ledger, clock: Clock): Promise<void> {
  await ledger.writeClaim({ ...claim, version: claim.version + 1, leaseUntil: clock.now() + leaseMs })
}
