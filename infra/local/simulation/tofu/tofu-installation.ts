import { builtinResources } from '../../kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../kubernetes/object-store.ts'
import { durationMs } from '../durations.ts'
import type { GitServer } from '../git-server.ts'
import { keyOf, simulatedKinds } from '../kinds.ts'
import { DeploymentController } from '../node/deployment-controller.ts'
import { VirtualKubelet } from '../node/virtual-kubelet.ts'
import type { AfterExit, VirtualPod } from '../node/virtual-pod.ts'
import { anyProcess, type VirtualProcess } from '../node/virtual-process.ts'
import type { OciRegistry } from '../oci-registry.ts'
import type { ControllerContext } from '../reconcile-loop.ts'
import { backendOf } from './backend-config.ts'
import { Infrastructure, type PlanChanges } from './infrastructure.ts'
import { localAddress } from './local-runner.ts'
import { type LockOperation, type LockRecord, newLockRecord } from './lock-record.ts'
import type { InitRequest } from './runner.ts'
import { runnerName } from './runner-pod.ts'
import { runnerProcess } from './runner-process.ts'
import { RunnerServer } from './runner-server.ts'
import { appliedState, emptyState, type StateBackend } from './state-backend.ts'
import { type OpenBackend, StateBackends } from './state-backends.ts'
import { terraformSpecSchema } from './terraform-object.ts'
import { showApplying } from './terraform-status.ts'
import { TofuController } from './tofu-controller.ts'
import { controllerLabel, controllerName, tofuDeployment } from './tofu-deployment.ts'
import { VirtualNetwork } from './virtual-network.ts'
import { type TofuWorld, VirtualTofu } from './virtual-tofu.ts'

const { Deployment } = builtinResources

/**
 * Annotation on an object that is loaded: its runner was killed in the middle of an apply this long ago (`2h`). The
 * lock is still there, and the object has said "Applying" ever since.
 */
const killedApplyAnnotation = 'simulation.lockstep.dev/killed-apply'

/** A lock that no runner takes. */
export interface TakenLock {
  /** `user@host`. */
  readonly who: string
  /** Default: an apply. */
  readonly operation?: LockOperation
  /** What the holder's clock says, in milliseconds since the epoch. Default: now. */
  readonly createdAt?: number
  /** Is written down in place of the record. */
  readonly written?: string
}

export interface TofuInstallationOptions {
  readonly context: ControllerContext
  readonly git: GitServer
  readonly registry: OciRegistry
  /** Default: every new revision changes every plan. */
  readonly planChanges?: PlanChanges | undefined
  /** Backends other than Kubernetes. */
  readonly openBackend?: OpenBackend | undefined
  /** tofu runs in the controller's own process, one object at a time: there are no runner pods. */
  readonly localRunner?: boolean | undefined
}

/**
 * tofu-controller as it is installed: a Deployment whose pod is the controller's process, runner pods, and the network
 * between them. One process works at a time; others wait, as with leader election.
 */
export class TofuInstallation {
  readonly network = new VirtualNetwork()
  readonly kubelet: VirtualKubelet
  readonly backends: StateBackends
  private readonly options: TofuInstallationOptions
  private readonly deployments: DeploymentController
  private readonly infrastructure: Infrastructure
  private known: ReadonlySet<string> | undefined = new Set()
  /** What is still being written of what was settled. */
  private readonly placing: Promise<unknown>[] = []
  private leader: VirtualProcess | undefined
  private readonly candidates: { readonly process: VirtualProcess; readonly lead: () => void }[] = []

  constructor(options: TofuInstallationOptions) {
    const { context, planChanges, openBackend } = options
    const { store, clock } = context
    this.options = options
    this.infrastructure = new Infrastructure(planChanges)
    this.backends = new StateBackends(store, openBackend)
    this.deployments = new DeploymentController(store, clock)
    this.kubelet = new VirtualKubelet({ store, clock, make: (pod) => this.processOf(pod) })
  }

  /** As if it had been running for long: the first process is there at once, and knows what is `settled`. */
  start(settled: ReadonlySet<string>): void {
    const { store } = this.options.context
    this.known = settled
    this.kubelet.start()
    this.deployments.start()
    const installed = store.list(Deployment).items.some(isController)
    if (!installed) store.create(Deployment, tofuDeployment(), 'helm-controller')
    this.known = undefined
  }

  stop(): void {
    this.deployments.stop()
    this.kubelet.stop()
  }

  /**
   * SIGKILL of the controller's process. Its pod stays in the API, until `startManager`. `closed`: the runners see their
   * connections end. `black-holed`: they never learn of it, as when the node goes away; its pod is no longer ready then.
   */
  killManager(connections: 'closed' | 'black-holed'): void {
    if (connections === 'black-holed') this.network.blackHole()
    for (const pod of this.managers()) {
      pod.kill('hold')
      if (connections === 'black-holed') pod.loseNode()
    }
  }

  /** A new process in the pod of the one that was killed. */
  startManager(): void {
    for (const pod of this.managers()) pod.resume('restart')
  }

  /** Somebody changed what an object manages by hand. */
  drift(key: string): void {
    this.infrastructure.drift(key)
  }

