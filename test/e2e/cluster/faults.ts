import * as z from 'zod'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { type Api, keyOf, type ObjectKey } from './api.ts'
import { kinds } from './kinds.ts'
import type { Kubelet } from './kubelet.ts'
import type { AfterExit, PodRun } from './kubelet-pod.ts'
import type { RunnerNetwork } from './runner-network.ts'
import { deploymentKey } from './tofu-controller-deployment.ts'
import { managerName } from './tofu-controller-programs.ts'

export interface FaultsOptions {
  readonly api: Api
  readonly kubelet: Kubelet
  readonly network: RunnerNetwork
}

/** There is nothing that the fault could be done to. */
export class FaultImpossible extends LockstepError {
  constructor(message: string, next: string) {
    super('FaultImpossible', message, next)
  }
}

/** tofu-controller does not come up. */
export class ManagerNotReady extends LockstepError {
  constructor(tail: string) {
    super('ManagerNotReady', `tofu-controller does not get ready.\n${tail}\n`, 'Its log says why.')
  }
}

/**
 * How the runners see the manager's end. `closed`: its connections are closed, as by the kernel of a node that lives on.
 * `black-holed`: its packets just stop, as when its node goes away.
 */
export type ManagerConnections = 'closed' | 'black-holed'

/** Its spec and its status; of a new one that is empty. */
const deploymentSchema = z
  .object({ replicas: z.number().default(0), readyReplicas: z.number().default(0) })
  .default({ replicas: 0, readyReplicas: 0 })

/**
 * What goes wrong with tofu-controller, on demand, and a look at what is left of it. A runner is named by the object
 * that it works for: `Terraform/<namespace>/<name>`. Methods throw FaultImpossible where there is no such runner, or
 * none that is alive, and what the API throws.
 */
export class Faults {
  readonly #api: Api
  readonly #kubelet: Kubelet
  readonly #network: RunnerNetwork

  constructor({ api, kubelet, network }: FaultsOptions) {
    this.#api = api
    this.#kubelet = kubelet
    this.#network = network
  }

  /** The runner's pod as the API shows it. */
  async runnerPod(ref: string): Promise<KubernetesObject | undefined> {
    return this.#api.find(runnerKey(ref))
  }

  /** Whether the runner's process is there, whatever the API shows. True for one that hangs. */
  isRunnerAlive(ref: string): boolean {
    return this.#findRunner(ref)?.alive ?? false
  }

  /** The last lines that the runner wrote. */
  runnerTail(ref: string): string {
    return this.#findRunner(ref)?.tail() ?? ''
  }

  /** SIGKILL to the runner's container: tofu and what it started die with it. */
  async killRunner(ref: string, afterExit: AfterExit): Promise<void> {
    await this.#liveRunner(ref).kill(afterExit)
  }

  /** Goes on with a runner that was killed with `hold`. */
  reportRunner(ref: string, afterExit: 'restart' | 'fail'): void {
    const run = this.#runner(ref)
    if (!run.held) throw new FaultImpossible(`Nothing about the runner of ${ref} is held back.`, 'Kill it with hold.')
    run.resume(afterExit)
  }

  /** The node needs its memory: the runner is killed, and its pod is left behind as Failed, reason Evicted. */
  async evictRunner(ref: string): Promise<void> {
    await this.#liveRunner(ref).evict('Evicted', 'The node was low on resource: memory.')
  }

  /** As `kubectl delete pod`: does not wait for its end. Without `graceSeconds` it has what its pod says. */
  async deleteRunner(ref: string, graceSeconds?: number): Promise<void> {
    this.#runner(ref)
    await this.#api.delete(runnerKey(ref), { ...(graceSeconds !== undefined && { graceSeconds }) })
  }

  /** As `kubectl delete pod --force`: the pod is gone from the API at once, the process right after. */
  async forceDeleteRunner(ref: string): Promise<void> {
    const run = this.#runner(ref)
    await this.#api.delete(runnerKey(ref), { graceSeconds: 0 })
    await run.done
  }

  /** Every process of the runner stops where it is, tofu included (SIGSTOP). */
  hangRunner(ref: string): void {
    this.#liveRunner(ref).freeze()
  }

  resumeRunner(ref: string): void {
    this.#liveRunner(ref).thaw()
  }

  /** Packets between the manager and the runner are lost; nothing is closed. */
  partitionRunner(ref: string): void {
    this.#network.partition(this.#runner(ref).ip)
  }

  healRunner(ref: string): void {
    this.#network.heal(this.#runner(ref).ip)
  }

  /** The connections between the manager and the runner are closed at both ends, once. */
  cutRunner(ref: string): void {
    this.#network.cut(this.#liveRunner(ref).ip)
  }

  /** The manager's pods as the API shows them: with those that terminate, and those that failed and stay behind. */
  async managerPods(): Promise<KubernetesObject[]> {
    return this.#api.list(kinds.Pod, managers)
  }

  /** The last lines that the manager wrote. */
  async managerTail(): Promise<string> {
    const runs = await this.#managers()
    return runs.map((run) => run.tail()).join('\n')
  }

