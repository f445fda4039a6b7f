import * as z from 'zod'
import { ownerLabels } from '../../../functions/lib/flux/annotations.ts'
import type { KubernetesObject } from '../kubernetes/object-store.ts'
import { conditionOf, isTrue, removeConditions, type Status } from './conditions.ts'
import { durationMs, goDuration } from './durations.ts'
import type { GitServer, Tree } from './git-server.ts'
import { type Health, type HealthTarget, healthOf } from './health.ts'
import { groupOf, isServed, resourceOf, simulatedKind, simulatedKinds } from './kinds.ts'
import { hasPath, type Selection, selectObjects } from './manifest-tree.ts'
import type { OciRegistry } from './oci-registry.ts'
import { type Again, type ControllerContext, ReconcileLoop, type Run } from './reconcile-loop.ts'
import {
  type Artifact,
  type CachedSource,
  dependsOnSchema,
  SourceCache,
  sourceKey,
  sourceRefSchema,
} from './source-cache.ts'

const manager = 'kustomize-controller'
const finalizer = 'finalizers.fluxcd.io'
/** Field managers of people's tools: what they set is taken for drift. */
const handManagers = ['kubectl', 'before-first-apply']
const reconcileAnnotation = 'kustomize.toolkit.fluxcd.io/reconcile'
const pruneAnnotation = 'kustomize.toolkit.fluxcd.io/prune'

const specSchema = z.looseObject({
  interval: durationMs,
  retryInterval: durationMs.optional(),
  timeout: durationMs.optional(),
  suspend: z.boolean().default(false),
  path: z.string().default('./'),
  prune: z.boolean().default(false),
  wait: z.boolean().default(false),
  sourceRef: sourceRefSchema,
  dependsOn: dependsOnSchema,
  healthChecks: z
    .array(
      z.looseObject({ apiVersion: z.string(), kind: z.string(), name: z.string(), namespace: z.string().optional() }),
    )
    .default([]),
})

type Spec = z.infer<typeof specSchema>

interface InventoryEntry {
  /** `<namespace>_<name>_<group>_<kind>` */
  readonly id: string
  /** API version. */
  readonly v: string
}

export interface KustomizationStatus extends Status {
  lastAppliedRevision?: string
  lastAttemptedRevision?: string
  lastAppliedOriginRevision?: string
  inventory?: { entries: InventoryEntry[] }
}

/** What a run has applied so far. Its status tells of it with the next write that is not about conditions. */
interface Applied {
  inventory?: InventoryEntry[]
}

/** A run that ends with Ready=False. */
class RunFailed extends Error {
  readonly reason: string
  /** What the condition Healthy says, where that is not the message. */
  readonly unhealthy: string | undefined

  constructor(reason: string, message: string, unhealthyMessage?: string) {
    super(message)
    this.reason = reason
    this.unhealthy = unhealthyMessage
  }
}

function unhealthy(took: string, why: string): RunFailed {
  return new RunFailed('HealthCheckFailed', `health check failed after ${took}: ${why}`, why)
}

/**
 * Simulates Flux's kustomize-controller. Left out: targetNamespace, postBuild, patches, decryption, readyExpr, and the
 * field manager of objects that others own.
 */
export class KustomizeController {
  private readonly context: ControllerContext
  private readonly sources: SourceCache
  private readonly loop: ReconcileLoop<Spec, KustomizationStatus>

  constructor(context: ControllerContext, git: GitServer, registry: OciRegistry) {
    this.context = context
    this.sources = new SourceCache(context.store, git, registry, [
      simulatedKinds.GitRepository,
      simulatedKinds.OCIRepository,
    ])
    this.loop = new ReconcileLoop(context, {
      resource: simulatedKinds.Kustomization,
      spec: specSchema,
      manager,
      concurrency: 10,
      reconcile: (run) => this.reconcile(run),
      references: (spec, namespace) => [sourceKey(spec.sourceRef, namespace)],
    })
  }

  start(settled?: ReadonlySet<string>): void {
    this.sources.start((key, artifact) => this.onArtifact(key, artifact))
    this.loop.start(settled)
  }

