import * as z from 'zod'
import type { KubernetesObject } from '../kubernetes/object-store.ts'
import { conditionOf, isTrue, removeConditions, type Status, timestamp } from './conditions.ts'
import { durationMs } from './durations.ts'
import type { Failure } from './faults.ts'
import type { GitServer } from './git-server.ts'
import { isServed, podResource, simulatedKinds } from './kinds.ts'
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

const manager = 'tf-controller'

const specSchema = z.looseObject({
  interval: durationMs,
  retryInterval: durationMs.default(15_000),
  suspend: z.boolean().default(false),
  approvePlan: z.string().default(''),
  planOnly: z.boolean().default(false),
  force: z.boolean().default(false),
  disableDriftDetection: z.boolean().default(false),
  alwaysCleanupRunnerPod: z.boolean().default(true),
  writeOutputsToSecret: z.looseObject({ name: z.string() }).optional(),
  /** `remediation: {}` is 0 retries; without remediation, or below 0, there is no limit. */
  remediation: z.looseObject({ retries: z.number().int().default(0) }).optional(),
  sourceRef: sourceRefSchema,
  dependsOn: dependsOnSchema,
})

type Spec = z.infer<typeof specSchema>

export interface TerraformStatus extends Status {
  lastAppliedRevision?: string
  lastAttemptedRevision?: string
  lastPlannedRevision?: string
  lastPlannedGeneration?: number
  lastPlanAt?: string
  lastSuccessfulReconcileAt?: string
  lastDriftDetectedAt?: string
  lastAppliedByDriftDetectionAt?: string
  plan?: { lastApplied?: string; pending?: string; isDriftDetectionPlan?: boolean }
  lock?: { lastApplied?: string; pending?: string }
  reconciliationFailures?: number
}

type TerraformRun = Run<Spec, TerraformStatus>

/** Whether a plan of the object at `revision` has changes, given what was applied last (undefined: nothing yet). */
export type PlanChanges = (key: string, revision: string, applied: string | undefined) => boolean

/** A phase of a run failed. */
class PhaseFailed extends Error {
  readonly reason: string

  constructor(reason: string, message: string) {
    super(message)
    this.reason = reason
  }
}

const phaseOf: Record<string, Phase> = {
  TFExecInitFailed: 'init',
  TFExecPlanFailed: 'plan',
  DriftDetectionFailed: 'plan',
  TFExecApplyFailed: 'apply',
}

type Phase = 'init' | 'plan' | 'apply'

/**
 * Simulates tofu-controller v0.16.5. Left out: state locks, destroy, the deletion of what a deleted object manages,
 * health checks, outputs and workspaces.
 */
export class TofuController {
  private readonly context: ControllerContext
  private readonly sources: SourceCache
  private readonly loop: ReconcileLoop<Spec, TerraformStatus>
  private readonly planChanges: PlanChanges
  /** Key -> the revision that is in the object's state: outside of the controller, so it survives a stop. */
  private readonly applied = new Map<string, string>()

  constructor(
    context: ControllerContext,
    git: GitServer,
    registry: OciRegistry,
    planChanges: PlanChanges = () => true,
  ) {
    this.context = context
    this.planChanges = planChanges
    this.sources = new SourceCache(context.store, git, registry, [
      simulatedKinds.GitRepository,
      simulatedKinds.OCIRepository,
    ])
    this.loop = new ReconcileLoop(context, {
      resource: simulatedKinds.Terraform,
      spec: specSchema,
      manager,
      concurrency: 24,
      reconcile: (run) => this.reconcile(run),
      references: (spec, namespace) => [sourceKey(spec.sourceRef, namespace)],
    })
  }

  start(settled?: ReadonlySet<string>): void {
    this.sources.start((key, artifact) => this.onArtifact(key, artifact))
    this.loop.start(settled)
  }

  /** As a SIGKILL: runs end where they are, and runner pods stay. */
  stop(): void {
    this.sources.stop()
    this.loop.stop()
  }

  /** Somebody changed the infrastructure by hand: the next drift detection or plan of the object finds changes. */
  drift(key: string): void {
    this.applied.delete(key)
  }