  /** Puts a Terraform in the state of having applied what its source serves. False where there is nothing to apply. */
  settle(object: KubernetesObject): boolean {
    const revision = this.newController().settle(object)
    if (revision === undefined) return false
    this.placing.push(this.stateOf(object).write(appliedState(emptyState(), revision)))
    const age = durationMs.safeParse(object.metadata.annotations?.[killedApplyAnnotation]).data
    if (age !== undefined) this.placing.push(this.leaveGhost(object, revision, age))
    return true
  }

  /** Resolves when the states of what was settled are written. Rejects where one could not be. */
  async settled(): Promise<void> {
    await Promise.all(this.placing.splice(0))
  }

  /**
   * Somebody who is no runner takes the lock of an object's state and keeps it: a person at a laptop, CI, or who knows.
   * Answers the record, or undefined where the lock is held already.
   */
  async takeLock(object: KubernetesObject, lock: TakenLock): Promise<LockRecord | undefined> {
    const { operation = 'OperationTypeApply', who, createdAt = this.options.context.clock.now(), written } = lock
    const state = this.stateOf(object)
    const record = newLockRecord(operation, who, state.path, createdAt)
    return (await state.acquire(record, written)) ? undefined : record
  }

  /**
   * SIGKILL of the program in an object's runner pod: tofu dies with it, and a lock that it holds stays. False where
   * there is no such pod.
   */
  killRunner({ metadata }: KubernetesObject, after: AfterExit): boolean {
    const pod = this.kubelet.find(metadata.namespace ?? '', runnerName(metadata.name))
    pod?.kill(after)
    return pod !== undefined
  }

  /** As if its runner had been killed in the middle of an apply, `age` milliseconds ago, and nobody had noticed. */
  private async leaveGhost(object: KubernetesObject, revision: string, age: number): Promise<void> {
    const { clock, store } = this.options.context
    const at = clock.now() - age
    const { namespace = '', name } = object.metadata
    const write = ({ status = {} }: KubernetesObject) => showApplying(status, revision, at)
    store.update(simulatedKinds.Terraform, namespace, name, write, { manager: 'tf-controller', subresource: 'status' })
    await this.takeLock(object, { who: `runner@${runnerName(name)}`, createdAt: at })
  }

  private stateOf(object: KubernetesObject): StateBackend {
    const { workspace, backendConfig } = terraformSpecSchema.parse(object.spec)
    const { namespace = '', name } = object.metadata
    return this.backends.of(keyOf(object), backendOf({ namespace, name, workspace, backendConfig }))
  }

  private managers(): VirtualPod[] {
    return this.kubelet.running(isController)
  }

  private newController(): TofuController {
    const { context, git, registry, localRunner = false } = this.options
    return new TofuController({ context, git, registry, localRunner, network: this.network })
  }

  private processOf(pod: KubernetesObject): VirtualProcess {
    if (isController(pod)) return this.managerProcess(pod)
    const isRunner = pod.metadata.labels?.[controllerLabel] === 'tf-runner'
    return isRunner ? runnerProcess(this.world, this.network, pod) : anyProcess()
  }

  private get world(): TofuWorld {
    return { ...this.options.context, backends: this.backends, infrastructure: this.infrastructure }
  }

  private managerProcess(pod: KubernetesObject): VirtualProcess {
    const { durations } = this.options.context
    const settled = this.known
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    let controller: TofuController | undefined
    const killed = new AbortController()
    const leave = () => this.leave(process)
    const process: VirtualProcess = {
      startMs: settled ? 0 : durations.managerStart,
      ready: () =>
        this.lead(process, () => {
          const makeTofu = (request: InitRequest) =>
            new VirtualTofu(this.world, request, pod.metadata.name, killed.signal)
          if (this.options.localRunner) this.network.attach(localAddress, new RunnerServer(makeTofu))
          controller = this.newController()
          controller.start(settled)
        }),
      terminate: () => {
        void controller?.shutDown(gracefulShutdownOf(pod) ?? durations.gracefulShutdown).then(end)
        if (!controller) end()
      },
      kill: () => {
        killed.abort()
        if (controller) this.network.detach(localAddress)
        controller?.stop()
        leave()
      },
      ended,
    }
    return process
  }

  private lead(process: VirtualProcess, lead: () => void): void {
    if (this.leader) {
      this.candidates.push({ process, lead })
      return
    }
    this.leader = process
    lead()
  }

  private leave(process: VirtualProcess): void {
    const waiting = this.candidates.findIndex((candidate) => candidate.process === process)
    if (waiting >= 0) this.candidates.splice(waiting, 1)
    if (this.leader !== process) return
    this.leader = undefined
    const next = this.candidates.shift()
    if (next) this.lead(next.process, next.lead)
  }
}

function isController({ metadata }: KubernetesObject): boolean {
  return metadata.labels?.[controllerLabel] === controllerName
}

/** From the container's arguments, in milliseconds. */
function gracefulShutdownOf({ spec }: KubernetesObject): number | undefined {
  const args: unknown[] = spec?.containers?.[0]?.args ?? []
  const found = args.map((arg) => /^--graceful-shutdown-timeout=(.+)$/.exec(String(arg))?.[1]).find(Boolean)
  return durationMs.safeParse(found).data
}