  stop(): void {
    this.sources.stop()
    this.loop.stop()
  }

  /** Puts a Kustomization in the state of having applied what its source serves; answers the objects that it applies. */
  settle(object: KubernetesObject): readonly KubernetesObject[] | undefined {
    const run = this.loop.runOf(object)
    if (!run) return undefined
    const source = this.sources.read(sourceKey(run.spec.sourceRef, run.namespace))
    const artifact = source?.artifact
    const tree = artifact && this.sources.content(source, artifact)
    if (!tree || run.spec.suspend) return undefined
    const objects = selectObjects(tree, run.spec.path).objects.map((one) => owned(one, run.namespace, run.name))
    this.addFinalizer(run)
    run.write((status) => {
      readyConditions(run, status, artifact.revision)
      settled(run, status, artifact)
      status.lastAttemptedRevision = artifact.revision
      status.inventory = { entries: objects.map(inventoryEntry) }
    })
    return objects
  }

  /** All Kustomizations on the source at once, whoever annotated which. */
  private onArtifact(source: string, artifact: Artifact): void {
    for (const key of this.loop.referring(source)) {
      const status: KustomizationStatus | undefined = this.loop.object(key)?.status
      if (status?.lastAttemptedRevision !== artifact.revision) this.loop.enqueue(key, 'artifact')
    }
  }

  private async reconcile(run: Run<Spec, KustomizationStatus>): Promise<Again> {
    if (run.deleting) return this.finalize(run)
    this.addFinalizer(run)
    if (run.spec.suspend) {
      run.write((status) => {
        // For whoever looks at the generation, a Ready object that is held is as it should be.
        if (isTrue(status, 'Ready')) status.observedGeneration = run.generation
        run.handled(status)
      })
      return undefined
    }
    const source = this.sources.get(sourceKey(run.spec.sourceRef, run.namespace))
    if (!source) {
      run.notReady('ArtifactFailed', `Source '${sourceKey(run.spec.sourceRef, run.namespace)}' not found`)
      return { after: retryInterval(run.spec), trigger: 'retry' }
    }
    const artifact = this.artifactFor(run, source)
    if (!artifact) {
      run.notReady('ArtifactFailed', 'Source artifact not found, retrying in 30s')
      return { after: this.context.durations.requeueDependency, trigger: 'retry' }
    }
    const unmet = this.unmetDependency(run, artifact.revision)
    if (unmet) return this.waitForDependency(run, artifact.revision, unmet)
    return this.run(run, source, artifact)
  }

  /** What the controller's cache of sources has: now and then still the artifact of before. */
  private artifactFor(run: Run<Spec, KustomizationStatus>, source: CachedSource): Artifact | undefined {
    const lagging = run.trigger !== 'artifact' && source.previous && this.context.faults.takeStale(run.key)
    return lagging ? source.previous : source.artifact
  }

  private unmetDependency(run: Run<Spec, KustomizationStatus>, revision: string): string | undefined {
    const source = sourceKey(run.spec.sourceRef, run.namespace)
    for (const { name, namespace = run.namespace } of run.spec.dependsOn) {
      const dependency = this.loop.object(`Kustomization/${namespace}/${name}`)
      if (!dependency) return `dependency '${namespace}/${name}' not found`
      const status: KustomizationStatus = dependency.status ?? {}
      if (status.observedGeneration !== dependency.metadata.generation || !isTrue(status, 'Ready')) {
        return `dependency '${namespace}/${name}' is not ready`
      }
      const other = specSchema.safeParse(dependency.spec).data?.sourceRef
      if (other && sourceKey(other, namespace) === source && status.lastAppliedRevision !== revision) {
        return `dependency '${namespace}/${name}' revision is not up to date`
      }
    }
    return undefined
  }

  /** Nobody watches the dependency: the next look is after --requeue-dependency. */
  private async waitForDependency(
    run: Run<Spec, KustomizationStatus>,
    revision: string,
    unmet: string,
  ): Promise<Again> {
    run.begin(revision)
    await run.finish('dependency-not-ready', (status) =>
      run.condition(status, 'Ready', 'False', 'DependencyNotReady', unmet),
    )
    return { after: this.context.durations.requeueDependency, trigger: 'dependency' }
  }

