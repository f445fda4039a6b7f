import { randomUUID } from 'node:crypto'
import { EKSClient } from '@aws-sdk/client-eks'
import { systemClock } from '../../../functions/lib/clock.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { eksClusters } from '../../../functions/lib/kubernetes/eks.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { Push } from '../../../functions/lib/push.ts'
import type { Invocation } from '../../../functions/lib/step.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'
import { type Host, handlersOf, noLocks, startHost } from '../../../infra/local/host.ts'
import { InterpreterTaskTokens } from '../../../infra/local/interpreter-task-tokens.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { startSimulatedFleet } from '../../../infra/local/simulated-fleet.ts'
import { noActivity } from '../../../infra/local/virtual-clock.ts'
import { head } from '../../fixtures/raw-objects.ts'
import { configMap, files, roots } from '../../integration/layered-fleet.ts'

/** A cluster of four layers in real time, at its first commit; Git has a second one. */
export interface RealTimeWorld {
  readonly host: Host
  /** The steps as the host runs them, bound to its ledger and its cluster. */
  readonly handlers: Readonly<Record<string, Invocation>>
  /** What GitHub tells of the second commit. */
  readonly push: Push
  close(): Promise<void>
}

/** Controllers that are quick about what they do: only the order counts. */
const speedups = { helmAction: 100, runnerCleanup: 100, tofuInit: 50, tofuPlan: 50, tofuApply: 100 }

export async function startRealTimeWorld(): Promise<RealTimeWorld> {
  const clock = systemClock
  const fleet = parseFleet({
    repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
    layers: ['network', 'database', 'addons', 'apps'],
    clusters: [{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' }],
  })
  const simulated = await startSimulatedFleet({ fleet, clock, activity: noActivity, speedups })
  const url = 'https://github.com/my-org/fleet-infra'
  simulated.git.commit(url, 'main', head('a'), { write: files })
  for (const { simulation } of simulated.clusters.values()) {
    simulation.load(structuredClone(roots) as KubernetesObject[])
    simulation.start()
  }
  simulated.git.commit(url, 'main', head('b'), { write: { 'app/config.yaml': [configMap('app', { version: '2' })] } })
  const eksClient = (region: string) =>
    new EKSClient({ region, endpoint: simulated.eks.url, credentials: localCredentials })
  const clusters = eksClusters({ clock, fleet, eksClient })
  const host = await startHost({
    ...{ fleet, clusters, clock, activity: noActivity, webhookSecret: 'a secret of the tests', log: silentLog },
  })
  const { ledger } = host
  return {
    host,
    handlers: handlersOf({
      ...{ fleet, clock, ledger, clusters, log: silentLog, sliceMs: 10 * 60_000 },
      ...{ locks: noLocks, events: host.events, metrics: silentMetrics },
      // Nobody is asked here.
      ...{ approvers: host.approvers, approvalUrl: '', linkSecrets: async () => ({ current: 'of the tests' }) },
      tasks: new InterpreterTaskTokens(() => host.interpreter),
      waves: host.waves,
    }),
    push: {
      repository: { name: 'my-org/fleet-infra', host: 'github.com' },
      ...{ branch: 'main', before: head('a'), after: head('b') },
      ...{ pushedAt: Math.floor(clock.now() / 1000) * 1000, pusher: 'ana', delivery: randomUUID() },
    },
    close: async () => {
      await host.close()
      await simulated.close()
    },
  }
}
