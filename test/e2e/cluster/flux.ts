import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Guardian } from './guardian.ts'
import { answers } from './http-probe.ts'
import { startOnFreePorts } from './on-free-ports.ts'
import { Process } from './process.ts'

export interface FluxOptions {
  readonly binaries: Readonly<Record<FluxController, string>>
  readonly guardian: Guardian
  /** File; of a user that may do everything. */
  readonly kubeconfig: string
  /** How many objects kustomize-controller works on at once; default its own. */
  readonly kustomizeConcurrency?: number | undefined
}

export type FluxController = 'source-controller' | 'kustomize-controller' | 'helm-controller'

/**
 * What each says in its log, once for every kind that it reconciles, when that kind's caches are synced. Its
 * health endpoint answers long before.
 */
const startLine = /"msg":"Starting workers"/g

/** How many kinds each reconciles. */
const kindsOf: Readonly<Record<FluxController, number>> = {
  'source-controller': 5,
  'kustomize-controller': 1,
  'helm-controller': 1,
}

/**
 * Starts Flux's controllers, all at once, and waits until they reconcile. Their CRDs have to be there. Throws what
 * `Process.start` throws; none of them is left running then.
 */
export async function startFlux(options: FluxOptions): Promise<Process[]> {
  const names = Object.keys(kindsOf) as FluxController[]
  const settled = await Promise.allSettled(names.map((name) => startController(name, options)))
  const started = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const failed = settled.find((each) => each.status === 'rejected')
  if (!failed) return started
  await Promise.all(started.map((each) => each.stop()))
  throw failed.reason
}

async function startController(name: FluxController, options: FluxOptions): Promise<Process> {
  const { binaries, guardian, kubeconfig, kustomizeConcurrency } = options
  const directory = join(guardian.directory, name)
  const [temporary, artifacts] = [join(directory, 'tmp'), join(directory, 'artifacts')]
  for (const each of [temporary, artifacts]) await mkdir(each, { recursive: true })
  const { process } = await startOnFreePorts(
    3,
    ([metrics, health, storage]) =>
      new Process({
        name,
        guardian,
        log: join(guardian.directory, `${name}.log`),
        cwd: directory,
        // There is no flag for the kubeconfig.
        env: { KUBECONFIG: kubeconfig, RUNTIME_NAMESPACE: 'flux-system', HOME: directory, TMPDIR: temporary },
        command: [
          binaries[name],
          '--watch-all-namespaces=true',
          '--enable-leader-election=false',
          '--events-addr=',
          ...(name === 'kustomize-controller' ? concurrencyFlags(kustomizeConcurrency) : []),
          `--metrics-addr=127.0.0.1:${metrics}`,
          `--health-addr=127.0.0.1:${health}`,
          ...(name === 'source-controller' ? storageFlags(artifacts, storage) : []),
        ],
        ready: async (controller) => isAtWork(controller, name) && (await answers(`http://127.0.0.1:${health}/readyz`)),
      }),
  )
  return process
}

const storageFlags = (directory: string, port: number | undefined) => [
  `--storage-path=${directory}`,
  `--storage-addr=127.0.0.1:${port}`,
  `--storage-adv-addr=127.0.0.1:${port}`,
]

const concurrencyFlags = (concurrency: number | undefined) =>
  concurrency === undefined ? [] : [`--concurrent=${concurrency}`]

function isAtWork(controller: Process, name: FluxController): boolean {
  return (controller.output().match(startLine)?.length ?? 0) >= kindsOf[name]
}
