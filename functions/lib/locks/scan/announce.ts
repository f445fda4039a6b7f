import { createHash } from 'node:crypto'
import type { LockEvent } from '../../events.ts'
import type { Observation } from './observation.ts'

/** The event for the verdict of an observation, told by `execution`. */
export function lockEventOf(observation: Observation, execution: string): LockEvent {
  const { key, cluster, evidence, judgement, verdictSince, announced } = observation
  const { owner, lock } = evidence
  const { record } = lock
  const since = new Date(verdictSince).toISOString()
  return {
    type: 'Lock Verdict Changed',
    version: 1,
    id: lockEventId(observation),
    execution,
    place: key,
    lock: record?.id ?? '',
    verdict: judgement.verdict,
    ...(announced && { before: announced.verdict }),
    at: since,
    since,
    rule: judgement.rule,
    reasons: judgement.reasons,
    ...(cluster !== undefined && { cluster }),
    ...(owner && { object: owner.object }),
    ...(record && { operation: record.operation, who: `${record.user}@${record.host}` }),
    addresses: lock.parts.map(({ address }) => address),
  }
}

/** Whether the verdict is one that nobody has been told yet. */
export function isUnannounced({ judgement, announced }: Observation): boolean {
  return judgement.verdict !== announced?.verdict
}

/** The same verdict on the same lock always has the same id, whoever tells it. */
export function lockEventId({ key, evidence, judgement, verdictSince }: Observation): string {
  const of = [key, evidence.lock.record?.id ?? '', judgement.verdict, new Date(verdictSince).toISOString()]
  return createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 32)
}
