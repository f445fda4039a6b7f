import { outcomeOf, type UnlockApproval } from '../../approval/approval.ts'
import { type ConcludePorts, type Conclusion, concludeApproval } from '../../approval/conclude-approval.ts'
import type { Fleet } from '../../fleet.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import { stillJudged } from './still-judged.ts'

export interface TendPorts extends ConcludePorts {
  readonly ledger: ConcludePorts['ledger'] & Pick<Ledger, 'listApprovals'>
  readonly fleet: Pick<Fleet, 'clusters' | 'locks'>
}

/**
 * Keeps the tasks waiting whose locks are still what people were asked about, and ends the others: an approval of a lock
 * that has changed is void. Of `observations`, the latest ones, each open approval of their places is tended. One that
 * fails does not keep the others from it, and is tended again by the next scan. Rejects with LedgerUnavailable where the
 * approvals cannot be listed.
 */
export async function tendApprovals(observations: readonly Observation[], ports: TendPorts): Promise<void> {
  const places = new Map(observations.map((observation) => [observation.key, observation]))
  for (const approval of await ports.ledger.listApprovals('open')) {
    const observation = approval.kind === 'unlock' && places.get(approval.place)
    if (!observation) continue
    try {
      await tendApproval(approval, observation, ports)
    } catch (error) {
      const { id: unlock, cluster } = approval
      ports.log.warn('an approval could not be tended', { unlock, cluster, error: errorName(error) })
    }
  }
}

async function tendApproval(approval: UnlockApproval, observation: Observation, ports: TendPorts): Promise<void> {
  const how = await closingOf(approval, observation, ports)
  if (how !== undefined) await concludeApproval(approval, how, ports)
}

/** How an approval ends now; undefined where people are still waited for. */
async function closingOf(
  approval: UnlockApproval,
  observation: Observation,
  { tasks, clock, fleet }: TendPorts,
): Promise<Conclusion | undefined> {
  const outcome = outcomeOf(approval)
  const still = stillJudged(approval, observation, fleet)
  // Here and below: it was decided, and whoever was to say so died.
  if (outcome === 'denied') return 'denied'
  if (still === 'changed') return 'changed'
  if (outcome === 'approved') return 'approved'
  if (clock.now() >= approval.expiresAt) return 'expired'
  // What could not be read may be as it was, or not: without a heartbeat the task gives up when that lasts.
  if (still === 'unknown' || approval.token === undefined) return undefined
  return (await tasks.heartbeat(approval.token)) === 'gone' ? 'gone' : undefined
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error'
}