  /**
   * SIGKILL to the manager. By default (`hold`) nobody starts it again and the API goes on to show it as running, until
   * `startManager`. With its connections black-holed its node has gone, and it is shown as not ready.
   */
  async killManager({
    connections,
    afterExit = 'hold',
  }: {
    readonly connections: ManagerConnections
    readonly afterExit?: AfterExit
  }): Promise<void> {
    const alive = (await this.#managers()).filter((run) => run.alive)
    if (alive.length === 0) throw new FaultImpossible('No tofu-controller is running.', 'Start it first.')
    if (connections === 'black-holed') this.#network.blackHole()
    await Promise.all(alive.map((run) => run.kill(afterExit)))
    if (connections === 'black-holed') await Promise.all(alive.map((run) => this.#loseNode(run)))
  }

  /** What the node controller of kube-controller-manager does to the pods of a node that it no longer hears of. */
  async #loseNode({ namespace, name }: PodRun): Promise<void> {
    const status = { conditions: [{ type: 'Ready', status: 'False' }] }
    await this.#api.patch({ ...kinds.Pod, namespace, name }, { status }, { subresource: 'status', type: 'strategic' })
  }

  /** Asks the Deployment for so many managers, and does not wait for them. */
  async scale(replicas: number): Promise<void> {
    await this.#api.patch(deploymentKey, { spec: { replicas } }, { subresource: 'scale' })
  }

  /**
   * Scales to zero and waits until no pod of the manager is left, `withinMs` at most (default: a minute). One that has
   * failed is left: its ReplicaSet no longer counts it, and nobody would delete it.
   */
  async stopManager({ withinMs = patienceMs }: { readonly withinMs?: number } = {}): Promise<void> {
    await this.scale(0)
    const pods = await this.managerPods()
    for (const pod of pods.filter(isActive)) await this.#api.untilGone(keyOf(pod), { withinMs })
  }

  /** Starts what was killed or scaled down, and waits until it is ready. */
  async startManager(): Promise<void> {
    const held = (await this.managerPods()).filter((pod) => this.#run(pod)?.held)
    for (const pod of held) await this.#restart(pod)
    const { spec } = await this.#api.get(deploymentKey)
    if (deploymentSchema.parse(spec).replicas === 0) await this.scale(1)
    await this.managerReady()
  }

  /**
   * Waits until a manager is ready, in truth and as the API shows it, and its Deployment counts it. Throws
   * ManagerNotReady where that takes more than a minute, and at once where it cannot be started.
   */
  async managerReady(): Promise<void> {
    const signal = AbortSignal.timeout(patienceMs)
    for await (const { type, object } of this.#api.follow(kinds.Pod, { ...managers, signal })) {
      if (type === 'DELETED') continue
      const { ready, state } = containerOf(object)
      if (failing.includes(state.waiting?.reason ?? '')) break
      if (ready && this.#run(object)?.ready) return this.#counted()
    }
    throw new ManagerNotReady(await this.managerTail())
  }

  async #counted(): Promise<void> {
    await this.#api.until(deploymentKey, 'a ready replica', ({ status }) => {
      return deploymentSchema.parse(status).readyReplicas > 0
    })
  }

  /** The API shows the pod as ready, until its kubelet says more. */
  async #restart(pod: KubernetesObject): Promise<void> {
    const before = containerOf(pod).restartCount
    this.#run(pod)?.resume('restart')
    await this.#api.until(keyOf(pod), 'restarted', (now) => {
      const { ready, restartCount } = containerOf(now)
      return ready && restartCount > before
    })
  }

  async #managers(): Promise<PodRun[]> {
    return (await this.managerPods()).flatMap((pod) => this.#run(pod) ?? [])
  }

  #run({ metadata }: KubernetesObject): PodRun | undefined {
    return this.#kubelet.find(metadata.namespace ?? '', metadata.name)
  }

  #findRunner(ref: string): PodRun | undefined {
    const { namespace, name } = runnerKey(ref)
    return this.#kubelet.find(namespace, name)
  }

  #runner(ref: string): PodRun {
    const run = this.#findRunner(ref)
    if (run) return run
    const { name } = runnerKey(ref)
    throw new FaultImpossible(`${ref} has no runner: there is no pod ${name}.`, 'Do it while the object reconciles.')
  }

  #liveRunner(ref: string): PodRun {
    const run = this.#runner(ref)
    if (run.alive) return run
    throw new FaultImpossible(`The runner of ${ref} has a pod, and no process.`, 'It was killed before, or it starts.')
  }
}

const patienceMs = 240_000
/** Which pods are the manager's. */
const managers = { namespace: deploymentKey.namespace, labelSelector: `app.kubernetes.io/name=${managerName}` }

const isActive = ({ status }: KubernetesObject) => status?.phase !== 'Failed' && status?.phase !== 'Succeeded'

/** Why a container waits that will not run soon. */
const failing = ['CrashLoopBackOff', 'CreateContainerError']

const containerSchema = z.object({
  ready: z.boolean(),
  restartCount: z.number(),
  state: z.object({ waiting: z.object({ reason: z.string() }).optional() }),
})

const podSchema = z.object({ status: z.object({ containerStatuses: z.array(containerSchema).default([]) }) })

/** What the API shows of a pod's container; of one that has not been started yet, that. */
function containerOf(pod: KubernetesObject): z.output<typeof containerSchema> {
  return podSchema.parse(pod).status.containerStatuses[0] ?? { ready: false, restartCount: 0, state: {} }
}

/** The pod that works for an object. Throws FaultImpossible where `ref` names no Terraform object. */
function runnerKey(ref: string): ObjectKey & { readonly namespace: string } {
  const match = /^Terraform\/([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(ref)
  const [, namespace, name] = match ?? []
  if (namespace !== undefined && name !== undefined) return { ...kinds.Pod, namespace, name: `${name}-tf-runner` }
  throw new FaultImpossible(`${JSON.stringify(ref)} is no Terraform object.`, 'Write Terraform/<namespace>/<name>.')
}
