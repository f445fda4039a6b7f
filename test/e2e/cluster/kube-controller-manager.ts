import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Guardian } from './guardian.ts'
import { answers } from './http-probe.ts'
import { startOnFreePorts } from './on-free-ports.ts'
import { Process } from './process.ts'

export interface ControllerManagerOptions {
  readonly binary: string
  readonly guardian: Guardian
  /** File; of a user that may do everything. */
  readonly kubeconfig: string
}

/**
 * Those that make Deployments, owners and namespaces work. What looks after nodes is left out: there are none, and it
 * would remove the pods of nodes that do not exist.
 */
const controllers = [
  ...['deployment-controller', 'replicaset-controller', 'garbage-collector-controller'],
  ...['namespace-controller', 'serviceaccount-controller'],
]

/** Throws what `Process.start` throws. */
export async function startControllerManager(options: ControllerManagerOptions): Promise<Process> {
  const { binary, guardian, kubeconfig } = options
  const directory = join(guardian.directory, 'kube-controller-manager')
  await mkdir(directory)
  const { process } = await startOnFreePorts(
    1,
    ([port]) =>
      new Process({
        name: 'kube-controller-manager',
        guardian,
        log: join(guardian.directory, 'kube-controller-manager.log'),
        env: {},
        command: [
          binary,
          `--kubeconfig=${kubeconfig}`,
          '--leader-elect=false',
          '--bind-address=127.0.0.1',
          `--secure-port=${port}`,
          `--cert-dir=${directory}`,
          '--authentication-skip-lookup=true',
          '--authorization-always-allow-paths=/healthz',
          '--use-service-account-credentials=false',
          `--controllers=${controllers.join(',')}`,
        ],
        ready: () => answers(`https://127.0.0.1:${port}/healthz`),
      }),
  )
  return process
}