  private async run(run: Run<Spec, KustomizationStatus>, source: CachedSource, artifact: Artifact): Promise<Again> {
    run.begin(artifact.revision)
    const applied: Applied = {}
    try {
      await this.applyAndWait(run, source, artifact, applied)
    } catch (error) {
      if (!(error instanceof RunFailed)) throw error
      await this.failed(run, error, applied)
      return { after: retryInterval(run.spec), trigger: 'retry' }
    }
    await run.finish(
      'succeeded',
      (status) => readyConditions(run, status, artifact.revision),
      (status) => {
        settled(run, status, artifact)
        recordInventory(status, applied)
      },
    )
    return { after: run.spec.interval, trigger: 'interval' }
  }

  private async applyAndWait(
    run: Run<Spec, KustomizationStatus>,
    source: CachedSource,
    artifact: Artifact,
    applied: Applied,
  ): Promise<void> {
    const { durations, faults } = this.context
    const { revision } = artifact
    const failure = faults.takeFailure(run.key)
    const { statusGap, kustomization } = durations
    const total = kustomization * run.pace(kustomization)
    run.write((status) => {
      run.condition(status, 'Ready', 'Unknown', 'Progressing', 'Reconciliation in progress')
      phase(run, status, `Fetching manifests for revision ${revision}`)
    })
    await run.spend(total / 4)
    const tree = this.fetch(run, source, artifact)
    run.write((status) => phase(run, status, `Building manifests for revision ${revision}`))
    await run.spend(Math.min(statusGap, total / 4))
    run.write((status) => {
      status.lastAttemptedRevision = revision
    })
    await run.hold()
    await run.spend((total * 3) / 4 - 2 * statusGap)
    if (failure && failure.reason !== 'HealthCheckFailed') {
      throw new RunFailed(failure.reason ?? 'ReconciliationFailed', failure.message ?? 'apply failed')
    }
    const objects = this.build(run, tree)
    this.apply(run, objects, applied)
    if (failure) throw new RunFailed('HealthCheckFailed', failure.message ?? 'health check failed after 30s')
    await this.waitForHealth(run, objects, revision, applied)
  }

  /** The artifact's files. A path that is not among them counts as a bad artifact: nothing has been attempted. */
  private fetch(run: Run<Spec, KustomizationStatus>, source: CachedSource, artifact: Artifact): Tree {
    const tree = this.sources.content(source, artifact)
    if (!tree) throw new RunFailed('ArtifactFailed', `artifact of revision ${artifact.revision} has no content`)
    if (hasPath(tree, run.spec.path)) return tree
    throw new RunFailed(
      'ArtifactFailed',
      `kustomization path not found: stat ${run.spec.path}: no such file or directory`,
    )
  }

  private build(run: Run<Spec, KustomizationStatus>, tree: Tree): readonly KubernetesObject[] {
    const { objects, problems }: Selection = selectObjects(tree, run.spec.path)
    if (problems.length > 0) throw new RunFailed('BuildFailed', `kustomize build failed: ${problems.join('; ')}`)
    return objects.map((object) => owned(object, run.namespace, run.name))
  }

  private apply(run: Run<Spec, KustomizationStatus>, objects: readonly KubernetesObject[], applied: Applied): void {
    const before = run.status.inventory?.entries ?? []
    for (const object of objects) this.applyOne(object)
    const entries = objects.map(inventoryEntry)
    if (run.spec.prune) {
      const kept = new Set(entries.map((entry) => entry.id))
      this.prune(before.filter((entry) => !kept.has(entry.id)))
    }
    applied.inventory = entries
  }

