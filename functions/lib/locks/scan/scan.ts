import * as z from 'zod'
import { each } from '../../each.ts'
import type { LockPorts } from '../../step.ts'
import type { Look } from '../evidence.ts'
import { ageOf } from '../verdict/lock-age.ts'
import { isUnannounced } from './announce.ts'
import { whyFailed } from './lock-access.ts'
import type { Observation } from './observation.ts'
import { type RecordPorts, recordVerdict, tell } from './record-verdict.ts'
import { notReadAgain, withSight } from './remember.ts'
import type { Finding, KeptStates, ScanReport } from './scan-report.ts'

/** What a step of a scan answers: counts, for people to read in the execution's history. */
export const scanCountsSchema = z.object({
  /** Another execution is at it: nothing was done. */
  skipped: z.boolean(),
  live: z.number().int(),
  suspect: z.number().int(),
  stale: z.number().int(),
  unknown: z.number().int(),
  /** Places where somebody held a lock at the scan before, and nobody does now. */
  freed: z.number().int(),
  /** Observations that were dropped, because another scan was faster. */
  dropped: z.number().int(),
  /** Observations and events that could not be written down or told. */
  failed: z.number().int(),
  findings: z.number().int(),
  /** Stores and clusters that could not be asked. */
  unreadable: z.number().int(),
})
export type ScanCounts = z.infer<typeof scanCountsSchema>

export type ScanPorts = Pick<LockPorts, 'clock' | 'fleet' | 'ledger' | 'log' | 'events' | 'metrics'>

export interface ScanOptions {
  /** Undefined for what belongs to no cluster. */
  readonly cluster: string | undefined
  readonly execution: string
}

/** Longer than its function may take, which is 5 minutes: a scan that is past it does not work any more. */
const leaseMs = 6 * 60_000

/** Events at a time. */
const width = 8

/** For people; the number of all is told beside them. */
const mostFindings = 200

/**
 * One scan, of one cluster or of what belongs to none: takes its turn, keeps count of what it finds, and ends with its
 * report.
 */
export class Scan {
  readonly cluster: string | undefined
  /** The latest observations of all places, as they were before anything was looked at; by key. */
  readonly previous: ReadonlyMap<string, Observation>
  private readonly execution: string
  private readonly startedAt: number
  private readonly ports: ScanPorts
  private readonly findings: Finding[] = []
  private readonly detectedAfter: number[] = []
  private readonly unreadable = new Set<string>()
  private readonly recorded = new Set<string>()
  private readonly counted = { live: 0, suspect: 0, stale: 0, unknown: 0, free: 0, dropped: 0, failed: 0 }
  private oldest: number | undefined
  private oldestStale: number | undefined

  private constructor(options: ScanOptions, ports: ScanPorts, startedAt: number, previous: readonly Observation[]) {
    this.cluster = options.cluster
    this.execution = options.execution
    this.startedAt = startedAt
    this.ports = ports
    this.previous = new Map(previous.map((observation) => [observation.key, observation]))
  }

  /** Undefined while another execution scans the same. */
  static async begin(options: ScanOptions, ports: ScanPorts): Promise<Scan | undefined> {
    const { clock, ledger, log } = ports
    const startedAt = clock.now()
    if (!(await ledger.takeScan(options.cluster, options.execution, startedAt + leaseMs))) {
      log.info('another scan is at it', { execution: options.execution, cluster: options.cluster ?? '' })
      return undefined
    }
    return new Scan(options, ports, startedAt, await ledger.listObservations())
  }

  add(...findings: readonly Finding[]): void {
    this.findings.push(...findings)
  }

  /** A store or cluster could not be asked. `why` names it, and says what to do. */
  addUnreadable(subject: string, why: string): void {
    if (this.unreadable.has(subject)) return
    this.unreadable.add(subject)
    this.findings.push({ kind: 'store', subject, why })
    this.ports.log.warn('could not be asked for locks', { subject, why, cluster: this.cluster ?? '' })
  }

  /** Judges what a look has found. A place that was free, and is, needs no new observation. */
  async saw(key: string, look: Look): Promise<void> {
    const previous = this.previous.get(key)
    const isFree = look.lock.parts.length === 0
    if (isFree && (!previous || previous.judgement.verdict === 'free')) return
    const readBy = this.ports.clock.now()
    const evidence = withSight(look, readBy, previous, this.ports.fleet.locks.quietWindow)
    const isNew = !isFree && evidence.sight.firstSeenAt === readBy
    await this.record(key, evidence, isNew)
  }

