import * as z from 'zod'
import { type Found, findingId, plainText, type SweepFinding, sweepFindingSchema } from './finding.ts'

const keptFindingSchema = sweepFindingSchema.extend({
  /** When it became what it is, by the sweep that saw it, in milliseconds since the epoch. */
  changedAt: z.number(),
  /** That it is new, or not what it was, has not been told yet. */
  untold: z.enum(['new', 'changed']).optional(),
})
export type KeptFinding = z.infer<typeof keptFindingSchema>

/** Since when an object is not Ready, and as what: see `stuckObjects`. */
const unreadySchema = z.object({ since: z.number(), mark: z.string() })

/** What the sweeps of one cluster know. Times are in milliseconds since the epoch. */
export const sweepRecordSchema = z.object({
  cluster: z.string(),
  /** Counts the writes: every write is conditional on it. */
  version: z.number().int(),
  sweptAt: z.number(),
  findings: z.array(keptFindingSchema),
  /** Those that are not there any more, and whose end has not been told yet. */
  gone: z.array(keptFindingSchema),
  /** Findings that are left out, because there are too many. */
  more: z.number().int(),
  /** By source: the commit that it was first seen to serve, before Lockstep had rolled out anything of its branch. */
  firstSeen: z.record(z.string(), z.object({ commit: z.string(), at: z.number() })),
  /** By object. */
  unready: z.record(z.string(), unreadySchema),
})
export type SweepRecord = z.infer<typeof sweepRecordSchema>
export type Unready = Readonly<SweepRecord['unready']>
export type FirstSeen = Readonly<SweepRecord['firstSeen']>

/** What a sweep has seen of a cluster. */
export interface SweepSight {
  readonly at: number
  readonly found: readonly Found[]
  readonly firstSeen: FirstSeen
  readonly unready: Unready
}

/** So many are kept: with the longest texts, which nothing makes shorter, they still fit an item of the ledger. */
export const mostFindings = 500
const mostGone = 250
const mostUnready = 2_000

/** The record after a sweep. A finding that was there before, with the same text, is the same one. Pure. */
export function nextRecord(cluster: string, previous: SweepRecord | undefined, sight: SweepSight): SweepRecord {
  const { at, found, firstSeen, unready } = sight
  const before = new Map(previous?.findings.map((finding) => [finding.id, finding]))
  const ended = new Map(previous?.gone.map((finding) => [finding.id, finding]))
  const all = new Map<string, KeptFinding>()
  for (const each of found) {
    const id = findingId(cluster, each)
    all.set(id, keep(findingOf(cluster, id, each, at), { known: before.get(id), ended: ended.get(id), at }))
  }
  // Those that people know of come first: one more must not push out another, as if that were gone.
  const kept = [...all.values()].sort((a, b) => Number(!before.has(a.id)) - Number(!before.has(b.id)))
  const findings = kept.slice(0, mostFindings)
  const isGone = ({ id }: KeptFinding) => !all.has(id)
  const justGone = [...before.values()].filter((finding) => isGone(finding) && finding.untold !== 'new')
  return {
    ...{ cluster, version: (previous?.version ?? 0) + 1, sweptAt: at },
    findings,
    gone: [
      ...[...ended.values()].filter(isGone),
      ...justGone.map(({ untold: _, ...finding }) => ({ ...finding, changedAt: at })),
    ].slice(0, mostGone),
    more: kept.length - findings.length,
    ...{ firstSeen, unready: longestUnready(unready) },
  }
}

function longestUnready(unready: Unready): SweepRecord['unready'] {
  const entries = Object.entries(unready).sort(([, a], [, b]) => a.since - b.since)
  return Object.fromEntries(entries.slice(0, mostUnready))
}

function findingOf(cluster: string, id: string, { kind, object, since, text, next }: Found, at: number): SweepFinding {
  return {
    ...{ id, cluster, kind, ...(object !== undefined && { object }) },
    ...{ since: Math.min(since ?? at, at), text: plainText(text), next: plainText(next) },
  }
}

interface Earlier {
  readonly known: KeptFinding | undefined
  /** It was gone, and nobody has been told: for people it has been there all the time. */
  readonly ended: KeptFinding | undefined
  readonly at: number
}

function keep(finding: SweepFinding, { known, ended, at }: Earlier): KeptFinding {
  const old = known ?? ended
  if (!old) return { ...finding, changedAt: at, untold: 'new' }
  const { since, changedAt, untold, text } = old
  const isSame = text === finding.text
  const news = isSame ? untold : (untold ?? 'changed')
  return { ...finding, since, changedAt: isSame ? changedAt : at, ...(news && { untold: news }) }
}

/** Something about a finding that has not been told yet. */
export interface FindingChange {
  readonly change: 'new' | 'changed' | 'gone'
  readonly finding: KeptFinding
}

export function untoldChanges({ findings, gone }: SweepRecord): FindingChange[] {
  return [
    ...findings.flatMap((finding) => (finding.untold ? [{ change: finding.untold, finding }] : [])),
    ...gone.map((finding) => ({ change: 'gone' as const, finding })),
  ]
}

/** The record once these changes have been told. */
export function afterTelling(record: SweepRecord, told: readonly FindingChange[]): SweepRecord {
  const done = new Set(told.map(({ finding }) => finding.id))
  return {
    ...record,
    version: record.version + 1,
    findings: record.findings.map((finding) => {
      const { untold: _, ...rest } = finding
      return done.has(finding.id) ? rest : finding
    }),
    gone: record.gone.filter(({ id }) => !done.has(id)),
  }
}
