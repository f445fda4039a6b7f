import { readFileSync } from 'node:fs'
import { EKSClient } from '@aws-sdk/client-eks'
import { parseFleet } from '../../functions/lib/fleet.ts'
import { eksClusters } from '../../functions/lib/kubernetes/eks.ts'
import { silentLog } from '../../functions/lib/log.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'
import { type Host, startHost } from '../../infra/local/host.ts'
import { type HttpServer, startHttpServer } from '../../infra/local/http-server.ts'
import { type LocalStates, startLocalStates } from '../../infra/local/local-states.ts'
import { type DeliveryAnswer, deliverPush } from '../../infra/local/push-file.ts'
import { loadTree, type SimulatedFleet, startSimulatedFleet } from '../../infra/local/simulated-fleet.ts'
import { withSimulatedPushes } from '../../infra/local/simulated-pushes.ts'
import { readManifestTree } from '../../infra/local/simulation/manifest-tree.ts'
import { LiveRollouts } from '../../infra/local/views/live-rollouts.ts'
import { type LockLine, LockViews } from '../../infra/local/views/lock-view.ts'
import { PushWaves } from '../../infra/local/views/push-waves.ts'
import type { RolloutStatus, RolloutView } from '../../infra/local/views/rollout-view.ts'
import { UnlockViews } from '../../infra/local/views/unlock-view.ts'
import { noActivity, scaledClock } from '../../infra/local/virtual-clock.ts'

const payload = readFileSync('test/fixtures/github/push.json', 'utf8')
const secret = 'a secret of the tests'

/** The demo's staging cluster behind the real HTTP server, in fast real time: a browser cannot wait for a clock that jumps. */
export class ServedHost {
  readonly host: Host
  readonly live: LiveRollouts
  readonly server: HttpServer
  readonly simulated: SimulatedFleet
  readonly states: LocalStates
  readonly locks: LockViews
  readonly unlocks: UnlockViews
  readonly waves: PushWaves

  private constructor(
    parts: Pick<ServedHost, 'host' | 'live' | 'server' | 'simulated' | 'states' | 'locks' | 'unlocks' | 'waves'>,
  ) {
    this.host = parts.host
    this.live = parts.live
    this.server = parts.server
    this.simulated = parts.simulated
    this.states = parts.states
    this.locks = parts.locks
    this.unlocks = parts.unlocks
    this.waves = parts.waves
  }

  static async start(): Promise<ServedHost> {
    const speed = 20
    const clock = scaledClock(speed)
    const fleet = parseFleet({
      repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
      layers: ['network', 'database', 'addons', 'apps'],
      clusters: [{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' }],
      // Nothing becomes stale while a test is slow.
      locks: { dynamodb: ['terraform-state-lock'], s3: ['my-tfstate-bucket'], quietWindow: '7d' },
    })
    const states = await startLocalStates({ clock, activity: noActivity })
    const { openBackend } = states
    const simulated = await startSimulatedFleet({ fleet, clock, activity: noActivity, openBackend })
    const tree = new Map(await readManifestTree('test/fixtures/fleet'))
    // The demo's ghost lock is in the other cluster, beside what a push touches.
    for (const name of ['billing.yaml', 'kustomization.yaml']) {
      tree.set(`clusters/staging/${name}`, tree.get(`clusters/production/${name}`) ?? [])
    }
    await loadTree(simulated, fleet, tree, JSON.parse(payload).before)
    for (const { simulation } of simulated.clusters.values()) simulation.start()
    const eksClient = (region: string) =>
      new EKSClient({ region, endpoint: simulated.eks.url, credentials: localCredentials })
    const clusters = eksClusters({ clock, fleet, eksClient })
    const host = await startHost({
      ...{ fleet, clusters, clock, activity: noActivity, webhookSecret: secret, log: silentLog },
      locks: states.lockAccess(fleet.locks),
    })
    const { interpreter, ledger } = host
    const live = new LiveRollouts({ interpreter, ledger, clusters, clock })
    const webhook = withSimulatedPushes(host.webhook, { git: simulated.git, fleet, secret })
    const locks = new LockViews({ ledger, fleet, clock })
    const unlocks = new UnlockViews({ ledger, fleet, clusters })
    const waves = new PushWaves({ interpreter, fleet })
    const server = await startHttpServer({
      ...{ locks, unlocks, waves },
      ...{ webhook, live, interpreter, ledger, clock, speed, person: 'ana', port: 0 },
      ...host.unlockRoutes,
    })
    return new ServedHost({ host, live, server, locks, unlocks, waves, simulated, states })
  }

  get faults() {
    const cluster = this.simulated.clusters.get('staging')
    if (!cluster) throw new Error('there is no cluster staging')
    return cluster.simulation.faults
  }

  push(signedWith = secret): Promise<DeliveryAnswer> {
    return deliverPush(`${this.server.url}/webhook`, payload, signedWith)
  }

  /** Waits until a scan has found a lock. Answers the first one. */
  async seesLock(): Promise<LockLine> {
    for (;;) {
      const [lock] = (await this.locks.list()).locks
      if (lock) return lock
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Waits until the newest rollout has one of these states. */
  reaches(...statuses: RolloutStatus[]): Promise<RolloutView> {
    return new Promise((resolve) => {
      const look = () => {
        const [newest] = this.live.list()
        if (!newest || !statuses.includes(newest.status)) return
        end()
        resolve(newest)
      }
      const end = this.live.onChange(look)
      look()
    })
  }

  async close(): Promise<void> {
    await this.server.close()
    await this.live.close()
    await this.host.close()
    await this.simulated.close()
    await this.states.close()
  }
}
