import * as z from 'zod'
import { type Found, findingId, plainText, type SweepFinding, sweepFindingSchema } from './finding.ts'

/** Something about a finding that people are to be told. */
const findingChangeSchema = z.object({
  change: z.enum(['new', 'changed', 'gone']),
  /** When a sweep saw it, in milliseconds since the epoch. */
  at: z.number(),
  finding: sweepFindingSchema,
})
export type FindingChange = z.infer<typeof findingChangeSchema>

/** Since when an object is not Ready, and as what: see `stuckObjects`. */
const unreadySchema = z.object({ since: z.number(), mark: z.string() })

/** What the sweeps of one cluster know. Times are in milliseconds since the epoch. */
export const sweepRecordSchema = z.object({
  cluster: z.string(),
  /** Counts the writes: every write is conditional on it. */
  version: z.number().int(),
  sweptAt: z.number(),
  findings: z.array(sweepFindingSchema),
  /** Findings that are left out, because there are too many. */
  more: z.number().int(),
  /** Not told yet, or not known to be: in the order in which they happened. */
  untold: z.array(findingChangeSchema),
  /** By source: the commit that it was first seen to serve, before Lockstep had rolled out anything of its branch. */
  firstSeen: z.record(z.string(), z.object({ commit: z.string(), at: z.number() })),
  /** By source: the commit that it serves, and that people did not agree to roll out. */
  declined: z.record(z.string(), z.string()).default({}),
  /** By object. */
  unready: z.record(z.string(), unreadySchema),
})
export type SweepRecord = z.infer<typeof sweepRecordSchema>
export type Unready = Readonly<SweepRecord['unready']>
export type FirstSeen = Readonly<SweepRecord['firstSeen']>
export type Declined = Readonly<SweepRecord['declined']>

/** What a sweep has seen of a cluster. */
export interface SweepSight {
  readonly at: number
  readonly found: readonly Found[]
  readonly firstSeen: FirstSeen
  readonly declined: Declined
  readonly unready: Unready
}

/** So much is kept: with the longest texts, which gzip makes no shorter, all of it still fits an item of the ledger. */
export const mostFindings = 400
export const mostUntold = 400
const mostUnready = 2_000

/** The record after a sweep. A finding that was there before, with the same text, is the same one. Pure. */
export function nextRecord(cluster: string, previous: SweepRecord | undefined, sight: SweepSight): SweepRecord {
  const { at, found, firstSeen, declined, unready } = sight
  const before = new Map(previous?.findings.map((finding) => [finding.id, finding]))
  const all = new Map<string, SweepFinding>()
  for (const each of found) {
    const id = findingId(cluster, each)
    all.set(id, findingOf(cluster, id, each, before.get(id)?.since, at))
  }
  // Those that people know of come first: one more must not push out another, as if that were gone.
  const kept = [...all.values()].sort((a, b) => Number(!before.has(a.id)) - Number(!before.has(b.id)))
  const findings = kept.slice(0, mostFindings)
  const changes = [
    ...[...before.values()]
      .filter(({ id }) => !all.has(id))
      .map((finding) => ({ change: 'gone' as const, at, finding })),
    ...findings.flatMap((finding) => changeOf(finding, before.get(finding.id), at)),
  ]
  return {
    ...{ cluster, version: (previous?.version ?? 0) + 1, sweptAt: at },
    ...{ findings, more: kept.length - findings.length },
    untold: [...(previous?.untold ?? []), ...changes].slice(-mostUntold),
    ...{ firstSeen, declined, unready: longestUnready(unready) },
  }
}

function findingOf(
  cluster: string,
  id: string,
  { kind, object, since, text, next }: Found,
  knownSince: number | undefined,
  at: number,
): SweepFinding {
  return {
    ...{ id, cluster, kind, ...(object !== undefined && { object }) },
    ...{ since: knownSince ?? Math.min(since ?? at, at), text: plainText(text), next: plainText(next) },
  }
}

function changeOf(finding: SweepFinding, before: SweepFinding | undefined, at: number): FindingChange[] {
  if (!before) return [{ change: 'new', at, finding }]
  return before.text === finding.text ? [] : [{ change: 'changed', at, finding }]
}

function longestUnready(unready: Unready): SweepRecord['unready'] {
  const entries = Object.entries(unready).sort(([, a], [, b]) => a.since - b.since)
  return Object.fromEntries(entries.slice(0, mostUnready))
}

/** The record once the first `count` of its changes have been told. */
export function afterTelling(record: SweepRecord, count: number): SweepRecord {
  return { ...record, version: record.version + 1, untold: record.untold.slice(count) }
}
