import type { Ledger } from '../../../functions/lib/ledger/ledger.ts'
import type { SweepFinding } from '../../../functions/lib/sweep/finding.ts'

/** When a cluster was swept last. */
export interface SweptLine {
  readonly cluster: string
  /** Milliseconds since the epoch; undefined before the first sweep. */
  readonly sweptAt?: number
  /** Findings that are left out, because there are too many. */
  readonly more: number
}

export interface FindingsView {
  /** By cluster, the oldest first. */
  readonly findings: readonly SweepFinding[]
  readonly clusters: readonly SweptLine[]
}

export interface FindingViewsOptions {
  readonly ledger: Pick<Ledger, 'readSweep'>
  readonly fleet: { readonly clusters: readonly { readonly name: string }[] }
  /** Starts a sweep. Answers its execution's ARN. */
  readonly sweep: (cluster: string) => string
}

/** What the latest sweeps have found, for people. */
export class FindingViews {
  private readonly options: FindingViewsOptions

  constructor(options: FindingViewsOptions) {
    this.options = options
  }

  /** Rejects with LedgerUnavailable. */
  async list(): Promise<FindingsView> {
    const { ledger, fleet } = this.options
    const records = await Promise.all(
      fleet.clusters.map(async ({ name }) => ({ name, record: await ledger.readSweep(name) })),
    )
    return {
      findings: records.flatMap(({ record }) => [...(record?.findings ?? [])].sort((a, b) => a.since - b.since)),
      clusters: records.map(({ name, record }) => ({
        ...{ cluster: name, more: record?.more ?? 0 },
        ...(record && { sweptAt: record.sweptAt }),
      })),
    }
  }

  /** Has a cluster of the fleet swept now; undefined for any other. */
  sweep(cluster: string): string | undefined {
    return this.options.fleet.clusters.some(({ name }) => name === cluster) ? this.options.sweep(cluster) : undefined
  }
}