  /** Puts a Terraform in the state of having applied what its source serves. */
  settle(object: KubernetesObject): boolean {
    const run = this.loop.runOf(object)
    if (!run) return false
    const revision = this.sources.read(sourceKey(run.spec.sourceRef, run.namespace))?.artifact?.revision
    if (revision === undefined || run.spec.suspend) return false
    this.applied.set(run.key, revision)
    run.write((status) => {
      const driftOnly = run.spec.approvePlan === 'disable'
      const [reason, message] = driftOnly ? ['NoDrift', `No drift: ${revision}`] : appliedReason(run.spec, revision)
      status.lastAttemptedRevision = revision
      status.plan = { lastApplied: driftOnly ? '' : planId(revision), pending: '' }
      if (!driftOnly) {
        status.lastAppliedRevision = revision
        status.lastPlannedRevision = revision
        status.lastPlanAt = timestamp(this.context.clock)
      }
      this.succeed(run, status, reason, message)
    })
    return true
  }

  private onArtifact(source: string, artifact: Artifact): void {
    for (const key of this.loop.referring(source)) {
      const status: TerraformStatus | undefined = this.loop.object(key)?.status
      if (status?.lastAttemptedRevision !== artifact.revision) this.loop.enqueue(key, 'artifact')
    }
  }

  private async reconcile(run: TerraformRun): Promise<Again> {
    if (run.deleting) return undefined
    if (run.spec.suspend) {
      run.write((status) => recordSuspended(run, status))
      return undefined
    }
    const retry: Again = { after: run.spec.retryInterval, trigger: 'retry' }
    const key = sourceKey(run.spec.sourceRef, run.namespace)
    const source = this.sources.get(key)
    const artifact = source && this.artifactFor(run, source)
    if (!artifact) {
      const message = source ? 'Source is not ready, artifact not found' : `Source '${key}' not found`
      this.notReady(run, '', 'ArtifactFailed', message)
      return retry
    }
    const { revision } = artifact
    const unmet = this.unmetDependency(run, revision)
    if (unmet) {
      run.begin(revision)
      run.end('dependency-not-ready')
      this.notReady(run, revision, 'DependencyNotReady', unmet)
      return { after: run.spec.retryInterval, trigger: 'dependency' }
    }
    return this.runIfDue(run, revision)
  }

  private artifactFor(run: TerraformRun, source: CachedSource): Artifact | undefined {
    const lagging = run.trigger !== 'artifact' && source.previous && this.context.faults.takeStale(run.key)
    return lagging ? source.previous : source.artifact
  }

  /** A revision counts only where both use literally the same sourceRef; across sources a stale Ready passes. */
  private unmetDependency(run: TerraformRun, revision: string): string | undefined {
    for (const { name, namespace = run.namespace } of run.spec.dependsOn) {
      const dependency = this.loop.object(`Terraform/${namespace}/${name}`)
      if (!dependency) return `unable to get '${namespace}/${name}' dependency`
      const status: TerraformStatus = dependency.status ?? {}
      if (status.observedGeneration !== dependency.metadata.generation || !isTrue(status, 'Ready')) {
        return `dependency '${namespace}/${name}' is not ready`
      }
      const other = specSchema.safeParse(dependency.spec).data?.sourceRef
      const updated = [status.lastAppliedRevision, status.lastPlannedRevision].includes(revision)
      if (other && sameRef(other, run.spec.sourceRef) && !updated) {
        return `dependency '${namespace}/${name}' is not updated yet`
      }
    }
    return undefined
  }

  private async runIfDue(run: TerraformRun, revision: string): Promise<Again> {
    const elapsed = this.context.clock.now() - Date.parse(run.status.lastSuccessfulReconcileAt ?? '')
    if (isSettled(run, revision) && elapsed < run.spec.interval) {
      // "Skipping reconciliation: interval has not elapsed": this is why a restart reconciles nothing.
      run.write((status) => run.handled(status))
      return { after: run.spec.interval - elapsed, trigger: 'interval' }
    }
    if (isRenewed(run, revision)) forgetAttempts(run)
    if (retriesSpent(run.spec, run.status)) {
      run.write((status) => this.stall(run, status))
      return undefined
    }
    if (run.status.plan?.pending && !mayApply(run.spec, run.status.plan.pending)) {
      // No fresh plan is made, whatever the token says.
      run.write((status) => run.handled(status))
      return undefined
    }
    run.begin(revision)
    if (this.context.faults.takeLostRunner(run.key)) return this.loseRunner(run)
    return this.runOnRunner(run, revision)
  }

