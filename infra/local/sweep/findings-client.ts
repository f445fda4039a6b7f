import { type Clock, sleep } from '../../../functions/lib/clock.ts'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { askHost } from '../ask-host.ts'
import type { FindingsView } from '../views/finding-view.ts'

export interface FindingsAnswer extends FindingsView {
  /** The host's time, in milliseconds since the epoch. */
  readonly now: number
}

/** How often it is looked whether a sweep has ended, in milliseconds. */
const lookMs = 300
/** As long as a sweep's state machine may take. */
const patienceMs = 15 * 60_000

/** A local host's findings, over its HTTP API. */
export class FindingsClient {
  private readonly url: string
  private readonly clock: Clock

  /** `url` of the console, without a path. */
  constructor(url: string, clock: Clock) {
    this.url = url
    this.clock = clock
  }

  /** Of all clusters, or of one. Throws ClusterUnknown, HostUnreachable, HostRefused. */
  async list(cluster?: string): Promise<FindingsAnswer> {
    const all = (await askHost(this.url, '/api/findings')) as FindingsAnswer
    if (cluster === undefined) return all
    const clusters = all.clusters.filter((line) => line.cluster === cluster)
    if (clusters.length === 0) {
      const names = all.clusters.map((line) => line.cluster).join(', ')
      throw new LockstepError('ClusterUnknown', `The fleet has no cluster ${cluster}.`, `It has ${names}.`)
    }
    return { ...all, clusters, findings: all.findings.filter((finding) => finding.cluster === cluster) }
  }

  /** Sweeps first. Throws SweepFailed, and as `list`. */
  async sweep(cluster?: string): Promise<FindingsAnswer> {
    const { clusters } = await this.list(cluster)
    await Promise.all(clusters.map((line) => this.sweepOne(line.cluster)))
    return this.list(cluster)
  }

  private async sweepOne(cluster: string): Promise<void> {
    const started = await askHost(this.url, `/api/findings/${encodeURIComponent(cluster)}`, {})
    const name = (started as { execution: string }).execution.split(':').at(-1) ?? ''
    const giveUpAt = this.clock.now() + patienceMs
    for (;;) {
      const seen = await askHost(this.url, `/api/executions/sweep/${encodeURIComponent(name)}`)
      const { execution } = seen as { execution: { status: string; error?: string } }
      if (execution.status === 'SUCCEEDED') return
      if (execution.status !== 'RUNNING' || this.clock.now() > giveUpAt) {
        const why = execution.error ?? execution.status
        throw new LockstepError('SweepFailed', `The sweep of ${cluster} has failed (${why}).`, 'Look at its execution.')
      }
      await sleep(this.clock, lookMs)
    }
  }
}
