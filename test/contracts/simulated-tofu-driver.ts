import { type ObjectRef, refKey, resources } from '../../functions/lib/kubernetes/cluster.ts'
import { builtinResources } from '../../infra/local/kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import type { VirtualPod } from '../../infra/local/simulation/node/virtual-pod.ts'
import { KubernetesState } from '../../infra/local/simulation/tofu/kubernetes-state.ts'
import { type LockRecord, newLockRecord } from '../../infra/local/simulation/tofu/lock-record.ts'
import { isTainted } from '../../infra/local/simulation/tofu/state-backend.ts'
import { controllerLabel, controllerName } from '../../infra/local/simulation/tofu/tofu-deployment.ts'
import { StoreCluster } from '../fixtures/store-cluster.ts'
import { SimulatedDriver } from './simulated-driver.ts'
import type { DrivenPod, DrivenState, TofuDriver } from './tofu-driver.ts'

const { Deployment, Pod } = builtinResources
const gracefulShutdownMs = 10_000

export class SimulatedTofuDriver extends SimulatedDriver implements TofuDriver {
  readonly longWaitMs = 10 * 60_000
  readonly gracefulShutdownMs = gracefulShutdownMs
  readonly lockstep = new StoreCluster('staging', this.store)
  readonly activity = this.clock
  private readonly unchanged: Set<string>

  constructor({ localRunner = false } = {}) {
    const unchanged = new Set<string>()
    const speedups = { gracefulShutdown: gracefulShutdownMs }
    super({ planChanges: (_key, revision) => !unchanged.has(revision), speedups, localRunner })
    this.unchanged = unchanged
  }

  async pushWithoutChanges(): Promise<string> {
    const revision = await this.push()
    this.unchanged.add(revision)
    return revision
  }

  async pushApply(ref: ObjectRef, seconds: number): Promise<string> {
    this.simulation.faults.delay(refKey(ref), seconds * 1_000)
    return this.push()
  }

  async breakApply(ref: ObjectRef): Promise<void> {
    this.simulation.faults.fail(refKey(ref), { reason: 'TFExecApplyFailed' })
  }

  async mend(ref: ObjectRef): Promise<void> {
    this.simulation.faults.clear(refKey(ref))
  }

  async patchStatus({ kind, namespace, name }: ObjectRef, patch: object): Promise<void> {
    const merge = (object: KubernetesObject) => {
      object.status = merged(object.status ?? {}, patch)
    }
    this.store.update(resources[kind], namespace, name, merge, { manager: 'kubectl', subresource: 'status' })
  }

  async pod(ref: ObjectRef): Promise<DrivenPod | undefined> {
    const pod = this.store.get(Pod, ref.namespace, runnerOf(ref))
    if (!pod) return undefined
    const [container] = pod.status?.containerStatuses ?? []
    const startedAt = container?.state?.running?.startedAt
    return {
      uid: pod.metadata.uid ?? '',
      phase: pod.status?.phase ?? 'Pending',
      ready: container?.ready === true,
      restarts: container?.restartCount ?? 0,
      startedAt: startedAt === undefined ? undefined : Date.parse(startedAt),
      terminating: pod.metadata.deletionTimestamp !== undefined,
    }
  }

  async killRunner(ref: ObjectRef, mode: 'restart' | 'fail'): Promise<void> {
    this.runner(ref).kill(mode)
  }

  async deleteRunner(ref: ObjectRef): Promise<void> {
    this.store.delete(Pod, ref.namespace, runnerOf(ref))
  }

  async forceDeleteRunner(ref: ObjectRef): Promise<void> {
    this.store.delete(Pod, ref.namespace, runnerOf(ref), { gracePeriodSeconds: 0 })
  }

  async loseRunner(ref: ObjectRef): Promise<void> {
    this.simulation.faults.loseRunner(refKey(ref))
  }

  async findRunner(): Promise<void> {
    // It is there once nobody waits for it any more.
  }

  lock(ref: ObjectRef): Promise<LockRecord | undefined> {
    return this.backend(ref).holder()
  }

  async takeLock(ref: ObjectRef): Promise<LockRecord> {
    const record = newLockRecord('OperationTypeApply', 'ana@laptop', '', this.now())
    if (await this.backend(ref).acquire(record)) throw new Error('somebody holds the lock')
    return record
  }

  async breakLock(ref: ObjectRef): Promise<void> {
    const held = await this.lock(ref)
    if (held) await this.backend(ref).release(held.ID)
  }

  async state(ref: ObjectRef): Promise<DrivenState | undefined> {
    const state = await this.backend(ref).read()
    return state && { serial: state.serial, lineage: state.lineage, tainted: isTainted(state) }
  }

  async killManager({ connections }: { connections: 'closed' | 'black-holed' }): Promise<void> {
    this.simulation.tofu.killManager(connections)
  }

  async startManager(): Promise<void> {
    this.simulation.tofu.startManager()
    await this.wait(1_000)
  }

  async scale(replicas: number): Promise<void> {
    const change = (deployment: KubernetesObject) => {
      deployment.spec.replicas = replicas
    }
    this.store.update(Deployment, 'flux-system', controllerName, change, { manager: 'kubectl' })
  }

  async managers(): Promise<number> {
    return this.store.list(Pod).items.filter(({ metadata }) => metadata.labels?.[controllerLabel] === controllerName)
      .length
  }

  private runner(ref: ObjectRef): VirtualPod {
    const pod = this.simulation.tofu.kubelet.find(ref.namespace, runnerOf(ref))
    if (!pod) throw new Error(`${refKey(ref)} has no runner`)
    return pod
  }

  private backend({ namespace, name }: ObjectRef): KubernetesState {
    return new KubernetesState(this.store, { namespace, workspace: 'default', suffix: name })
  }
}

function runnerOf({ name }: ObjectRef): string {
  return `${name}-tf-runner`
}

/** RFC 7386. */
function merged(target: Record<string, unknown>, patch: object): Record<string, unknown> {
  const result = { ...target }
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else if (typeof value === 'object' && !Array.isArray(value)) {
      result[key] = merged((result[key] ?? {}) as Record<string, unknown>, value)
    } else result[key] = value
  }
  return result
}
