import type { KubernetesObject } from '../../kubernetes/object-store.ts'
import { removeConditions, timestamp } from '../conditions.ts'
import type { GitServer } from '../git-server.ts'
import { simulatedKinds } from '../kinds.ts'
import type { OciRegistry } from '../oci-registry.ts'
import { type Again, type ControllerContext, ReconcileLoop } from '../reconcile-loop.ts'
import { type Artifact, type CachedSource, SourceCache, sourceKey } from '../source-cache.ts'
import { LocalRunner } from './local-runner.ts'
import { patchStatus } from './patch-status.ts'
import type { RunnerNetwork } from './runner.ts'
import { RunnerClient } from './runner-client.ts'
import { NoRunner, RunnerPods, type Runners } from './runner-pods.ts'
import {
  planId,
  retriesSpent,
  shouldApply,
  type TerraformRun,
  type TerraformSpec,
  type TerraformStatus,
  terraformSpecSchema,
  untilDue,
} from './terraform-object.ts'
import { PhaseFailed, Phases } from './terraform-phases.ts'
import {
  appliedReason,
  countFailure,
  recordFailure,
  recordNotReady,
  recordSuccess,
  recordSuspended,
  renew,
  stall,
} from './terraform-status.ts'
import { unmetDependency } from './unmet-dependency.ts'

const manager = 'tf-controller'

/** A week, in seconds: what the name of a process's TLS secret is made from. */
const certificateLife = 7 * 24 * 3_600

export interface TofuControllerOptions {
  readonly context: ControllerContext
  readonly git: GitServer
  readonly registry: OciRegistry
  /** How it reaches its runners. */
  readonly network: RunnerNetwork
  /** How many objects run at the same time. Default: 24, the chart's; 1 with a local runner. */
  readonly concurrency?: number
  /** Runs tofu in the controller's own process, where `localAddress` is, in place of runner pods. */
  readonly localRunner?: boolean
}

/**
 * One process of a simulated tofu-controller v0.16.5: started once, and then stopped or shut down. Runners are pods of
 * the cluster; who runs them, and what tofu is in them, it does not know. Left out: the deletion of what a
 * deleted object manages, events, health checks, the values of outputs, and `tfstate.lockTimeout`.
 */
export class TofuController {
  private readonly context: ControllerContext
  private readonly network: RunnerNetwork
  private readonly sources: SourceCache
  private readonly loop: ReconcileLoop<TerraformSpec, TerraformStatus>
  private readonly runners: Runners
  /** Runs that returned an error one after the other, by key: the work queue waits longer for each. */
  private readonly errors = new Map<string, number>()
  private active = 0
  private shuttingDown = false
  private idle = () => {}

  constructor({ context, git, registry, network, localRunner = false, concurrency }: TofuControllerOptions) {
    this.context = context
    this.network = network
    const { GitRepository, OCIRepository } = simulatedKinds
    this.sources = new SourceCache(context.store, git, registry, [GitRepository, OCIRepository])
    const expiry = Math.floor(context.clock.now() / 1_000) + certificateLife
    this.runners = localRunner ? new LocalRunner() : new RunnerPods(context, `terraform-runner.tls-${expiry}`)
    this.loop = new ReconcileLoop(context, {
      resource: simulatedKinds.Terraform,
      spec: terraformSpecSchema,
      manager,
      concurrency: concurrency ?? (localRunner ? 1 : 24),
      reconcile: (run) => this.reconcile(run),
      references: (spec, namespace) => [sourceKey(spec.sourceRef, namespace)],
    })
  }

  start(settled?: ReadonlySet<string>): void {
    this.sources.start((key, artifact) => this.onArtifact(key, artifact))
    this.loop.start(settled)
  }

  /** Runs end where they are, with nothing more written. What they asked of their runners is called off. */
  stop(): void {
    this.sources.stop()
    this.loop.stop()
  }

  /** SIGTERM: takes no new work, waits for what runs, for `timeoutMs` at most, and stops. */
  async shutDown(timeoutMs: number): Promise<void> {
    this.shuttingDown = true
    const waited = new Promise<void>((resolve) => {
      const cancel = this.context.clock.after(timeoutMs, resolve)
      this.idle = () => {
        cancel()
        resolve()
      }
      if (this.active === 0) this.idle()
    })
    await waited
    this.stop()
  }

  /** Writes the status of an object that has applied what its source serves. Answers that revision. */
  settle(object: KubernetesObject): string | undefined {
    const run = this.loop.runOf(object)
    if (!run) return undefined
    const revision = this.sources.read(sourceKey(run.spec.sourceRef, run.namespace))?.artifact?.revision
    if (revision === undefined || run.spec.suspend) return undefined
    run.write((status) => {
      const driftOnly = run.spec.approvePlan === 'disable'
      const [reason, message] = driftOnly ? ['NoDrift', `No drift: ${revision}`] : appliedReason(run.spec, revision)
      status.lastAttemptedRevision = revision
      status.observedGeneration = run.generation
      run.condition(status, 'Ready', 'True', reason, message)
      recordSuccess(status, this.context.clock)
      if (driftOnly) return
      run.condition(status, 'Apply', 'True', 'TerraformAppliedSucceed', 'Applied successfully')
      status.plan = { lastApplied: planId(revision) }
      status.lastAppliedRevision = revision
      status.lastPlannedRevision = revision
      status.lastPlannedGeneration = run.generation
      status.lastPlanAt = timestamp(this.context.clock)
    })
    return revision
  }

  private onArtifact(source: string, artifact: Artifact): void {
    for (const key of this.loop.referring(source)) {
      const status: TerraformStatus | undefined = this.loop.object(key)?.status
      if (status?.lastAttemptedRevision !== artifact.revision) this.loop.enqueue(key, 'artifact')
    }
  }

