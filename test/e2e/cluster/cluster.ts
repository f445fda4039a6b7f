import { join } from 'node:path'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { TofuController } from '../upstream/tofu-controller.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { Api } from './api.ts'
import { applyCrds } from './crds.ts'
import { startEtcd } from './etcd.ts'
import { startFlux } from './flux.ts'
import { type GitHttpServer, startGitServer } from './git-http.ts'
import { type Guardian, startGuardian } from './guardian.ts'
import { kinds } from './kinds.ts'
import { startApiServer, type User } from './kube-apiserver.ts'
import { startControllerManager } from './kube-controller-manager.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import type { Process } from './process.ts'
import { type RunningTofuController, startTofuController } from './tofu-controller.ts'
import type { DeploymentOptions } from './tofu-controller-deployment.ts'

export interface ClusterOptions {
  readonly upstream: Upstream
  /** Told each step, as a line for people. */
  readonly say?: (line: string) => void
  /** Whether source-, kustomize- and helm-controller run; default true. */
  readonly flux?: boolean
  /**
   * How many objects kustomize-controller works on at once; default its own, which is 4. A Kustomization that waits
   * for health counts for as long as it waits: as many of those as this, and nothing else runs, their own objects
   * included.
   */
  readonly kustomizeConcurrency?: number
  /** Default: none, and no Terraform objects. */
  readonly tofu?: TofuController
  readonly tofuDeployment?: DeploymentOptions
  /** What nodes give to every runner, such as credentials and where AWS is. */
  readonly runnerEnv?: Readonly<Record<string, string>>
  /** Whether the API server writes down every request; default false. */
  readonly audit?: boolean
}

/** A real control plane as plain processes on loopback. No pods are run but tofu-controller's. */
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
  readonly git: GitHttpServer
  /** Its pods and the faults that they can have; undefined where none was asked for. */
  readonly tofu: RunningTofuController | undefined
  /** Where `audit` was asked for: a line (audit.k8s.io/v1 Event) for each request to the API server. */
  readonly auditLog: string
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
  const parts = new Parts(guardian, options.say ?? (() => {}))
  try {
    return await startParts(options, parts)
  } catch (error) {
    await parts.stop()
    throw error
  }
}

async function startParts(options: ClusterOptions, parts: Parts): Promise<RunningCluster> {
  const plane = await startControlPlane(options, parts)
  const git = await startGitServer(parts.guardian)
  parts.closing.push(() => git.close())
  const tofu = await startControllers(options, parts, plane)
  return {
    ...{ directory: parts.guardian.directory, guardian: parts.guardian, ...plane, git, tofu },
    processes: parts.processes.map(({ name }) => name),
    process: (name) => parts.process(name),
    stopProcess: (name, signal) => parts.process(name).stop(signal),
    startProcess: (name) => parts.process(name).start(),
    stop: () => parts.stop(),
  }
}

type ControlPlane = Pick<RunningCluster, 'api' | 'lockstep' | 'kubeconfigs' | 'auditLog'>

/** etcd and the API server, with clients for it. */
async function startControlPlane(options: ClusterOptions, parts: Parts): Promise<ControlPlane> {
  const { upstream, audit = false } = options
  const { binaries } = upstream
  const { guardian } = parts
  const etcd = await startEtcd({ binary: binaries.etcd, guardian })
  parts.started(etcd.process)
  const server = await startApiServer({ binary: binaries['kube-apiserver'], guardian, etcdUrl: etcd.url, audit })
  parts.started(server.process)
  const { url, ca, tokens, auditLog } = server
  const kubeconfig = (user: User) =>
    writeKubeconfig(join(guardian.directory, `${user}.kubeconfig`), { server: url, ca, user, token: tokens[user] })
  const kubeconfigs = { admin: await kubeconfig('admin'), lockstep: await kubeconfig('lockstep') }
  const api = new Api({ server: url, ca, token: tokens.admin })
  const lockstep = api.as(tokens.lockstep, 'lockstep')
  parts.closing.push(async () => {
    api.close()
    lockstep.close()
  })
  return { api, lockstep, kubeconfigs, auditLog }
}

/** Everything that needs an API server, at the same time. Answers tofu-controller where one was asked for. */
async function startControllers(
  options: ClusterOptions,
  parts: Parts,
  { api, kubeconfigs }: ControlPlane,
): Promise<RunningTofuController | undefined> {
  const {
    upstream,
    flux = true,
    kustomizeConcurrency,
    tofu: controller,
    tofuDeployment: deployment,
    runnerEnv,
  } = options
  const { binaries } = upstream
  const access = { guardian: parts.guardian, kubeconfig: kubeconfigs.admin }
  const startManager = async () => {
    parts.started(await startControllerManager({ ...access, binary: binaries['kube-controller-manager'] }))
  }
  const prepare = async () => {
    await api.apply({ ...kinds.Namespace, metadata: { name: 'flux-system' } })
    if (flux || controller) await applyCrds(api, upstream.crds)
  }
  const prepared = prepare()
  const startFluxControllers = async () => {
    await prepared
    if (flux) parts.started(...(await startFlux({ ...access, binaries, kustomizeConcurrency })))
  }
  const startTofu = async () => {
    await prepared
    if (!controller) return undefined
    const { tofu } = binaries
    const given = {
      ...access,
      ...(deployment && { deployment }),
      ...(runnerEnv && { runnerEnv }),
      api,
      controller,
      tofu,
      say: parts.say,
    }
    const running = await startTofuController(given)
    parts.closing.push(() => running.stop())
    return running
  }
  const [tofu] = await allSettled([startTofu(), startFluxControllers(), startManager()])
  return tofu
}

/** What has been started so far. */
class Parts {
  readonly guardian: Guardian
  /** etcd and the API server first. */
  readonly processes: Process[] = []
  /** Everything else, in the order of its start. */
  readonly closing: (() => Promise<void>)[] = []

  readonly say: (line: string) => void

  constructor(guardian: Guardian, say: (line: string) => void) {
    this.guardian = guardian
    this.say = say
  }

  started(...processes: readonly Process[]): void {
    this.processes.push(...processes)
    for (const { name } of processes) this.say(`${name} is ready`)
  }

  process(name: string): Process {
    const found = this.processes.find((each) => each.name === name)
    if (found) return found
    const names = this.processes.map((each) => each.name).join(', ')
    throw new LockstepError('NoSuchProcess', `The cluster has no process ${name}.`, `It has ${names}.`)
  }

  /** What needs others ends before them: the API server and etcd last. */
  async stop(): Promise<void> {
    const [etcd, server, ...others] = this.processes
    try {
      for (const close of this.closing.splice(0).reverse()) await close()
      await Promise.all(others.map((each) => each.stop()))
      await server?.stop()
      await etcd?.stop()
    } finally {
      await this.guardian.end()
    }
  }
}

/** As Promise.all, but waits for all of them first: nothing is to start behind the back of whoever tidies up. */
async function allSettled<T extends readonly Promise<unknown>[]>(started: readonly [...T]) {
  await Promise.allSettled(started)
  return Promise.all(started)
}
