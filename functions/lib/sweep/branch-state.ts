import type { Claim } from '../ledger/ledger.ts'
import { type Branch, branchOf } from '../rollout/branch.ts'
import type { Rollout } from '../rollout/rollout.ts'
import type { Ports } from '../step.ts'

/** What the ledger knows of a branch in a cluster. */
export interface BranchState {
  readonly cluster: string
  readonly claim: Claim | undefined
  /** The rollout of the newest push that claimed the branch. */
  readonly newest: Rollout | undefined
  /** A rollout is at work, or waits for its turn. */
  readonly busy: boolean
}

/** Rejects with LedgerUnavailable. */
export async function readBranch(
  cluster: string,
  branch: Branch,
  { ledger, clock }: Pick<Ports, 'ledger' | 'clock'>,
): Promise<BranchState> {
  const claim = await ledger.readClaim(cluster, branchOf(branch))
  const newest = claim?.newest && (await ledger.readRollout(claim.newest.rollout))?.value
  const isHeld = claim?.holder !== undefined && claim.leaseUntil > clock.now()
  return { cluster, claim, newest, busy: isHeld || claim?.next !== undefined }
}

/** Whether a push of this commit has come to the cluster, or the latest rollout there has rolled it out in place of its own. */
export function knows({ claim, newest }: BranchState, commit: string): boolean {
  const pushed = [claim?.newest, claim?.next, claim?.holder].map((claimant) => claimant?.after)
  const served = newest?.sources.map((source) => source.served) ?? []
  return [...pushed, newest?.commit, ...served].includes(commit)
}

/** Whether the latest push found this commit here when it came, and no source has come as far as that push. */
export function lagsBehind({ newest }: BranchState, commit: string): boolean {
  if (!newest || newest.sources.some(({ served }) => served !== undefined)) return false
  return [newest.push.before, ...newest.sources.map(({ before }) => before)].includes(commit)
}
