import type { Clock } from '../../../../functions/lib/clock.ts'
import { builtinResources } from '../../kubernetes/builtin-resources.ts'
import type { KubernetesObject, ObjectStore } from '../../kubernetes/object-store.ts'
import { timestamp } from '../conditions.ts'
import { isServed } from '../kinds.ts'
import { type ContainerState, podStatus, type Terminated } from './pod-status.ts'
import type { MakeProcess, VirtualProcess } from './virtual-process.ts'

const { Pod } = builtinResources
const manager = 'kubelet'

/**
 * What the kubelet does about a container that ended unasked. `restart`: again in the same pod. `fail`: the pod has
 * phase Failed, for good (an eviction, a lost node). `hold`: nothing, and says nothing: the API goes on to show a
 * running container.
 */
export type AfterExit = 'restart' | 'fail' | 'hold'

export interface VirtualPodOptions {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly node: string
  readonly ip: string
  readonly make: MakeProcess
  /** Called when nothing of the pod is left. */
  readonly onGone: () => void
}

/** One pod on the node, from its binding to its end. */
export class VirtualPod {
  readonly ip: string
  private readonly options: VirtualPodOptions
  private pod: KubernetesObject
  private process: VirtualProcess | undefined
  private startedAt = ''
  private last: Terminated | undefined
  private restartCount = 0
  private hasRun = false
  private killAt = Number.POSITIVE_INFINITY
  private cancelStart = () => {}
  private cancelKill = () => {}
  private told = false

  constructor(options: VirtualPodOptions, pod: KubernetesObject) {
    this.options = options
    this.ip = options.ip
    this.pod = pod
  }

  get object(): KubernetesObject {
    return this.pod
  }

  /** Whether its process runs. */
  get alive(): boolean {
    return this.process !== undefined
  }

  start(): void {
    const { namespace = '', name } = this.pod.metadata
    const bind = (pod: KubernetesObject) => {
      pod.spec = { ...pod.spec, nodeName: this.options.node }
    }
    this.options.store.update(Pod, namespace, name, bind, { manager: 'scheduler' })
    this.startContainer()
  }

  /** The pod as the API shows it now. */
  update(pod: KubernetesObject): void {
    this.pod = pod
    const { deletionTimestamp, deletionGracePeriodSeconds: grace = 0 } = pod.metadata
    if (deletionTimestamp !== undefined) this.terminate(Number(grace) * 1_000)
  }

  /** The pod is no longer in the API. */
  removed(): void {
    this.cancelStart()
    this.cancelKill()
    this.endProcess()
    this.options.onGone()
  }

  /** SIGKILL, unasked. */
  kill(after: AfterExit): void {
    this.cancelStart()
    this.endProcess()
    if (this.told) this.confirmEnd()
    else if (after !== 'hold') this.resume(after)
  }

  /** Nothing is heard of its node any more: the node controller says that the pod is not ready. */
  loseNode(): void {
    const { namespace = '', name } = this.pod.metadata
    const write = (pod: KubernetesObject) => {
      for (const condition of pod.status?.conditions ?? []) if (condition.type === 'Ready') condition.status = 'False'
    }
    this.options.store.update(Pod, namespace, name, write, { manager: 'node-controller', subresource: 'status' })
  }

  /** Goes on with what `hold` left alone. */
  resume(after: 'restart' | 'fail'): void {
    if (this.process || this.told) return
    this.last = this.termination()
    if (after === 'fail') {
      this.report('Failed', { terminated: this.last })
      return
    }
    this.restartCount++
    this.report('Running', { waiting: { reason: 'ContainerCreating' } })
    this.startContainer()
  }

  private startContainer(): void {
    const { clock, make } = this.options
    const process = make(this.pod)
    this.process = process
    process.ended.then(() => this.ended(process))
    const ready = () => {
      this.startedAt = timestamp(clock)
      this.hasRun = true
      process.ready(this.ip)
      this.report('Running', { running: { startedAt: this.startedAt } })
    }
    if (process.startMs > 0) this.cancelStart = clock.after(process.startMs, ready)
    else ready()
  }

  private ended(process: VirtualProcess): void {
    if (this.process !== process) return
    this.endProcess()
    if (this.told) this.confirmEnd()
  }

  private terminate(graceMs: number): void {
    const { clock } = this.options
    const at = clock.now() + graceMs
    if (at < this.killAt) {
      this.killAt = at
      this.cancelKill()
      this.cancelKill = clock.after(graceMs, () => {
        this.endProcess()
        this.confirmEnd()
      })
    }
    if (this.told) return
    this.told = true
    this.cancelStart()
    if (this.process && this.hasRun) this.process.terminate()
    else this.confirmEnd()
  }

  private endProcess(): void {
    this.process?.kill()
    this.process = undefined
  }

  /** Tells the API that the processes are gone, which ends the pod. */
  private confirmEnd(): void {
    const { namespace = '', name, uid } = this.pod.metadata
    const { store } = this.options
    if (!isServed(store, Pod) || store.get(Pod, namespace, name)?.metadata.uid !== uid) return
    store.delete(Pod, namespace, name, { gracePeriodSeconds: 0 })
  }

  private termination(): Terminated {
    const finishedAt = timestamp(this.options.clock)
    return { exitCode: 137, reason: 'Error', startedAt: this.startedAt || finishedAt, finishedAt }
  }

  private report(phase: 'Running' | 'Failed', state: ContainerState): void {
    const { namespace = '', name, uid } = this.pod.metadata
    const { store, clock } = this.options
    if (!isServed(store, Pod)) return
    const write = (pod: KubernetesObject) => {
      if (pod.metadata.uid !== uid) return
      pod.status = podStatus(
        {
          phase,
          ip: this.hasRun ? this.ip : undefined,
          container: pod.spec?.containers?.[0]?.name ?? '',
          state,
          last: 'terminated' in state ? undefined : this.last,
          restartCount: this.restartCount,
        },
        timestamp(clock),
      )
    }
    store.update(Pod, namespace, name, write, { manager, subresource: 'status' })
  }
}
