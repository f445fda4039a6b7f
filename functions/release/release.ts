import type { Clock } from '../lib/clock.ts'
import { LockstepError } from '../lib/errors.ts'
import type { Cluster } from '../lib/kubernetes/cluster.ts'
import { type Claim, type Ledger, withoutNext } from '../lib/ledger/ledger.ts'
import { branchOfMark } from '../lib/rollout/gate-mark.ts'
import { type OpenedGates, openAllGates } from '../lib/rollout/gates.ts'
import { leaseMs } from '../lib/rollout/lease.ts'

/** Objects refused to be opened: an admission policy, or rights that are gone. */
export class GatesLeft extends LockstepError {
  constructor(cluster: string, refused: OpenedGates['refused']) {
    const list = refused.slice(0, 10).map(({ key, error }) => `${key} (${error})`)
    if (refused.length > list.length) list.push(`and ${refused.length - list.length} more`)
    super(
      'GatesLeft',
      `In cluster ${cluster} these objects stay suspended, because they cannot be patched: ${list.join(', ')}.`,
      'Resume them by hand (flux resume …), or let the next push take them over.',
    )
  }
}

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
 * The search for gates is in the cluster, not in the record: marks that people left behind are removed too.
 * Throws ClusterError, and GatesLeft when an object refuses; the claim is free then all the same.
 */
export async function releaseBranch(
  { rollout, branch }: { rollout: string; branch: string },
  { cluster, ledger, clock }: { cluster: Cluster; ledger: Ledger; clock: Clock },
): Promise<Released> {
  let searched: OpenedGates | undefined
  for (;;) {
    const claim = await ledger.readClaim(cluster.name, branch)
    const holder = claim?.holder
    // It waited for its turn and ended before: nobody must hand over to it.
    if (claim && claim.next?.rollout === rollout) {
      await ledger.writeClaim(withoutNext(claim))
      continue
    }
    if (holder && holder.rollout !== rollout) return { handedTo: holder.rollout, opened: searched?.opened.length ?? 0 }
    if (claim?.next) {
      const handed = { ...successorOf(claim), holder: claim.next, leaseUntil: clock.now() + leaseMs }
      if (await ledger.writeClaim(handed)) return { handedTo: claim.next.rollout, opened: searched?.opened.length ?? 0 }
      continue
    }
    // Before the claim is free: a newcomer that finds it free must not find gates that are being opened.
    if (!searched) {
      searched = await openAllGates(cluster, (mark) => branchOfMark(mark) === branch)
      continue
    }
    if (claim && holder && !(await ledger.writeClaim(successorOf(claim)))) continue
    if (searched.refused.length > 0) throw new GatesLeft(cluster.name, searched.refused)
    return { opened: searched.opened.length }
  }
}

/** The claim as it is for whoever comes next: what is known of pushes stays, what the holder was told goes. */
function successorOf({ cluster, branch, version, newest }: Claim): Claim {
  return { cluster, branch, version: version + 1, leaseUntil: 0, ...(newest && { newest }) }
}