  private async reconcile(run: TerraformRun): Promise<Again> {
    if (this.shuttingDown || run.deleting) return undefined
    this.active++
    try {
      const again = await this.reconcileFromSource(run)
      this.errors.delete(run.key)
      return again
    } catch (error) {
      if (!(error instanceof NoRunner)) throw error
      run.end('lost')
      recordToken(run)
      return { after: this.errorBackoff(run.key), trigger: 'retry' }
    } finally {
      this.active--
      if (this.active === 0) this.idle()
    }
  }

  private async reconcileFromSource(run: TerraformRun): Promise<Again> {
    if (run.spec.suspend) {
      run.write((status) => recordSuspended(run, status))
      return undefined
    }
    const key = sourceKey(run.spec.sourceRef, run.namespace)
    const source = this.sources.get(key)
    const artifact = source && this.artifactFor(run, source)
    if (!artifact) {
      const message = source ? 'Source is not ready, artifact not found' : `Source '${key}' not found`
      await this.patch(run, (status) => recordNotReady(run, status, '', 'ArtifactFailed', message))
      return { after: run.spec.retryInterval, trigger: 'retry' }
    }
    const wait = untilDue(run, artifact.revision, this.context.clock.now())
    if (wait > 0) {
      recordToken(run)
      return { after: wait, trigger: 'interval' }
    }
    return this.reconcileAt(run, artifact)
  }

  private artifactFor(run: TerraformRun, source: CachedSource): Artifact | undefined {
    const lagging = run.trigger !== 'artifact' && source.previous && this.context.faults.takeStale(run.key)
    return lagging ? source.previous : source.artifact
  }

  private async reconcileAt(run: TerraformRun, artifact: Artifact): Promise<Again> {
    const { revision } = artifact
    const unmet = unmetDependency(run, revision, (key) => this.loop.object(key))
    if (unmet) {
      run.begin(revision)
      run.end('dependency-not-ready')
      await this.patch(run, (status) => recordNotReady(run, status, revision, 'DependencyNotReady', unmet))
      return { after: run.spec.retryInterval, trigger: 'dependency' }
    }
    const { lastAttemptedRevision, observedGeneration } = run.status
    if (lastAttemptedRevision !== revision || observedGeneration !== run.generation) {
      await this.patch(run, (status) => renew(run, status))
    }
    if (run.status.plan?.pending && !shouldApply(run.spec, run.status.plan.pending)) {
      // No fresh plan is made, whatever the token says.
      recordToken(run)
      return undefined
    }
    run.begin(revision)
    await this.begin(run)
    const again = await this.reconcileOnRunner(run, artifact)
    recordToken(run)
    return again
  }

  private async begin(run: TerraformRun): Promise<void> {
    const message = 'Reconciliation in progress'
    run.write((status) => run.condition(status, 'Reconciling', 'True', 'Progressing', message))
    await run.spend(this.context.durations.statusGap)
    // What an earlier run left as Unknown, such as "Applying", stays until the runner is there.
    run.write((status) => {
      const ready = status.conditions?.find(({ type }) => type === 'Ready')
      if (ready?.status !== 'Unknown') run.condition(status, 'Ready', 'Unknown', 'Progressing', message)
    })
  }

  /** Reconcile returns, and the token is written, only when the runner pod is gone. */
  private async reconcileOnRunner(run: TerraformRun, artifact: Artifact): Promise<Again> {
    const address = await this.runners.find(run, artifact.revision)
    const { clock } = this.context
    const runner = new RunnerClient(this.network.connect(address), clock, run.signal)
    const again = await this.reconcileWith(run, runner, artifact)
    runner.close()
    if (run.spec.alwaysCleanupRunnerPod) await this.runners.remove(run)
    return again
  }

  private async reconcileWith(run: TerraformRun, runner: RunnerClient, artifact: Artifact): Promise<Again> {
    const { clock, durations } = this.context
    const { revision } = artifact
    const patch = (change: (status: TerraformStatus) => void) => this.patch(run, change)
    const session = { run, runner, patch, revision, artifact: addressed(artifact), clock }
    const retry: Again = { after: run.spec.retryInterval, trigger: 'retry' }
    if (retriesSpent(run.spec, run.status)) {
      run.end('failed')
      await patch((status) => stall(run, status))
      return undefined
    }
    try {
      const outcome = await new Phases({ ...session, initTimeout: durations.runnerRpcTimeout }).go()
      await this.patch(run, (status) => recordSuccess(status, clock))
      return outcome === 'waits' ? undefined : { after: run.spec.interval, trigger: 'interval' }
    } catch (error) {
      if (!(error instanceof PhaseFailed)) throw error
      run.end('failed')
      await this.patch(run, (status) => {
        if (error.shown) recordFailure(run, status, revision, error.shown)
        removeConditions(status, 'Reconciling')
        countFailure(status)
      })
      return retry
    }
  }

  private patch(run: TerraformRun, change: (status: TerraformStatus) => void): Promise<void> {
    return patchStatus(run, this.context.durations.statusGap, change)
  }

  private errorBackoff(key: string): number {
    const before = this.errors.get(key) ?? 0
    this.errors.set(key, before + 1)
    return Math.min(5 * 2 ** before, 1_000_000)
  }
}

function recordToken(run: TerraformRun): void {
  if (run.token === undefined || run.status.lastHandledReconcileAt === run.token) return
  run.write((status) => run.handled(status))
}

function addressed(artifact: Artifact): { url: string; digest: string } {
  return { url: typeof artifact.url === 'string' ? artifact.url : '', digest: artifact.digest }
}
