import { EKSClient } from '@aws-sdk/client-eks'
import { eksClusters } from '../../functions/lib/kubernetes/eks.ts'
import { silentLog } from '../../functions/lib/log.ts'
import type { Push } from '../../functions/lib/push.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'
import { type Host, startHost } from '../../infra/local/host.ts'
import type { ExecutionDescription } from '../../infra/local/states/interpreter.ts'
import { BenchCluster, type BenchClusterOptions } from './bench-cluster.ts'
import type { BenchFleet } from './bench-fleet.ts'

/** A simulated cluster and the local host beside it: real HTTP between the functions and the stand-ins. */
export class BenchWorld {
  readonly cluster: BenchCluster
  readonly host: Host

  private constructor(cluster: BenchCluster, host: Host) {
    this.cluster = cluster
    this.host = host
  }

  static async start(bench: BenchFleet, options: BenchClusterOptions): Promise<BenchWorld> {
    const { clock, activity } = options
    const { fleet } = bench
    const cluster = await BenchCluster.start(bench, options)
    const endpoint = cluster.simulated.eks.url
    const eksClient = (region: string) => new EKSClient({ region, endpoint, credentials: localCredentials })
    const host = await startHost({
      ...{ fleet, clock, activity, log: silentLog, webhookSecret: 'a secret of the benchmark' },
      clusters: eksClusters({ clock, fleet, eksClient }),
    })
    return new BenchWorld(cluster, host)
  }

  /** Rolls out a push; answers its rollout's execution once that has ended. Throws when it did not succeed. */
  async rollOut(push: Push): Promise<ExecutionDescription> {
    const { interpreter } = this.host
    const ended = new Promise<void>((resolve) => {
      const stop = interpreter.onStatus(({ detail }) => {
        if (detail.status === 'RUNNING' || detail.name !== push.delivery) return
        stop()
        resolve()
      })
    })
    interpreter.start({ machine: 'fleet', name: push.delivery, input: { ...push } })
    await ended
    const [rollout] = interpreter.list({ machine: 'rollout' })
    if (rollout?.status !== 'SUCCEEDED') throw new Error(`the rollout ended as ${rollout?.status}: ${rollout?.cause}`)
    return rollout
  }

  async close(): Promise<void> {
    await this.host.close()
    await this.cluster.close()
  }
}