  /** The runner got no address: nothing is counted, nobody is told, and the Pending pod stays. */
  private async loseRunner(run: TerraformRun): Promise<Again> {
    run.write((status) => run.progressing(status, 'Reconciliation in progress'))
    this.createRunner(run, 'Pending')
    await run.spend(this.context.durations.runnerCreationTimeout)
    run.end('lost')
    run.write((status) => run.handled(status))
    return { after: run.spec.interval, trigger: 'interval' }
  }

  private async runOnRunner(run: TerraformRun, revision: string): Promise<Again> {
    const message = 'Reconciliation in progress'
    run.write((status) => run.condition(status, 'Reconciling', 'True', 'Progressing', message))
    await run.spend(this.context.durations.statusGap)
    run.write((status) => run.progressing(status, message))
    const again = await this.runPhases(run, revision)
    // Reconcile returns, and writes the token, only when the runner pod is gone.
    if (run.spec.alwaysCleanupRunnerPod) {
      await run.spend(this.context.durations.runnerCleanup)
      this.deleteRunner(run)
    }
    run.write((status) => run.handled(status))
    return again
  }

  private async runPhases(run: TerraformRun, revision: string): Promise<Again> {
    const phases = new Phases(run, this.context, this.applies(run, revision))
    try {
      await phases.startRunner()
      this.createRunner(run, 'Running')
      await phases.init()
      const waits = await this.planAndApply(run, revision, phases)
      return waits ? undefined : { after: run.spec.interval, trigger: 'interval' }
    } catch (error) {
      if (!(error instanceof PhaseFailed)) throw error
      run.end('failed')
      run.write((status) => this.fail(run, status, revision, error))
      return { after: run.spec.retryInterval, trigger: 'retry' }
    }
  }

  private applies(run: TerraformRun, revision: string): boolean {
    return mayApply(run.spec, planId(revision)) && this.hasChanges(run, revision)
  }

  /** Answers true when a plan waits for a person. */
  private async planAndApply(run: TerraformRun, revision: string, phases: Phases): Promise<boolean> {
    const { pending } = run.status.plan ?? {}
    // A plan that was stored before a restart is applied first, without a fresh plan.
    if (pending && isAutomatic(run.spec)) {
      await this.apply(run, revision, phases)
      return false
    }
    const drifts = run.spec.approvePlan === 'disable' || isPlanned(run, revision)
    if (drifts) {
      const drifted = await this.detectDrift(run, revision, phases)
      if (!drifted) return false
    }
    const changes = await this.plan(run, revision, phases, drifts)
    if (!changes) return false
    if (run.spec.planOnly && !run.spec.force) return true
    // Before a manual apply there is another plan, and only its id is compared with the approved one.
    if (!mayApply(run.spec, planId(revision))) return true
    await this.apply(run, revision, phases)
    return false
  }

  /** Answers true when there is drift that may be applied; drift that may not is a failure that is not counted. */
  private async detectDrift(run: TerraformRun, revision: string, phases: Phases): Promise<boolean> {
    await withStateLock(() => phases.plan('DriftDetectionFailed'))
    if (!this.hasChanges(run, revision)) {
      run.write((status) => {
        status.lastAttemptedRevision = revision
        this.succeed(run, status, 'NoDrift', `No drift: ${revision}`)
      })
      return false
    }
    run.write((status) => {
      status.lastDriftDetectedAt = timestamp(this.context.clock)
    })
    if (!isAutomatic(run.spec)) throw new PhaseFailed('DriftDetected', 'Plan: 0 to add, 1 to change, 0 to destroy.')
    return true
  }

