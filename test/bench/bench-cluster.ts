import { randomUUID } from 'node:crypto'
import type { Clock } from '../../functions/lib/clock.ts'
import type { Push } from '../../functions/lib/push.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { type SimulatedCluster, type SimulatedFleet, startSimulatedFleet } from '../../infra/local/simulated-fleet.ts'
import type { Durations } from '../../infra/local/simulation/durations.ts'
import type { Activity } from '../../infra/local/virtual-clock.ts'
import type { BenchFleet } from './bench-fleet.ts'

const url = 'https://github.com/my-org/fleet-infra'

export interface BenchClusterOptions {
  readonly clock: Clock
  readonly activity: Activity
  /** How long the simulated controllers take; default: what was measured on real ones. */
  readonly speedups?: Partial<Durations>
}

/** A simulated cluster that runs a fleet's objects at the branch's head, and the Git and EKS that belong to it. */
export class BenchCluster {
  readonly simulated: SimulatedFleet
  readonly clock: Clock
  private head: string
  private pushes = 0

  private constructor(simulated: SimulatedFleet, clock: Clock, head: string) {
    this.simulated = simulated
    this.clock = clock
    this.head = head
  }

  static async start({ fleet, objects, files }: BenchFleet, options: BenchClusterOptions): Promise<BenchCluster> {
    const head = 'a'.repeat(40)
    const simulated = await startSimulatedFleet({ fleet, ...options })
    simulated.git.commit(url, 'main', head, { write: files })
    const cluster = new BenchCluster(simulated, options.clock, head)
    cluster.simulation.load(structuredClone(objects) as KubernetesObject[])
    cluster.simulation.start()
    return cluster
  }

  get simulation(): SimulatedCluster['simulation'] {
    return this.only.simulation
  }

  get api(): SimulatedCluster['api'] {
    return this.only.api
  }

  private get only(): SimulatedCluster {
    const cluster = this.simulated.clusters.get('staging')
    if (!cluster) throw new Error('the fleet has no cluster staging')
    return cluster
  }

  /** A new commit at the branch's head, as a push tells of it. */
  commit(): Push {
    const before = this.head
    this.pushes += 1
    this.head = this.pushes.toString(16).padStart(40, 'c')
    this.simulated.git.commit(url, 'main', this.head, {})
    return {
      repository: { name: 'my-org/fleet-infra', host: 'github.com' },
      ...{ branch: 'main', before, after: this.head, pusher: 'ana', delivery: randomUUID() },
      pushedAt: Math.floor(this.clock.now() / 1000) * 1000,
    }
  }

  async close(): Promise<void> {
    await this.simulated.close()
  }
}
