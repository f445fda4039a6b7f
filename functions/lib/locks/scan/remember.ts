import { isDeepStrictEqual } from 'node:util'
import { type Evidence, type Look, readingOf, type Sight } from '../evidence.ts'
import { proofOfDeath } from '../verdict/proof-of-death.ts'
import type { Judgement } from '../verdict/verdict.ts'
import type { Observation } from './observation.ts'

const offencesKept = 20
const offencesKeptForMs = 90 * 86_400_000

/**
 * The evidence of a look, with what earlier looks knew of the same lock. `at` of the look is a time before anything of
 * it was read, and `readBy` one after everything was: what lasts is counted from the end of one look to the beginning of
 * another, so that a look that takes long never makes anything older than it is known to be.
 */
export function withSight(
  look: Look,
  readBy: number,
  previous: Observation | undefined,
  quietWindow: number,
): Evidence {
  const before = previous && isSameLock(previous.evidence, look) ? previous.evidence : undefined
  const notSeenAt = before ? before.sight.notSeenAt : previous?.evidence.at
  const pod = podSeen(before, look)
  const doubt = doubtOf(before, look)
  const sight: Sight = {
    firstSeenAt: before?.sight.firstSeenAt ?? readBy,
    ...(notSeenAt !== undefined && { notSeenAt }),
    unchangedSince: before && isUnmoved(before, look) ? before.sight.unchangedSince : readBy,
    ...(pod && { pod }),
    ...(doubt !== undefined && { doubt }),
  }
  const { shared: _, ...seen } = look
  const evidence = { ...seen, sight, ...(doubt !== undefined && { holder: { other: doubt } }) }
  if (!isDead(evidence)) return evidence
  // Between two looks that are far apart a node may have been lost and found again, which neither of them has seen.
  const isNear = before !== undefined && look.at - before.at < quietWindow
  const known = isNear && isSameRun(before, look) ? before.sight.deadSince : undefined
  return { ...evidence, sight: { ...sight, deadSince: known ?? readBy } }
}

/**
 * The evidence of before, of a lock that could not be read again: what was read stays what it was, and when. Whether the
 * holder is still dead was not looked at.
 */
export function notReadAgain({ evidence }: Observation, why: string): Evidence {
  const { deadSince: _, ...sight } = evidence.sight
  return { ...evidence, sight, lock: { ...evidence.lock, problem: `could not be read: ${why}` } }
}

export interface Verdict {
  readonly key: string
  readonly cluster: string | undefined
  readonly evidence: Evidence
  readonly judgement: Judgement
  /** When it was reached, in milliseconds since the epoch. */
  readonly at: number
}

/** The next observation of a place. Not announced by itself. */
export function nextObservation(verdict: Verdict, previous: Observation | undefined): Observation {
  const { key, cluster, evidence, judgement, at } = verdict
  const isAsBefore =
    previous?.judgement.verdict === judgement.verdict &&
    (judgement.verdict === 'free' || isSameLock(previous.evidence, evidence))
  const { scene, ...judged } = judgement
  return {
    key,
    version: (previous?.version ?? 0) + 1,
    ...(cluster !== undefined && { cluster }),
    evidence,
    judgement: { ...judged, reasons: [...judged.reasons], ...(scene && { scene }) },
    verdictSince: isAsBefore ? previous.verdictSince : at,
    ...(previous?.announced && { announced: previous.announced }),
    offences: offencesWith(verdict, isAsBefore, previous),
  }
}

function offencesWith({ evidence, judgement, at }: Verdict, isAsBefore: boolean, previous: Observation | undefined) {
  const known = (previous?.offences ?? []).filter((offence) => offence.at > at - offencesKeptForMs)
  const id = evidence.lock.record?.id ?? ''
  // One that is unknown for a while, and then stale again, is the same offence.
  const isNew = judgement.verdict === 'stale' && !isAsBefore && known.every((offence) => offence.id !== id)
  return isNew ? [...known, { at, id }].slice(-offencesKept) : known
}

/** By all that its record says: an ID of one's own may be used again. Without a record, by what is stored. */
function isSameLock(before: Look, now: Look): boolean {
  if (before.lock.parts.length === 0 || now.lock.parts.length === 0) return false
  const [a, b] = [before.lock.record, now.lock.record]
  if (a || b) return isDeepStrictEqual(a, b)
  return isSameStored(before, now)
}

/** Once a lock may be another object's, correcting that does not tell whose it was. */
function doubtOf(before: Evidence | undefined, look: Look): string | undefined {
  if (look.shared !== undefined) return look.shared
  if (before?.sight.doubt !== undefined) return before.sight.doubt
  if (!before?.owner || isSameRun(before, look)) return undefined
  const { object, cluster } = before.owner
  return `it was first seen when its state was that of ${object} in ${cluster}: a runner of that may hold it`
}

/** What cannot be compared counts as moved. */
function isUnmoved(before: Look, now: Look): boolean {
  const [a, b] = [readingOf(before.state), readingOf(now.state)]
  if (!a || !b || !isSameStored(before, now)) return false
  if (!a.exists || !b.exists) return a.exists === b.exists
  return a.version === b.version
}

function isSameStored({ lock: before }: Look, { lock: now }: Look): boolean {
  if (before.parts.length !== now.parts.length) return false
  return now.parts.every(({ address, version }) => {
    const known = before.parts.find((part) => part.address === address)
    return version !== undefined && known?.version === version
  })
}

function isSameRun(before: Look | undefined, { owner }: Look): boolean {
  return owner !== undefined && before?.owner?.cluster === owner.cluster && before.owner.object === owner.object
}

function isDead(evidence: Evidence): boolean {
  if ('other' in evidence.holder) return false
  const proof = proofOfDeath(evidence)
  return proof !== undefined && proof.blocked === undefined
}

/**
 * The pod that was first seen after the lock was. Whatever holds the lock is this one or an earlier one of its name: one
 * with another UID is not the holder.
 */
function podSeen(before: Evidence | undefined, look: Look): Sight['pod'] {
  if ('other' in look.holder) return undefined
  const seen = isSameRun(before, look) ? before?.sight.pod : undefined
  const pod = readingOf(look.pod)
  if (!pod?.exists || (seen && (seen.uid !== pod.uid || seen.node !== undefined))) return seen
  return { uid: pod.uid, ...(pod.node !== undefined && { node: pod.node }) }
}