  /** Answers whether the plan has changes. */
  private async plan(run: TerraformRun, revision: string, phases: Phases, forDrift: boolean): Promise<boolean> {
    await withStateLock(() => phases.plan('TFExecPlanFailed'))
    const changes = this.hasChanges(run, revision)
    run.write((status) => {
      status.lastAttemptedRevision = revision
      status.lastPlannedRevision = revision
      status.lastPlannedGeneration = run.generation
      status.lastPlanAt = timestamp(this.context.clock)
      status.plan = {
        lastApplied: status.plan?.lastApplied ?? '',
        pending: changes ? planId(revision) : '',
        ...(forDrift && { isDriftDetectionPlan: true }),
      }
      if (changes) this.planned(run, status, revision)
      else {
        run.condition(status, 'Plan', 'False', 'TerraformPlannedNoChanges', 'Plan no changes')
        this.succeed(run, status, 'TerraformPlannedNoChanges', `Plan no changes: ${revision}`)
      }
    })
    return changes
  }

  private planned(run: TerraformRun, status: TerraformStatus, revision: string): void {
    const reason = 'TerraformPlannedWithChanges'
    run.condition(status, 'Plan', 'True', reason, 'Plan generated')
    run.condition(status, 'Ready', 'Unknown', reason, plannedMessage(run.spec, revision))
    status.observedGeneration = run.generation
    if (mayApply(run.spec, planId(revision))) return
    run.end('waiting-for-approval')
    removeConditions(status, 'Reconciling')
  }

  private async apply(run: TerraformRun, revision: string, phases: Phases): Promise<void> {
    await withStateLock(() => phases.apply())
    this.applied.set(run.key, revision)
    // First the revision, then Ready=True.
    run.write((status) => {
      const { pending = '', isDriftDetectionPlan: byDriftDetection } = status.plan ?? {}
      run.condition(status, 'Apply', 'True', 'TerraformAppliedSucceed', 'Applied successfully')
      status.plan = { lastApplied: pending, pending: '' }
      status.lastAppliedRevision = revision
      status.lastAttemptedRevision = revision
      if (byDriftDetection) status.lastAppliedByDriftDetectionAt = timestamp(this.context.clock)
    })
    await phases.applied()
    const [reason, message] = appliedReason(run.spec, revision)
    run.write((status) => this.succeed(run, status, reason, message))
  }

  private hasChanges(run: TerraformRun, revision: string): boolean {
    const applied = this.applied.get(run.key)
    return applied !== revision && this.planChanges(run.key, revision, applied)
  }

  private succeed(run: TerraformRun, status: TerraformStatus, reason: string, message: string): void {
    run.end('succeeded')
    removeConditions(status, 'Reconciling', 'Stalled', 'StateLocked')
    run.condition(status, 'Ready', 'True', reason, message)
    status.observedGeneration = run.generation
    status.lastSuccessfulReconcileAt = timestamp(this.context.clock)
    delete status.reconciliationFailures
    delete status.lock
  }

  private fail(run: TerraformRun, status: TerraformStatus, revision: string, { reason, message }: PhaseFailed): void {
    removeConditions(status, 'Reconciling')
    if (reason === 'TFExecApplyFailed') {
      run.condition(status, 'Apply', 'False', 'TerraformAppliedFail', message)
      status.plan = { lastApplied: status.plan?.lastApplied ?? '', pending: '' }
    }
    run.condition(status, 'Ready', 'False', reason, message)
    status.observedGeneration = run.generation
    status.lastAttemptedRevision = revision
    if (reason === 'DriftDetected') return
    status.reconciliationFailures = (status.reconciliationFailures ?? 0) + 1
    if (retriesSpent(run.spec, status)) this.stall(run, status)
  }

  private stall(run: TerraformRun, status: TerraformStatus): void {
    run.handled(status)
    removeConditions(status, 'Reconciling')
    run.condition(
      status,
      'Stalled',
      'True',
      'RetryLimitReached',
      `Resource reached maximum number of retries (${run.spec.remediation?.retries})`,
    )
  }