  /** A kind that nothing here serves (a Deployment, say) is only remembered in the inventory. */
  private applyOne(object: KubernetesObject): void {
    const { store } = this.context
    const resource = resourceOf(object.apiVersion, object.kind)
    if (!isServed(store, resource)) {
      if (!simulatedKind(object.apiVersion, object.kind)) return
      throw new RunFailed(
        'ReconciliationFailed',
        `${object.kind}/${object.metadata.namespace}/${object.metadata.name} dry-run failed: no matches for kind "${object.kind}" in version "${object.apiVersion}"`,
      )
    }
    const current = store.get(resource, object.metadata.namespace ?? '', object.metadata.name)
    if ([object, current].some((one) => one?.metadata.annotations?.[reconcileAnnotation] === 'disabled')) return
    store.apply(resource, { ...object, apiVersion: apiVersionOf(resource) }, manager, { takeOverFrom: handManagers })
  }

  private prune(entries: readonly InventoryEntry[]): void {
    const { store } = this.context
    for (const { id, v } of entries) {
      const [namespace = '', name = '', group = '', kind = ''] = id.split('_')
      const resource = resourceOf(group ? `${group}/${v}` : v, kind)
      if (!isServed(store, resource)) continue
      const object = store.get(resource, namespace, name)
      if (object?.metadata.annotations?.[pruneAnnotation] === 'disabled') continue
      store.delete(resource, namespace, name)
    }
  }

  private async waitForHealth(
    run: Run<Spec, KustomizationStatus>,
    objects: readonly KubernetesObject[],
    revision: string,
    applied: Applied,
  ): Promise<void> {
    const targets = healthTargets(run, objects)
    if (targets.length === 0) return
    const { clock, durations } = this.context
    const began = clock.now()
    const timeout = healthTimeout(run.spec)
    run.write((status) => {
      const message = phase(run, status, `Running health checks for revision ${revision}`)
      run.condition(status, 'Healthy', 'Unknown', 'Progressing', message)
    })
    await run.spend(Math.min(durations.statusGap, timeout))
    run.write((status) => recordInventory(status, applied))
    // All of them at the same moment: what was healthy at the last look may be at work again.
    for (;;) {
      const health = new Map(targets.map((candidate) => [candidate, healthOf(this.context.store, candidate)]))
      const waiting = targets.filter((candidate) => health.get(candidate) !== 'Current')
      const took = goDuration(clock.now() - began)
      if (waiting.length === 0) {
        run.write((status) => run.condition(status, 'Healthy', 'True', 'Succeeded', `Health check passed in ${took}`))
        return
      }
      const failed = waiting.filter((candidate) => health.get(candidate) === 'Failed')
      if (failed.length > 0) throw unhealthy(took, `failed early due to stalled resources: ${named(failed, health)}`)
      const left = timeout - (clock.now() - began)
      if (left <= 0) throw unhealthy(took, `timeout waiting for: ${named(waiting, health)}`)
      await run.spend(Math.min(durations.healthPoll, left))
    }
  }

  /** Reconciling still says what it was at when it failed. */
  private async failed(run: Run<Spec, KustomizationStatus>, failure: RunFailed, applied: Applied): Promise<void> {
    const { reason, message, unhealthy: why = message } = failure
    await run.finish(
      'failed',
      (status) => {
        const at = conditionOf(status, 'Reconciling')?.message ?? message
        run.condition(status, 'Reconciling', 'True', 'ProgressingWithRetry', at)
        run.condition(status, 'Ready', 'False', reason, message)
        if (reason === 'HealthCheckFailed') run.condition(status, 'Healthy', 'False', reason, why)
      },
      (status) => recordInventory(status, applied),
    )
  }

  private addFinalizer(run: Run<Spec, KustomizationStatus>): void {
    if (run.object.metadata.finalizers?.includes(finalizer)) return
    this.context.store.update(
      simulatedKinds.Kustomization,
      run.namespace,
      run.name,
      ({ metadata }) => {
        metadata.finalizers = [...(metadata.finalizers ?? []), finalizer]
      },
      { manager },
    )
  }

