import { builtinResources } from '../../kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../kubernetes/object-store.ts'
import type { ControllerContext } from '../reconcile-loop.ts'
import type { PodAddress } from './runner.ts'
import { runnerName, runnerPod, tlsSecretLabel } from './runner-pod.ts'
import type { TerraformRun } from './terraform-object.ts'

const { Pod } = builtinResources
const manager = 'tf-controller'

/** A runner's pod is given this long, in seconds, where the controller does not care for its work. */
const forcedGrace = 1
/** How long `remove` looks after a pod, in milliseconds. */
const removalTimeout = 120_000

/** Where a controller gets its runners from. */
export interface Runners {
  /** The address of the object's runner. Throws NoRunner. */
  find(run: TerraformRun, revision: string): Promise<PodAddress>
  /** The run does not need its runner any more. */
  remove(run: TerraformRun): Promise<void>
}

/** There is no runner for a run: nothing is counted and nobody is told, but the token is recorded. */
export class NoRunner extends Error {
  override readonly name = 'NoRunner'
}

/** The runner pods that one process of the controller makes, finds and deletes. */
export class RunnerPods implements Runners {
  private readonly context: ControllerContext
  private readonly tlsSecretName: string
  /** Who waits for a runner, by `namespace/name` of its pod. */
  private readonly watching = new Map<string, (pod: KubernetesObject) => void>()
  private unsubscribe: (() => void) | undefined

  constructor(context: ControllerContext, tlsSecretName: string) {
    this.context = context
    this.tlsSecretName = tlsSecretName
  }

  /**
   * The address of the object's runner: one that runs, or a new one. A runner of another process of the controller is
   * deleted first, with the grace that the object gives it. Throws NoRunner when it takes too long.
   */
  async find(run: TerraformRun, revision: string): Promise<PodAddress> {
    const pod = this.get(run)
    const grace = pod && this.deletionGrace(run, pod)
    if (grace !== undefined) this.delete(run, grace)
    if (grace !== undefined || pod?.metadata.deletionTimestamp) await this.untilGone(run)
    if (!this.get(run)) this.context.store.create(Pod, runnerPod(run, revision, this.tlsSecretName), manager)
    return { namespace: run.namespace, ip: await this.untilAddress(run) }
  }

  /** Deletes the runner and waits for its end: it is looked at every 5 s, and deleted again while it is there. */
  async remove(run: TerraformRun): Promise<void> {
    const { clock, durations } = this.context
    const deadline = clock.now() + removalTimeout
    while (this.get(run) && clock.now() < deadline) {
      this.delete(run, forcedGrace)
      await run.spend(durations.runnerCleanup)
    }
  }

  /** Undefined for a pod that may stay. */
  private deletionGrace(run: TerraformRun, { metadata, status }: KubernetesObject): number | undefined {
    const madeBy = metadata.labels?.[tlsSecretLabel]
    if (madeBy === undefined) return forcedGrace
    if (madeBy !== this.tlsSecretName) return run.spec.runnerTerminationGracePeriodSeconds
    if (metadata.deletionTimestamp) return undefined
    return status?.phase === 'Failed' ? forcedGrace : undefined
  }

  /** Looks every 15 s. The first look is too early: the controller's cache does not know of the deletion yet. */
  private async untilGone(run: TerraformRun): Promise<void> {
    const { clock, durations } = this.context
    const deadline = clock.now() + durations.runnerCreationTimeout
    for (;;) {
      const left = deadline - clock.now()
      await run.spend(Math.min(durations.runnerPoll, left))
      if (left < durations.runnerPoll) throw new NoRunner('failed to wait for the old pod termination')
      if (!this.get(run)) return
    }
  }

  private async untilAddress(run: TerraformRun): Promise<string> {
    const { clock, durations } = this.context
    const found = await new Promise<string | undefined>((resolve) => {
      const settle = (ip?: string) => {
        cancel()
        stopWatching()
        run.signal.removeEventListener('abort', giveUp)
        resolve(ip)
      }
      const giveUp = () => settle()
      const look = (pod: KubernetesObject | undefined) => {
        const ip = pod?.status?.podIP
        if (typeof ip === 'string' && ip !== '') settle(ip)
      }
      const cancel = clock.after(durations.runnerCreationTimeout, giveUp)
      const stopWatching = this.watch(run, look)
      run.signal.addEventListener('abort', giveUp, { once: true })
      look(this.get(run))
    })
    run.signal.throwIfAborted()
    if (found === undefined) throw new NoRunner('failed to create and obtain pod ip')
    return found
  }

  /** Calls `look` with each new version of the object's runner. All runs share one subscription. */
  private watch(run: TerraformRun, look: (pod: KubernetesObject) => void): () => void {
    const key = `${run.namespace}/${runnerName(run.name)}`
    this.watching.set(key, look)
    this.unsubscribe ??= this.context.store.subscribe(Pod, ({ type, object }) => {
      const { namespace, name } = object.metadata
      if (type !== 'DELETED') this.watching.get(`${namespace}/${name}`)?.(object)
    })
    return () => {
      this.watching.delete(key)
      if (this.watching.size > 0) return
      this.unsubscribe?.()
      this.unsubscribe = undefined
    }
  }

  private get(run: TerraformRun): KubernetesObject | undefined {
    return this.context.store.get(Pod, run.namespace, runnerName(run.name))
  }

  private delete(run: TerraformRun, gracePeriodSeconds: number): void {
    this.context.store.delete(Pod, run.namespace, runnerName(run.name), { gracePeriodSeconds })
  }
}
