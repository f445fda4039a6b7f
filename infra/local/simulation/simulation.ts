import type { Clock } from '../../../functions/lib/clock.ts'
import { requestedAt } from '../../../functions/lib/flux/annotations.ts'
import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import { builtinResources } from '../kubernetes/builtin-resources.ts'
import type { KubernetesObject, ObjectStore } from '../kubernetes/object-store.ts'
import { type Durations, defaultDurations } from './durations.ts'
import { Faults } from './faults.ts'
import type { GitServer } from './git-server.ts'
import { HelmController } from './helm-controller.ts'
import { isServed, keyOf, resourceOf, simulatedKinds } from './kinds.ts'
import { KustomizeController } from './kustomize-controller.ts'
import type { AfterExit } from './node/virtual-pod.ts'
import { OciRegistry } from './oci-registry.ts'
import type { Reconcile } from './reconcile-log.ts'
import { type ControllerContext, tokenOf } from './reconcile-loop.ts'
import { SharedTimers } from './shared-timers.ts'
import { SourceController } from './source-controller.ts'
import type { PlanChanges } from './tofu/infrastructure.ts'
import type { LockRecord } from './tofu/lock-record.ts'
import type { OpenBackend } from './tofu/state-backends.ts'
import { type TakenLock, TofuInstallation } from './tofu/tofu-installation.ts'

export interface ClusterSimulationOptions {
  readonly name: string
  readonly clock: Clock
  readonly git: GitServer
  readonly store: ObjectStore
  /** OCI artifacts; several clusters may share one. Default: a registry of its own. */
  readonly registry?: OciRegistry
  /** Durations to change from what was measured on real controllers. */
  readonly speedups?: Partial<Durations>
  /** Default: every new revision changes every Terraform object's plan. */
  readonly planChanges?: PlanChanges
  /** State backends other than Kubernetes. Default: they are kept in memory. */
  readonly openBackend?: OpenBackend
  /** tofu runs in tofu-controller's own process (INSECURE_LOCAL_RUNNER=1): there are no runner pods. */
  readonly localRunner?: boolean
}

export type ControllerName = 'source' | 'kustomize' | 'helm' | 'tofu'

/**
 * Flux's controllers and tofu-controller over the objects of one simulated cluster, traps included. tofu-controller is
 * a Deployment with a pod, and has runner pods; Flux's controllers have neither. Nothing runs before `start`. All time
 * is the clock's.
 */
export class ClusterSimulation {
  readonly name: string
  readonly store: ObjectStore
  readonly faults = new Faults()
  readonly registry: OciRegistry
  /** What the controllers really did, in the order in which runs began. */
  readonly reconciles: readonly Reconcile[]
  private readonly controllers: {
    readonly source: SourceController
    readonly kustomize: KustomizeController
    readonly helm: HelmController
  }
  /** tofu-controller, its pods and its runners' network. */
  readonly tofu: TofuInstallation
  private settled = new Set<string>()

  constructor(options: ClusterSimulationOptions) {
    const { name, clock, git, store, registry, speedups, planChanges, openBackend, localRunner } = options
    const reconciles: Reconcile[] = []
    const durations = { ...defaultDurations, ...speedups }
    const context: ControllerContext = {
      store,
      clock: new SharedTimers(clock),
      durations,
      faults: this.faults,
      reconciles,
    }
    this.name = name
    this.store = store
    this.reconciles = reconciles
    this.registry = registry ?? new OciRegistry(git)
    const kinds = [...Object.values(simulatedKinds), ...Object.values(builtinResources)]
    for (const kind of kinds) store.register(kind)
    this.controllers = {
      source: new SourceController(context, git, this.registry),
      kustomize: new KustomizeController(context, git, this.registry),
      helm: new HelmController(context, git, this.registry),
    }
    this.tofu = new TofuInstallation({
      ...{ context, git, registry: this.registry, planChanges, openBackend, localRunner },
    })
  }

  /** Resolves when the states of what was loaded are written. Rejects where a backend failed. */
  loaded(): Promise<void> {
    return this.tofu.settled()
  }

  /**
   * Puts objects in the store as if bootstrapped and reconciled at the head of their branch, together with all that
   * their Kustomizations apply. What is suspended, or whose source has nothing to serve, has no status. To be called
   * before `start`.
   */
  load(objects: readonly KubernetesObject[]): void {
    const waiting = new Map<number, KubernetesObject[]>([0, 1, 2].map((rank) => [rank, []]))
    for (const object of objects) waiting.get(rankOf(object))?.push(object)
    for (;;) {
      const next = [...waiting.values()].find((queue) => queue.length > 0)?.shift()
      if (!next) return
      for (const child of this.loadOne(next)) waiting.get(rankOf(child))?.push(child)
    }
  }