  /** What it sets even though nothing ran: observedGeneration, and lastAttemptedRevision ("" without an artifact). */
  private notReady(run: TerraformRun, revision: string, reason: string, message: string): void {
    run.write((status) => {
      run.condition(status, 'Ready', 'False', reason, message)
      status.observedGeneration = run.generation
      status.lastAttemptedRevision = revision
      run.handled(status)
    })
  }

  private createRunner(run: TerraformRun, phase: 'Pending' | 'Running'): void {
    const { store, clock } = this.context
    if (!isServed(store, podResource)) return
    this.deleteRunner(run)
    store.create(podResource, runnerPod(run), manager)
    if (phase === 'Pending') return
    store.update(
      podResource,
      run.namespace,
      runnerName(run),
      (pod) => {
        pod.status = runningStatus(timestamp(clock))
      },
      {
        manager: 'kubelet',
        subresource: 'status',
      },
    )
  }

  private deleteRunner(run: TerraformRun): void {
    const { store } = this.context
    if (isServed(store, podResource)) store.delete(podResource, run.namespace, runnerName(run))
  }
}

/** The phases of one run: what they show in status, how long they take, and how they fail. */
class Phases {
  private readonly run: TerraformRun
  private readonly context: ControllerContext
  /** Scales the usual phases to the total time that the object's annotation asks for. */
  private readonly pace: number
  private readonly applies: boolean
  private readonly failure: Failure | undefined

  constructor(run: TerraformRun, context: ControllerContext, applies: boolean) {
    const { statusGap, runnerStart, tofuInit, tofuPlan, tofuApply, appliedToReady } = context.durations
    this.run = run
    this.context = context
    this.applies = applies
    this.pace = run.pace(statusGap + runnerStart + tofuInit + tofuPlan + (applies ? tofuApply + appliedToReady : 0))
    this.failure = context.faults.takeFailure(run.key)
  }

  async startRunner(): Promise<void> {
    await this.spend(this.context.durations.runnerStart)
  }

  async init(): Promise<void> {
    await this.phase('Initializing', this.context.durations.tofuInit)
    this.failIn('init', 'TFExecInitFailed')
  }

  async plan(reason: 'TFExecPlanFailed' | 'DriftDetectionFailed'): Promise<void> {
    await this.phase('Terraform Planning', this.context.durations.tofuPlan)
    if (!this.applies) await this.run.hold()
    this.failIn('plan', reason)
  }

  async apply(): Promise<void> {
    this.run.write((status) => {
      this.run.condition(status, 'Apply', 'Unknown', 'Progressing', 'Applying')
      this.run.progressing(status, 'Applying')
    })
    // The silent ghost hangs here: an apply has no deadline.
    await this.run.hold()
    await this.spend(this.context.durations.tofuApply)
    this.failIn('apply', 'TFExecApplyFailed')
  }

  async applied(): Promise<void> {
    await this.spend(this.context.durations.appliedToReady)
  }

  private async phase(message: string, ms: number): Promise<void> {
    this.run.write((status) => this.run.progressing(status, message))
    await this.spend(ms)
  }

  private async spend(ms: number): Promise<void> {
    await this.run.spend(ms * this.pace)
  }

  private failIn(phase: Phase, reason: string): void {
    if (!this.failure || (phaseOf[this.failure.reason ?? ''] ?? 'plan') !== phase) return
    // The same fault shows as DriftDetectionFailed where the plan was made for drift.
    const shown = phaseOf[this.failure.reason ?? ''] ? reason : (this.failure.reason ?? reason)
    throw new PhaseFailed(shown, this.failure.message ?? `error running ${phase}: exit status 1`)
  }
}

/** Where a run takes its state lock and releases it: around each plan, drift detection and apply. */
async function withStateLock(work: () => Promise<void>): Promise<void> {
  await work()
}

/** A suspended object that is Ready gets its observedGeneration bumped though nothing ran. */
function recordSuspended(run: TerraformRun, status: TerraformStatus): void {
  run.handled(status)
  if (isTrue(status, 'Ready')) status.observedGeneration = run.generation
}

