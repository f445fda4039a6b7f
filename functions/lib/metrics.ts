import type { EventType } from './events.ts'
import type { Verdict } from './locks/verdict/verdict.ts'
import type { SweepFindingKind } from './sweep/finding.ts'

/** What one scan has counted, of one cluster or of what belongs to none. */
export interface LockFigures {
  /** Undefined for what belongs to no cluster. */
  readonly cluster: string | undefined
  readonly byVerdict: Readonly<Record<Exclude<Verdict, 'free'>, number>>
  /** Age of the oldest lock, in milliseconds; undefined without locks. */
  readonly oldest: number | undefined
  /** The same, of those that are stale. */
  readonly oldestStale: number | undefined
  /** How long ago each lock that was found for the first time had been taken, in milliseconds, where that is known. */
  readonly detectedAfter: readonly number[]
  /** Stores and clusters that could not be asked. */
  readonly unreadable: number
}

/** What one sweep of a cluster has found. */
export interface SweepFigures {
  readonly cluster: string
  readonly findings: readonly { readonly kind: SweepFindingKind }[]
  /** Rollouts that it has started. */
  readonly pushes: number
}

/** Figures for dashboards and alarms. */
export interface Metrics {
  locks(figures: LockFigures): void
  sweep(figures: SweepFigures): void
  /** Whether what an unlock has changed in this cluster, and does not work on any more, is still to be put back. */
  restore(figures: { readonly cluster: string; readonly pending: boolean }): void
  /** An event of this type was given up: nobody hears of it. */
  untold(type: EventType): void
}

export const silentMetrics: Metrics = { locks: () => {}, sweep: () => {}, restore: () => {}, untold: () => {} }