  /** Starts all controllers. What `load` put in is looked at after its interval, all else at once. */
  start(): void {
    for (const controller of Object.values(this.controllers)) controller.start(this.settled)
    this.tofu.start(this.settled)
    this.settled = new Set()
  }

  stop(): void {
    for (const controller of Object.values(this.controllers)) controller.stop()
    this.tofu.stop()
  }

  /** As a SIGKILL: runs end where they are, what was only in memory is lost, runner pods stay. */
  stopController(name: ControllerName): void {
    if (name === 'tofu') this.tofu.killManager('closed')
    else this.controllers[name].stop()
  }

  /** A new process: it lists everything and works on it (tofu-controller skips what is settled). */
  startController(name: ControllerName): void {
    if (name === 'tofu') this.tofu.startManager()
    else this.controllers[name].start()
  }

  /** Another writer sets the token of an object (`Terraform/flux-system/vpc`). */
  overwriteToken(key: string, token: string): void {
    const { resource, namespace, name } = target(key)
    this.store.update(
      resource,
      namespace,
      name,
      ({ metadata }) => {
        metadata.annotations = { ...metadata.annotations, [requestedAt]: token }
      },
      { manager: 'another-writer' },
    )
  }

  /** Another writer overwrites the next token of an object before any controller can handle it. */
  contestToken(key: string, token: string): void {
    const { resource, namespace, name } = target(key)
    const found = this.store.get(resource, namespace, name)
    const before = found && tokenOf(found)
    const unsubscribe = this.store.subscribe(resource, ({ object }) => {
      if (keyOf(object) !== key || tokenOf(object) === before) return
      unsubscribe()
      this.overwriteToken(key, token)
    })
  }

  /** Somebody changed what a Terraform manages: its next plan or drift detection finds changes. */
  drift(key: string): void {
    this.tofu.drift(key)
  }

  /** Somebody who is no runner takes the lock of a Terraform's state. Undefined where it is held already. */
  takeLock(key: string, lock: TakenLock): Promise<LockRecord | undefined> {
    return this.tofu.takeLock(this.object(key), lock)
  }

  /** SIGKILL of a Terraform's runner; what its kubelet does then is `after`. Throws where no runner is there. */
  killRunner(key: string, after: AfterExit): void {
    if (!this.tofu.killRunner(this.object(key), after)) throw new Error(`${key} has no runner pod.`)
  }

  /** The node goes for good, with all that ran on it, and another one takes its place. */
  loseNode(): void {
    this.tofu.kubelet.loseNode()
  }

  private object(key: string): KubernetesObject {
    const { resource, namespace, name } = target(key)
    const found = this.store.get(resource, namespace, name)
    if (!found) throw new Error(`There is no ${key}.`)
    return found
  }

  /** Answers what the object applies, when it is a Kustomization. */
  private loadOne(object: KubernetesObject): readonly KubernetesObject[] {
    const resource = resourceOf(object.apiVersion, object.kind)
    if (!isServed(this.store, resource)) return []
    const apiVersion = resource.group ? `${resource.group}/${resource.version}` : resource.version
    const placed = this.store.apply(resource, { ...object, apiVersion }, 'kustomize-controller')
    if (this.settled.has(keyOf(placed))) return []
    return this.settle(placed)
  }

  private settle(object: KubernetesObject): readonly KubernetesObject[] {
    const key = keyOf(object)
    const { kustomize, helm } = this.controllers
    if (object.kind === 'Kustomization') {
      const applied = kustomize.settle(object)
      if (applied) this.settled.add(key)
      return applied ?? []
    }
    if (object.kind === 'HelmRelease' && helm.settle(object, (chart) => this.settleSource(chart))) this.settled.add(key)
    if (object.kind === 'Terraform' && this.tofu.settle(object)) this.settled.add(key)
    if (isSource(object)) this.settleSource(object)
    return []
  }

  private settleSource(object: KubernetesObject): boolean {
    const settled = this.controllers.source.settle(object)
    if (settled) this.settled.add(keyOf(object))
    return settled
  }
}

function target(key: string): { resource: Resource; namespace: string; name: string } {
  const [kind = '', namespace = '', name = ''] = key.split('/')
  const resource = Object.values(simulatedKinds).find((candidate) => candidate.kind === kind)
  if (!resource) throw new Error(`${key} is not Kind/namespace/name of a kind that the simulation knows.`)
  return { resource, namespace, name }
}

function isSource({ kind }: KubernetesObject): boolean {
  return ['GitRepository', 'OCIRepository', 'HelmRepository', 'HelmChart'].includes(kind)
}

/** Sources first, then what applies objects, then the rest: each is settled from what came before. */
function rankOf(object: KubernetesObject): number {
  if (isSource(object)) return 0
  return object.kind === 'Kustomization' ? 1 : 2
}
