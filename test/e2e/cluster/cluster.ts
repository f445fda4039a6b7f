import { join } from 'node:path'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { Api } from './api.ts'
import { startEtcd } from './etcd.ts'
import { type Guardian, startGuardian } from './guardian.ts'
import { kinds } from './kinds.ts'
import { startApiServer, type User } from './kube-apiserver.ts'
import { startControllerManager } from './kube-controller-manager.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import type { Process } from './process.ts'

export interface ClusterOptions {
  readonly upstream: Upstream
  /** Told each step, as a line for people. */
  readonly say?: (line: string) => void
  /** Whether source-, kustomize- and helm-controller run; default true. */
  readonly flux?: boolean
}

/** A real control plane as plain processes on loopback. Pods are objects that nobody runs. */
export interface RunningCluster {
  /** Its own, removed by `stop` and by the guardian. */
  readonly directory: string
  /** For whoever starts further processes that are to end with the cluster. */
  readonly guardian: Guardian
  /** Files. `lockstep` is in the group lockstep, which has no rights until somebody grants them. */
  readonly kubeconfigs: Readonly<Record<User, string>>
  /** As admin. */
  readonly api: Api
  /** As lockstep. */
  readonly lockstep: Api
  /** Names of the processes that can be stopped and started. */
  readonly processes: readonly string[]
  /** Throws NoSuchProcess. */
  process(name: string): Process
  /** Default: SIGTERM, and SIGKILL where that does not help. Throws NoSuchProcess. */
  stopProcess(name: string, signal?: NodeJS.Signals): Promise<void>
  /** With its ports and its data as they were, and waits until it is ready. Throws what `Process.start` throws. */
  startProcess(name: string): Promise<void>
  /** Ends everything and removes the directory. */
  stop(): Promise<void>
}

/**
 * Starts a cluster in a directory of its own on free ports: any number of them run side by side. It is ready to be
 * used. Leaves nothing behind when it throws ClusterUnsupported, ProcessNotStarted, ProcessDied, PortTaken or
 * ProcessNotReady, nor when this process ends in any way.
 */
export async function startCluster(options: ClusterOptions): Promise<RunningCluster> {
  const guardian = await startGuardian()
  const processes: Process[] = []
  const stop = async () => {
    await stopAll(processes)
    await guardian.end()
  }
  try {
    return await startParts(options, guardian, processes, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function startParts(
  { upstream: { binaries }, say = () => {} }: ClusterOptions,
  guardian: Guardian,
  processes: Process[],
  stop: () => Promise<void>,
): Promise<RunningCluster> {
  const { directory } = guardian
  const started = (process: Process) => {
    processes.push(process)
    say(`${process.name} is ready`)
  }

  const etcd = await startEtcd({ binary: binaries.etcd, guardian })
  started(etcd.process)
  const server = await startApiServer({ binary: binaries['kube-apiserver'], guardian, etcdUrl: etcd.url })
  started(server.process)
  const { url, ca, tokens } = server
  const kubeconfig = (user: User) =>
    writeKubeconfig(join(directory, `${user}.kubeconfig`), { server: url, ca, user, token: tokens[user] })
  const kubeconfigs = { admin: await kubeconfig('admin'), lockstep: await kubeconfig('lockstep') }
  const api = new Api({ server: url, ca, token: tokens.admin })
  const [controllerManager] = await Promise.all([
    startControllerManager({
      binary: binaries['kube-controller-manager'],
      guardian,
      kubeconfig: kubeconfigs.admin,
    }),
    api.apply({ ...kinds.Namespace, metadata: { name: 'flux-system' } }),
  ])
  started(controllerManager)

  const process = (name: string) => {
    const found = processes.find((each) => each.name === name)
    if (found) return found
    throw new LockstepError(
      'NoSuchProcess',
      `The cluster has no process ${name}.`,
      `It has ${processes.map((each) => each.name).join(', ')}.`,
    )
  }
  return {
    ...{ directory, guardian, kubeconfigs, api, process },
    lockstep: api.as(tokens.lockstep, 'lockstep'),
    processes: processes.map(({ name }) => name),
    stopProcess: (name, signal) => process(name).stop(signal),
    startProcess: (name) => process(name).start(),
    stop: async () => {
      api.close()
      await stop()
    },
  }
}

/** In the order in which they need each other: the API server and etcd last. */
async function stopAll(processes: readonly Process[]): Promise<void> {
  const [etcd, server, ...others] = processes
  await Promise.all(others.map((each) => each.stop()))
  await server?.stop()
  await etcd?.stop()
}
