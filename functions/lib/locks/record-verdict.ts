import type { Events } from '../events.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { isUnannounced, lockEventOf } from './announce.ts'
import type { Evidence } from './evidence.ts'
import type { LockLimits } from './lock-limits.ts'
import type { Observation } from './observation.ts'
import { nextObservation } from './remember.ts'
import { judge } from './verdict.ts'

export interface Judged {
  readonly key: string
  /** Whose scan it is. */
  readonly cluster: string | undefined
  readonly evidence: Evidence
  /** When the verdict is reached, in milliseconds since the epoch. */
  readonly at: number
}

export interface RecordPorts {
  readonly ledger: Pick<Ledger, 'writeObservation'>
  readonly events: Events
  readonly limits: LockLimits
}

/**
 * Judges the evidence of a place, writes it down and tells of a verdict that has changed. Answers the observation, or
 * undefined when another scan was faster: then its observation stands, and this one is dropped.
 *
 * What is written down is told before it is overwritten by another verdict: a scan that dies in between leaves the
 * telling to the next one. Told twice is possible, not told is not. Rejects with LedgerUnavailable, and with
 * EventsUnavailable: then what could not be told is still to be told.
 */
export async function recordVerdict(
  judged: Judged,
  previous: Observation | undefined,
  ports: RecordPorts,
): Promise<Observation | undefined> {
  const judgement = judge(judged.evidence, ports.limits)
  const isLeft = previous && isUnannounced(previous) && previous.judgement.verdict !== judgement.verdict
  const known = isLeft ? await announced(previous, judged.at, ports) : previous
  if (isLeft && !known) return undefined
  const next = nextObservation({ ...judged, judgement }, known)
  if (!(await ports.ledger.writeObservation(next))) return undefined
  if (!isUnannounced(next)) return next
  return (await announced(next, judged.at, ports)) ?? next
}

/** Tells first and writes that down after it. Undefined when somebody else has written meanwhile. */
async function announced(
  observation: Observation,
  at: number,
  { ledger, events }: RecordPorts,
): Promise<Observation | undefined> {
  await events.publish(lockEventOf(observation))
  const { verdict } = observation.judgement
  const told = { ...observation, version: observation.version + 1, announced: { verdict, at } }
  return (await ledger.writeObservation(told)) ? told : undefined
}