  /** Deletes what it applied (unless suspended or without prune), then lets the object go. */
  private async finalize(run: Run<Spec, KustomizationStatus>): Promise<Again> {
    if (run.spec.prune && !run.spec.suspend) this.prune(run.status.inventory?.entries ?? [])
    this.context.store.update(
      simulatedKinds.Kustomization,
      run.namespace,
      run.name,
      ({ metadata }) => {
        metadata.finalizers = (metadata.finalizers ?? []).filter((one) => one !== finalizer)
      },
      { manager },
    )
    return undefined
  }
}

/** observedGeneration moves only here: a failed run leaves it. */
function settled(run: Run<Spec, KustomizationStatus>, status: KustomizationStatus, artifact: Artifact): void {
  const origin = artifact.metadata['org.opencontainers.image.revision']
  status.lastAppliedRevision = artifact.revision
  status.observedGeneration = run.generation
  if (origin) status.lastAppliedOriginRevision = origin
}

function readyConditions(run: Run<Spec, KustomizationStatus>, status: Status, revision: string): void {
  const checked = run.spec.wait || run.spec.healthChecks.length > 0
  removeConditions(status, 'Reconciling', 'Stalled', ...(checked ? [] : ['Healthy']))
  run.condition(status, 'Ready', 'True', 'ReconciliationSucceeded', `Applied revision: ${revision}`)
  if (checked && conditionOf(status, 'Healthy')?.status !== 'True') {
    run.condition(status, 'Healthy', 'True', 'Succeeded', 'Health check passed in 0s')
  }
}

/** Says in the condition Reconciling what a run is at; answers the whole message. Ready stays as it is. */
function phase(run: Run<Spec, KustomizationStatus>, status: Status, what: string): string {
  const message = `${what} with a timeout of ${goDuration(healthTimeout(run.spec))}`
  run.condition(status, 'Reconciling', 'True', 'Progressing', message)
  removeConditions(status, 'Stalled')
  return message
}

function recordInventory(status: KustomizationStatus, { inventory }: Applied): void {
  if (inventory) status.inventory = { entries: inventory }
}

/** Itself it does not wait for. */
function healthTargets(
  { spec, namespace, name }: Run<Spec, KustomizationStatus>,
  objects: readonly KubernetesObject[],
): HealthTarget[] {
  const targets = spec.wait
    ? objects.map(target)
    : spec.healthChecks.map((check) => ({ ...check, namespace: check.namespace ?? namespace }))
  return targets.filter((one) => one.kind !== 'Kustomization' || one.namespace !== namespace || one.name !== name)
}

/** An object as a Kustomization applies it: with its labels, and in a namespace if its kind has one. */
function owned(object: KubernetesObject, namespace: string, name: string): KubernetesObject {
  const labels = { ...object.metadata.labels, [ownerLabels.name]: name, [ownerLabels.namespace]: namespace }
  const isNamespaced = simulatedKind(object.apiVersion, object.kind) !== undefined
  const inNamespace = object.metadata.namespace ?? (isNamespaced ? 'default' : undefined)
  return {
    ...object,
    metadata: { ...object.metadata, ...(inNamespace !== undefined && { namespace: inNamespace }), labels },
  }
}

function inventoryEntry({ apiVersion, kind, metadata }: KubernetesObject): InventoryEntry {
  return {
    id: `${metadata.namespace ?? ''}_${metadata.name}_${groupOf(apiVersion)}_${kind}`,
    v: apiVersion.split('/').at(-1) ?? '',
  }
}

function apiVersionOf({ group, version }: { group: string; version: string }): string {
  return group ? `${group}/${version}` : version
}

function target({ apiVersion, kind, metadata }: KubernetesObject): HealthTarget {
  return { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name }
}

function named(targets: readonly HealthTarget[], health: ReadonlyMap<HealthTarget, Health>): string {
  const names = targets.map((one) => `${one.kind}/${one.namespace}/${one.name} status: '${health.get(one)}'`)
  return `[${names.join(', ')}]`
}

function retryInterval(spec: Spec): number {
  return spec.retryInterval ?? spec.interval
}

/** spec.timeout, else the interval less 30 s; never under 30 s. */
function healthTimeout(spec: Spec): number {
  return spec.timeout ?? Math.max(spec.interval - 30_000, 30_000)
}
