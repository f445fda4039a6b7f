import type { Events } from '../../events.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Evidence } from '../evidence.ts'
import type { LockLimits } from '../verdict/lock-limits.ts'
import { judge } from '../verdict/verdict.ts'
import { isUnannounced, lockEventId, lockEventOf } from './announce.ts'
import type { Observation } from './observation.ts'
import { nextObservation, type Verdict } from './remember.ts'

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
  /** Who judges: see `LockEvent`. */
  readonly execution: string
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
  const known = previous && (await withoutLeft(previous, { ...judged, judgement }, ports))
  if (previous && !known) return undefined
  const next = nextObservation({ ...judged, judgement }, known)
  if (!(await ports.ledger.writeObservation(next))) return undefined
  if (!isUnannounced(next)) return next
  return (await tell(next, judged.at, ports)) ?? next
}

/** The observation of before, told if it was not and if what follows has something else to tell. */
async function withoutLeft(
  previous: Observation,
  verdict: Verdict,
  ports: RecordPorts,
): Promise<Observation | undefined> {
  if (!isUnannounced(previous)) return previous
  const next = nextObservation(verdict, previous)
  if (lockEventId(next) === lockEventId(previous)) return previous
  return tell(previous, verdict.at, ports)
}

/** Tells a verdict, and writes down after it that it was told. Undefined when somebody else has written meanwhile. */
export async function tell(
  observation: Observation,
  at: number,
  { ledger, events, execution }: RecordPorts,
): Promise<Observation | undefined> {
  await events.publish(lockEventOf(observation, execution))
  const { verdict } = observation.judgement
  const told = { ...observation, version: observation.version + 1, announced: { verdict, at } }
  return (await ledger.writeObservation(told)) ? told : undefined
}
