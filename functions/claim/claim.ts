import { type Clock, sleep } from '../lib/clock.ts'
import { LockstepError } from '../lib/errors.ts'
import { shortCommit } from '../lib/flux/revision.ts'
import { type Claim, type Claimant, type Ledger, withoutNext } from '../lib/ledger/ledger.ts'
import type { Push } from '../lib/push.ts'
import { branchOf } from '../lib/rollout/branch.ts'
import { leaseMs } from '../lib/rollout/lease.ts'
import { isOlder } from './order-pushes.ts'

/** A newer push has been seen, or another rollout of this one is at work: this rollout has nothing to do. */
export class Superseded extends LockstepError {
  constructor(push: Push, by: Claimant) {
    super(
      'Superseded',
      by.after === push.after
        ? `Rollout ${by.rollout} takes care of ${shortCommit(push.after)} already.`
        : `The push of ${shortCommit(push.after)} is older than ${shortCommit(by.after)}, which rollout ${by.rollout} takes care of.`,
      'Nothing has to be done.',
    )
  }
}

/** Another rollout has taken the branch to this commit already, and that went well: this one has nothing to do. */
export class RolledOutBefore extends LockstepError {
  constructor(push: Push, by: Claimant) {
    super(
      'RolledOutBefore',
      `Rollout ${by.rollout} has rolled out ${shortCommit(push.after)} here before.`,
      'Nothing has to be done.',
    )
  }
}

/** An older rollout has been asked to stop and has not stopped yet. */
export class ClaimBusy extends LockstepError {
  constructor(claim: Claim) {
    super(
      'ClaimBusy',
      `Rollout ${claim.holder?.rollout} holds ${claim.branch} in ${claim.cluster} and has not let go yet.`,
      'It stops at its next safe point; the claim is tried again.',
    )
  }
}

/** The rollout was ended while it waited for its turn. */
export class ClaimWithdrawn extends LockstepError {
  constructor({ rollout }: Claimant) {
    super(
      'ClaimWithdrawn',
      `Rollout ${rollout} was ended before it had its turn.`,
      'Redeliver the webhook to start anew.',
    )
  }
}

/** The holder lets go within seconds, or not at all: the first looks are close together, the later ones are not. */
const firstPauseMs = 200
const longestPauseMs = 2_000

/**
 * Claims one branch in one cluster for `claimant`. The newest push wins: a holder that is older is asked to stop and
 * hands over, gates and all; a holder whose lease has run out is taken over. Waits up to `patienceMs`.
 * Throws Superseded when a newer push is known, or the same commit is at its turn; RolledOutBefore when that has had its
 * turn; ClaimBusy when the holder has not let go in time. Claiming again what one holds is success.
 */
export async function claimBranch(
  { cluster, push, claimant, patienceMs }: { cluster: string; push: Push; claimant: Claimant; patienceMs: number },
  { ledger, clock }: { ledger: Ledger; clock: Clock },
): Promise<void> {
  const branch = branchOf(push)
  const giveUpAt = clock.now() + patienceMs
  for (let pauseMs = firstPauseMs; ; ) {
    const claim = (await ledger.readClaim(cluster, branch)) ?? { cluster, branch, version: 0, leaseUntil: 0 }
    if (await hasEnded(claimant, ledger)) {
      if (claim.next?.rollout === claimant.rollout) await ledger.writeClaim(withoutNext(claim))
      throw new ClaimWithdrawn(claimant)
    }
    // Even if a newer push waits already: what was handed over must be handed on, at the next safe point.
    if (claim.holder?.rollout === claimant.rollout) return
    const twin = twinOf(claimant, claim)
    if (twin) await leaveTo(twin, { claim, push }, { ledger, clock })
    const newer = newerThan(claimant, claim)
    if (newer) throw new Superseded(push, newer)
    const free = !claim.holder || clock.now() > claim.leaseUntil
    const wanted = free ? taken(claim, claimant, clock.now()) : asked(claim, claimant)
    // When somebody was faster, their write is looked at in the next turn.
    const written = wanted === undefined || (await ledger.writeClaim(wanted))
    if (written && free) return
    if (clock.now() >= giveUpAt) throw new ClaimBusy(claim)
    if (!written) continue
    await sleep(clock, pauseMs)
    pauseMs = Math.min(longestPauseMs, pauseMs * 1.3)
  }
}

/** An execution can be aborted while its step waits here: Lambda does not stop for that. */
async function hasEnded({ rollout }: Claimant, ledger: Ledger): Promise<boolean> {
  return (await ledger.readRollout(rollout))?.value.outcome !== undefined
}

/**
 * The latest push of the same commit, where one of the two was made up by a sweep: its webhook came after all, or was there
 * first. Of two that GitHub told of, the branch has been elsewhere in between.
 */
function twinOf(claimant: Claimant, { newest }: Claim): Claimant | undefined {
  if (newest?.after !== claimant.after || newest.rollout === claimant.rollout) return undefined
  return newest.found || claimant.found ? newest : undefined
}

/** Throws where the twin does, or did, what this rollout would do. One that has failed, or has died, did not. */
async function leaveTo(
  twin: Claimant,
  { claim, push }: { claim: Claim; push: Push },
  { ledger, clock }: { ledger: Ledger; clock: Clock },
): Promise<void> {
  const isAtWork = claim.holder?.rollout === twin.rollout && clock.now() <= claim.leaseUntil
  const outcome = (await ledger.readRollout(twin.rollout))?.value.outcome
  if (outcome === 'succeeded') throw new RolledOutBefore(push, twin)
  if (outcome === undefined && (isAtWork || claim.next?.rollout === twin.rollout)) throw new Superseded(push, twin)
}

/**
 * The push that makes this one superfluous, if there is one. Of two that neither can tell apart, the one that waits
 * already stays: its fetch is still to come and brings the branch's head, whichever of the two that is.
 */
function newerThan(claimant: Claimant, { holder, next, newest }: Claim): Claimant | undefined {
  const others = [newest, next, holder].filter((other) => other && other.rollout !== claimant.rollout)
  const newer = others.find((other) => other && isOlder(claimant, other))
  if (newer) return newer
  return next && next.rollout !== claimant.rollout && !isOlder(next, claimant) ? next : undefined
}

function taken(claim: Claim, claimant: Claimant, now: number): Claim {
  const { cluster, branch, version } = claim
  return { cluster, branch, version: version + 1, holder: claimant, leaseUntil: now + leaseMs, newest: claimant }
}

/** Undefined when the holder has been asked already. */
function asked(claim: Claim, claimant: Claimant): Claim | undefined {
  if (claim.next?.rollout === claimant.rollout) return undefined
  return { ...claim, version: claim.version + 1, next: claimant, newest: claimant }
}
