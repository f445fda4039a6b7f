import type { Clock } from '../lib/clock.ts'
import type { Cluster } from '../lib/kubernetes/cluster.ts'
import type { Claim, Ledger } from '../lib/ledger/ledger.ts'
import { branchOfMark } from '../lib/rollout/gate-mark.ts'
import { openAllGates } from '../lib/rollout/gates.ts'
import { leaseMs } from '../lib/rollout/lease.ts'

/** What became of a rollout's claim and gates. */
export interface Released {
  /** The rollout that takes over, gates and all. */
  readonly handedTo?: string
  /** How many gates were opened. */
  readonly opened: number
}

/**
 * Lets go of a branch: hands the claim, and the gates as they are, to a newer push that waits for it; else opens
 * every gate of the branch and frees the claim. Nothing is suspended afterwards that was not suspended before.
 * Doing it again changes nothing. A rollout that has lost its claim to another touches nothing.
 * `gatesLeft` false spares the search where the rollout knows that all gates are open. Throws ClusterError.
 */
export async function releaseBranch(
  { rollout, branch, gatesLeft }: { rollout: string; branch: string; gatesLeft: boolean },
  { cluster, ledger, clock }: { cluster: Cluster; ledger: Ledger; clock: Clock },
): Promise<Released> {
  let opened = 0
  let searched = !gatesLeft
  for (;;) {
    const claim = await ledger.readClaim(cluster.name, branch)
    const holder = claim?.holder
    if (holder && holder.rollout !== rollout) return { handedTo: holder.rollout, opened }
    if (claim?.next) {
      const handed = { ...successorOf(claim), holder: claim.next, leaseUntil: clock.now() + leaseMs }
      if (await ledger.writeClaim(handed)) return { handedTo: claim.next.rollout, opened }
      continue
    }
    // Before the claim is free: a newcomer that finds it free must not find gates that are being opened.
    if (!searched) {
      opened = (await openAllGates(cluster, (mark) => branchOfMark(mark) === branch)).length
      searched = true
      continue
    }
    if (!claim || !holder || (await ledger.writeClaim(successorOf(claim)))) return { opened }
  }
}

/** The claim as it is for whoever comes next: what is known of pushes stays, what the holder was told goes. */
function successorOf({ cluster, branch, version, newest }: Claim): Claim {
  return { cluster, branch, version: version + 1, leaseUntil: 0, ...(newest && { newest }) }
}
