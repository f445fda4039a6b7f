import { createHash } from 'node:crypto'
import type { LockEvent } from '../../events.ts'
import type { Observation } from './observation.ts'

/** The event for the verdict of an observation, told by `execution`. The same verdict on the same lock always has the same id. */
export function lockEventOf(
  { key, cluster, evidence, judgement, verdictSince, announced }: Observation,
  execution: string,
): LockEvent {
  const { owner, lock } = evidence
  const { record } = lock
  const id = record?.id ?? ''
  const since = new Date(verdictSince).toISOString()
  return {
    type: 'Lock Verdict Changed',
    version: 1,
    id: eventId([key, id, judgement.verdict, since]),
    execution,
    place: key,
    lock: id,
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

function eventId(of: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 32)
}
