import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import type { ObjectKey } from './api.ts'
import { kinds } from './kinds.ts'
import { managerName } from './tofu-controller-programs.ts'

export interface DeploymentOptions {
  /** How long the manager waits, once told to end, for the runs that are under way, in seconds. Default: 10 (chart: 240). */
  readonly gracefulShutdownSeconds?: number
  /** The pod's grace, in seconds. Default: 20 (chart: 250). */
  readonly terminationGraceSeconds?: number
  /**
   * How long a runner may take to have an address, in seconds. Default: 20 (chart: 120). Whether an old pod is gone is
   * looked at every 15 s: with less than that it would be given up on before the second look.
   */
  readonly runnerCreationSeconds?: number
  /** How many objects it reconciles at a time. Default: 24, as in the chart. */
  readonly concurrent?: number
}

/** Where the Deployment is. */
export const deploymentKey: ObjectKey & { readonly namespace: string } = {
  ...kinds.Deployment,
  namespace: 'flux-system',
  name: 'tofu-controller',
}

/**
 * The Deployment as the chart of 0.16.5 makes it, with shorter patience, so that suites need less of it. The kubelet
 * puts a free port in place of the health port; metrics are off, since their port would be the same for all.
 */
export function tofuDeployment(options: DeploymentOptions = {}): KubernetesObject {
  const { gracefulShutdownSeconds = 10, terminationGraceSeconds = 20, runnerCreationSeconds = 20 } = options
  const labels = { 'app.kubernetes.io/name': managerName, 'app.kubernetes.io/instance': 'tofu-controller' }
  const { namespace, name } = deploymentKey
  return {
    ...kinds.Deployment,
    metadata: { namespace, name, labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: 'tofu-controller',
          terminationGracePeriodSeconds: terminationGraceSeconds,
          containers: [
            {
              name: 'tofu-controller',
              image: 'ghcr.io/flux-iac/tofu-controller',
              args: [
                '--allow-cross-namespace-refs=true',
                '--watch-all-namespaces=true',
                '--log-level=info',
                '--log-encoding=json',
                // One replica; a lease would only make the next one wait.
                '--enable-leader-election=false',
                `--concurrent=${options.concurrent ?? 24}`,
                `--runner-creation-timeout=${runnerCreationSeconds}s`,
                '--events-addr=',
                '--metrics-addr=0',
                '--health-addr=:9440',
                '--cluster-domain=cluster.local',
                `--graceful-shutdown-timeout=${gracefulShutdownSeconds}s`,
              ],
              env: [{ name: 'RUNTIME_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } }],
            },
          ],
        },
      },
    },
  }
}
