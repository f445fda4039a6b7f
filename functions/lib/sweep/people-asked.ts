import { outcomeOf, type WaveApproval } from '../approval/approval.ts'
import { type Branch, branchOf } from '../rollout/branch.ts'
import type { Ports } from '../step.ts'

/** So long after they agreed clusters may not know yet of a push, in milliseconds. */
const beginsWithinMs = 5 * 60_000

/**
 * What people have to do with a commit that is about to be started:
 * - `waits`: a push of the branch waits for them before a wave, or they have just agreed. It may bring the commit.
 * - `declined`: they have denied a wave of this very commit, have let the time pass, or stopped its execution while they were asked.
 */
export type PeopleAsked = 'waits' | 'declined'

/** Undefined where people have nothing to do with it. Rejects with LedgerUnavailable. */
export async function peopleAsked(
  branch: Branch,
  commit: string,
  { ledger, clock }: Pick<Ports, 'ledger' | 'clock'>,
): Promise<PeopleAsked | undefined> {
  const now = clock.now()
  const approvals = await ledger.listApprovals('all')
  const waves = approvals.filter((each) => each.kind === 'wave').filter((each) => each.branch === branchOf(branch))
  if (waves.some((wave) => isWaiting(wave, now))) return 'waits'
  const [latest] = waves.filter((wave) => wave.commit === commit).sort((a, b) => b.askedAt - a.askedAt)
  return latest && isDeclined(latest) ? 'declined' : undefined
}

function isWaiting({ closed, expiresAt }: WaveApproval, now: number): boolean {
  if (closed) return closed.how === 'approved' && now < closed.at + beginsWithinMs
  return now < expiresAt
}

/** Where people could not be asked, or not be heard (`ended`), nobody has declined anything. */
function isDeclined(wave: WaveApproval): boolean {
  const said = outcomeOf(wave)
  if (said === 'denied') return true
  if (!wave.closed) return said === 'open'
  return wave.closed.how === 'expired' || wave.closed.how === 'stopped'
}
