import type { Fleet } from '../fleet.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Observation } from '../locks/scan/observation.ts'
import { stillJudged } from '../unlock/approval/still-judged.ts'
import { type Approval, outcomeOf, type UnlockApproval, type WaveApproval } from './approval.ts'
import { type ConcludePorts, type Conclusion, concludeApproval } from './conclude-approval.ts'

export interface TendPorts extends ConcludePorts {
  readonly ledger: ConcludePorts['ledger'] & Pick<Ledger, 'listApprovals'>
  readonly fleet: Pick<Fleet, 'clusters' | 'locks'>
}

/** Whoever has taken the last decision about a wave answers its task within so long, in milliseconds: the function has half a minute. */
const answeredWithinMs = 60_000

/**
 * Ends open approvals that somebody else should have ended, or that are void. Of unlocks, those of the places in `observations`, the latest
 * ones: tasks are kept waiting whose locks are still what people were asked about, and an approval of a lock that has changed is
 * void. Of waves, those that people have decided on and whose task was not answered then. (A rollout looks after its plans itself.)
 * One that fails does not keep the others from it, and is tended again by the next scan. Rejects with LedgerUnavailable where the
 * approvals cannot be listed.
 */
export async function tendApprovals(observations: readonly Observation[], ports: TendPorts): Promise<void> {
  const places = new Map(observations.map((observation) => [observation.key, observation]))
  for (const approval of await ports.ledger.listApprovals('open')) {
    try {
      const how = await closingOf(approval, places, ports)
      if (how !== undefined) await concludeApproval(approval, how, ports)
    } catch (error) {
      ports.log.warn('an approval could not be tended', { [approval.kind]: approval.id, error: errorName(error) })
    }
  }
}

/** How an approval ends now; undefined where people are still waited for, or somebody else looks after it. */
async function closingOf(
  approval: Approval,
  places: ReadonlyMap<string, Observation>,
  ports: TendPorts,
): Promise<Conclusion | undefined> {
  switch (approval.kind) {
    case 'unlock': {
      const observation = places.get(approval.place)
      return observation && closingOfUnlock(approval, observation, ports)
    }
    case 'wave':
      return closingOfWave(approval, ports)
    case 'plan':
      return undefined
  }
}

function closingOfWave(approval: WaveApproval, { clock }: TendPorts): Conclusion | undefined {
  const outcome = outcomeOf(approval)
  const latest = Math.max(...approval.decisions.map(({ at }) => at))
  return outcome !== 'open' && clock.now() >= latest + answeredWithinMs ? outcome : undefined
}

async function closingOfUnlock(
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