/** Nothing asks for a run: no new revision, generation or token, no failure, no plan that waits to be applied. */
function isSettled(run: TerraformRun, revision: string): boolean {
  const { status } = run
  const reason = conditionOf(status, 'Ready')?.reason
  return (
    status.lastAttemptedRevision === revision &&
    status.observedGeneration === run.generation &&
    (run.token === undefined || status.lastHandledReconcileAt === run.token) &&
    !status.reconciliationFailures &&
    !status.plan?.pending &&
    !['DependencyNotReady', 'ArtifactFailed', 'DriftDetected'].includes(reason ?? '')
  )
}

function isRenewed(run: TerraformRun, revision: string): boolean {
  const { lastAttemptedRevision, observedGeneration, lastPlannedGeneration, plan } = run.status
  // DependencyNotReady moves lastAttemptedRevision without a plan, so the plan's own id is asked as well.
  if (lastAttemptedRevision !== revision || (plan?.pending && plan.pending !== planId(revision))) return true
  return observedGeneration !== run.generation && lastPlannedGeneration !== run.generation
}

/** A new revision or spec: failures count from zero, and a pending plan that is not approved by it is dropped. */
function forgetAttempts(run: TerraformRun): void {
  run.write((status) => {
    delete status.reconciliationFailures
    removeConditions(status, 'Stalled')
    if (!status.plan?.pending || run.spec.approvePlan === status.plan.pending) return
    status.plan = { lastApplied: status.plan.lastApplied ?? '', pending: '' }
  })
}

/** Planned at this revision, with nothing left to apply: the next run looks for drift. */
function isPlanned({ spec, status }: TerraformRun, revision: string): boolean {
  if (spec.disableDriftDetection || status.plan?.pending) return false
  return status.lastAttemptedRevision === revision && status.lastPlannedRevision === revision
}

function isAutomatic(spec: Spec): boolean {
  return spec.force || (spec.approvePlan === 'auto' && !spec.planOnly)
}

function mayApply(spec: Spec, plan: string): boolean {
  return isAutomatic(spec) || (spec.approvePlan === plan && !spec.planOnly)
}

function retriesSpent(spec: Spec, status: TerraformStatus): boolean {
  const retries = spec.remediation?.retries ?? -1
  return retries >= 0 && (status.reconciliationFailures ?? 0) > retries
}

/** From the revision alone, so an approval says nothing about the plan's content: `plan-main-c1139c7fe7`. */
function planId(revision: string): string {
  const [branch = '', sha = ''] = revision.split(/@[a-z0-9]+:/)
  return `plan-${branch}-${sha.slice(0, 10)}`
}

function plannedMessage(spec: Spec, revision: string): string {
  if (spec.planOnly && !spec.force) return 'Plan generated: This object is in the plan only mode.'
  if (isAutomatic(spec)) return 'Plan generated'
  return `Plan generated: set approvePlan: "${planId(revision)}" to approve this plan.`
}

function appliedReason(spec: Spec, revision: string): [reason: string, message: string] {
  if (spec.writeOutputsToSecret) return ['TerraformOutputsWritten', `Outputs written: ${revision}`]
  return ['TerraformAppliedSucceed', `Applied successfully: ${revision}`]
}

function sameRef(a: z.infer<typeof sourceRefSchema>, b: z.infer<typeof sourceRefSchema>): boolean {
  return a.kind === b.kind && a.name === b.name && a.namespace === b.namespace
}

function runnerName(run: TerraformRun): string {
  return `${run.name}-tf-runner`
}

/** The pod's name is used again by every run of the object; its uid is not. */
function runnerPod(run: TerraformRun): KubernetesObject {
  const { apiVersion, kind, metadata } = run.object
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: runnerName(run),
      namespace: run.namespace,
      labels: {
        'app.kubernetes.io/created-by': 'tofu-controller',
        'app.kubernetes.io/name': 'tf-runner',
        'infra.contrib.fluxcd.io/terraform': run.namespace,
      },
      ownerReferences: [
        { apiVersion, kind, name: run.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true },
      ],
    },
    spec: { containers: [{ name: 'tf-runner' }], terminationGracePeriodSeconds: 30 },
  }
}

function runningStatus(startedAt: string): object {
  return {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses: [{ name: 'tf-runner', ready: true, restartCount: 0, state: { running: { startedAt } } }],
  }
}
