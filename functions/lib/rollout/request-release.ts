import type { Clock } from '../clock.ts'
import { LockstepError } from '../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { branchOf } from './branch.ts'
import type { Rollout } from './rollout.ts'

/** The rollout has nothing to release: it has ended, or another one has its claim now. */
export class NothingToRelease extends LockstepError {
  constructor({ id, push, cluster }: Pick<Rollout, 'id' | 'push' | 'cluster'>, holder: string | undefined) {
    super(
      'NothingToRelease',
      `Rollout ${id} does not hold ${branchOf(push)} in ${cluster}.`,
      holder === undefined ? 'It has ended, and its gates are open.' : `Rollout ${holder} does: look at that one.`,
    )
  }
}

/** The claim was written again and again by others. */
export class ReleaseBusy extends LockstepError {
  constructor({ id }: Pick<Rollout, 'id'>) {
    super('ReleaseBusy', `The claim of rollout ${id} changes too often just now.`, 'Ask again.')
  }
}

/** The holder and a newcomer write a few times at most; who loses this often meets a fault. */
const mostTries = 10

/**
 * A person asks the rollout to let go of its gates. It does so at its next safe point: opens all of them without an
 * order and ends as `released`. `by` says who asked. Asking again changes nothing: the first who asked stays.
 * Throws NothingToRelease, ReleaseBusy and LedgerUnavailable.
 */
export async function requestRelease(
  rollout: Pick<Rollout, 'id' | 'push' | 'cluster'>,
  by: string,
  { ledger, clock }: { ledger: Ledger; clock: Clock },
): Promise<void> {
  for (let tries = 0; tries < mostTries; tries++) {
    const claim = await ledger.readClaim(rollout.cluster, branchOf(rollout.push))
    const holder = claim?.holder?.rollout
    if (!claim || holder !== rollout.id) throw new NothingToRelease(rollout, holder)
    if (claim.release) return
    const release = { by, at: clock.now() }
    if (await ledger.writeClaim({ ...claim, version: claim.version + 1, release })) return
  }
  throw new ReleaseBusy(rollout)
}