  /** A lock that was held could not be read again. What is not known to be held is told by its store alone. */
  async couldNotRead(key: string, why: string): Promise<void> {
    const previous = this.previous.get(key)
    if (!previous || previous.judgement.verdict === 'free') return
    await this.record(key, notReadAgain(previous, why), false)
  }

  /** Writes the report, and gives the turn back. `kept`: see `ScanReport`. */
  async end(kept: KeptStates | undefined): Promise<ScanCounts> {
    const { clock, ledger, log, metrics } = this.ports
    await each(this.untold(), width, (observation) => this.tellLate(observation))
    const { live, suspect, stale, unknown, free, dropped, failed } = this.counted
    const counts = {
      ...{ skipped: false, live, suspect, stale, unknown, freed: free, dropped, failed },
      findings: this.findings.length,
      unreadable: this.unreadable.size,
    }
    const { cluster, execution, startedAt, oldest, oldestStale, detectedAfter } = this
    const report: ScanReport = {
      ...(cluster !== undefined && { cluster }),
      ...{ execution, startedAt, endedAt: clock.now() },
      ...(kept && { kept }),
      findings: this.findings.slice(0, mostFindings),
      found: this.findings.length,
    }
    await ledger.endScan(report)
    const byVerdict = { live, suspect, stale, unknown }
    metrics.locks({ cluster, byVerdict, oldest, oldestStale, detectedAfter, unreadable: counts.unreadable })
    log.info('scanned for locks', { execution, cluster: cluster ?? '', ...counts })
    return counts
  }

  private async record(key: string, evidence: Observation['evidence'], isNew: boolean): Promise<void> {
    const { clock } = this.ports
    const judged = { key, cluster: this.cluster, evidence, at: clock.now() }
    this.recorded.add(key)
    try {
      const observation = await recordVerdict(judged, this.previous.get(key), this.recording)
      if (observation) this.count(observation, isNew)
      else this.counted.dropped++
    } catch (error) {
      this.failed(key, error)
    }
  }

  /** What an earlier scan could not tell, of places that this one had nothing to write about. */
  private untold(): Observation[] {
    const known = this.ports.fleet.clusters.map(({ name }) => name)
    const isOwn = ({ cluster }: Observation) =>
      cluster === this.cluster || (this.cluster === undefined && !known.includes(cluster ?? ''))
    return [...this.previous.values()].filter(
      (observation) => isOwn(observation) && isUnannounced(observation) && !this.recorded.has(observation.key),
    )
  }

  private async tellLate(observation: Observation): Promise<void> {
    try {
      await tell(observation, this.ports.clock.now(), this.recording)
    } catch (error) {
      this.failed(observation.key, error)
    }
  }

  private get recording(): RecordPorts {
    const { ledger, events, fleet } = this.ports
    return { ledger, events, limits: fleet.locks, execution: this.execution }
  }

  /** One place does not stop the others. What could not be written or told is tried again by the next scan. */
  private failed(place: string, error: unknown): void {
    this.counted.failed++
    this.ports.log.warn('a lock could not be recorded', { place, why: whyFailed(error) })
  }

  private count({ judgement, evidence }: Observation, isNew: boolean): void {
    this.counted[judgement.verdict]++
    if (judgement.verdict === 'free') return
    const age = ageOf(evidence)
    this.oldest = Math.max(this.oldest ?? 0, age.atLeast)
    if (judgement.verdict === 'stale') this.oldestStale = Math.max(this.oldestStale ?? 0, age.atLeast)
    if (!isNew) return
    const { lock, at } = evidence
    const taken = lock.parts[0]?.takenAt ?? (age.doubt === undefined ? lock.record?.createdAt : undefined)
    if (taken !== undefined) this.detectedAfter.push(Math.max(0, at - taken))
  }
}

export const skippedScan: ScanCounts = {
  ...{ skipped: true, live: 0, suspect: 0, stale: 0, unknown: 0 },
  ...{ freed: 0, dropped: 0, failed: 0, findings: 0, unreadable: 0 },
}
