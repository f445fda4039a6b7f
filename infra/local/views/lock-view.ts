import type { Clock } from '../../../functions/lib/clock.ts'
import { type Explanation, explain } from '../../../functions/lib/locks/explain.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import type { LockLimits } from '../../../functions/lib/locks/verdict/lock-limits.ts'
import type { Judgement, Verdict } from '../../../functions/lib/locks/verdict/verdict.ts'

/** One lock as a line of a list. Times are in milliseconds since the epoch. */
export interface LockLine {
  /** Of its place. */
  readonly key: string
  /** Undefined where nobody holds it, or its record cannot be read. */
  readonly id?: string
  readonly cluster?: string
  /** `Terraform/flux-system/vpc`; undefined for a lock that belongs to no object. */
  readonly object?: string
  readonly addresses: readonly string[]
  /** `user@host`, as the holder says. */
  readonly who?: string
  readonly operation?: string
  /** By the holder's clock, as it is written. */
  readonly created?: string
  readonly verdict: Verdict
  readonly scene?: Judgement['scene']
  readonly rule: string
  readonly reasons: readonly string[]
  /** When the verdict became what it is. */
  readonly since: number
  /** The latest scan's look at it. */
  readonly seenAt: number
}

/** One lock with all that is known of it. */
export interface LockView extends LockLine {
  readonly explanation: Explanation
  readonly observation: Observation
}

/** What a scan found beside locks: a backend without locks, a store that could not be asked. */
export interface LockFinding {
  readonly cluster?: string
  readonly kind: string
  readonly subject: string
  readonly why: string
}

export interface LocksView {
  /** What needs a person comes first. What is free is left out. */
  readonly locks: readonly LockLine[]
  readonly findings: readonly LockFinding[]
  /** When the oldest of the latest scans ended; undefined before each cluster had one. */
  readonly scannedAt?: number
  /** Scans should have ended since: what is shown may not be so any more. */
  readonly overdue: boolean
}

/** The part of the ledger that knows of locks. */
export interface LockLedger {
  listObservations(cluster?: string): Promise<readonly Observation[]>
  readObservation(key: string): Promise<Observation | undefined>
  readScan(cluster: string | undefined): Promise<{ endedAt: number; findings: readonly LockFinding[] } | undefined>
}

export interface LockViewsOptions {
  readonly ledger: LockLedger
  readonly fleet: {
    readonly clusters: readonly { readonly name: string }[]
    readonly locks: LockLimits & { readonly every: number }
  }
  readonly clock: Clock
}

const urgency: readonly Verdict[] = ['stale', 'suspect', 'unknown', 'live', 'free']

/** What the latest scans know of the fleet's locks, for people. Every method may reject with LedgerUnavailable. */
export class LockViews {
  private readonly options: LockViewsOptions

  constructor(options: LockViewsOptions) {
    this.options = options
  }

  async list(): Promise<LocksView> {
    const { ledger, fleet } = this.options
    const places = [...fleet.clusters.map(({ name }) => name), undefined]
    const [observations, scans] = await Promise.all([
      ledger.listObservations(),
      Promise.all(places.map((cluster) => ledger.readScan(cluster))),
    ])
    const held = observations.filter(({ judgement }) => judgement.verdict !== 'free')
    const ended = scans.map((scan) => scan?.endedAt ?? Number.NaN)
    const scannedAt = Math.min(...ended)
    return {
      locks: held.map(lineOf).sort(byUrgency),
      findings: scans.flatMap((scan, at) => (scan?.findings ?? []).map((finding) => found(finding, places[at]))),
      ...(!Number.isNaN(scannedAt) && { scannedAt }),
      overdue: this.options.clock.now() - scannedAt > 3 * fleet.locks.every,
    }
  }

  async get(key: string): Promise<LockView | undefined> {
    const { ledger, fleet, clock } = this.options
    const observation = await ledger.readObservation(key)
    if (!observation) return undefined
    const explanation = explain(observation, { limits: fleet.locks, now: clock.now() })
    return { ...lineOf(observation), explanation, observation: withoutDigest(observation) }
  }
}

/** The MD5 of a state is for scans to compare, and for nobody to see. */
function withoutDigest(observation: Observation): Observation {
  const { state } = observation.evidence
  if (!('value' in state.reading) || !state.reading.value.exists) return observation
  const { md5: _, ...value } = state.reading.value
  return { ...observation, evidence: { ...observation.evidence, state: { ...state, reading: { value } } } }
}

function lineOf({ key, cluster, evidence, judgement, verdictSince }: Observation): LockLine {
  const { lock, owner, at } = evidence
  const { record, parts } = lock
  const { verdict, rule, reasons, scene } = judgement
  return {
    key,
    ...(cluster !== undefined && { cluster }),
    ...(owner && { object: owner.object }),
    addresses: parts.map(({ address }) => address),
    ...(record && {
      id: record.id,
      who: [record.user, record.host].filter(Boolean).join('@'),
      operation: record.operation,
      created: record.created,
    }),
    ...{ verdict, rule, reasons, ...(scene && { scene }) },
    ...{ since: verdictSince, seenAt: at },
  }
}

/** Of locks that need a person to the same degree, the oldest verdict comes first. */
function byUrgency(a: LockLine, b: LockLine): number {
  return urgency.indexOf(a.verdict) - urgency.indexOf(b.verdict) || a.since - b.since
}

function found({ kind, subject, why }: LockFinding, cluster: string | undefined): LockFinding {
  return { ...(cluster !== undefined && { cluster }), kind, subject, why }
}
