import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { KubernetesObject } from '../kubernetes/object-store.ts'
import { type Condition, conditionOf, isTrue, removeConditions, type Status, timestamp } from './conditions.ts'
import { durationMs } from './durations.ts'
import type { Failure } from './faults.ts'
import type { GitServer } from './git-server.ts'
import { simulatedKinds } from './kinds.ts'
import type { OciRegistry } from './oci-registry.ts'
import { type Again, type ControllerContext, ReconcileLoop, type Run } from './reconcile-loop.ts'
import { dependsOnSchema, SourceCache, sourceKey, sourceRefSchema } from './source-cache.ts'

const manager = 'helm-controller'
/** Snapshots kept in status.history after a success: the release, and the one before it. */
const historyLimit = 2

const remediationSchema = z.looseObject({
  remediation: z.looseObject({ retries: z.number().int().default(0) }).default({ retries: 0 }),
})

const specSchema = z.looseObject({
  interval: durationMs,
  suspend: z.boolean().default(false),
  chart: z
    .looseObject({
      spec: z.looseObject({
        chart: z.string(),
        version: z.string().optional(),
        interval: z.string().optional(),
        reconcileStrategy: z.enum(['ChartVersion', 'Revision']).optional(),
        sourceRef: sourceRefSchema,
      }),
    })
    .optional(),
  chartRef: sourceRefSchema.optional(),
  dependsOn: dependsOnSchema,
  releaseName: z.string().optional(),
  targetNamespace: z.string().optional(),
  values: z.record(z.string(), z.unknown()).default({}),
  install: remediationSchema.prefault({}),
  upgrade: remediationSchema.prefault({}),
})

type Spec = z.infer<typeof specSchema>

interface Snapshot {
  readonly name: string
  readonly namespace: string
  readonly version: number
  readonly status: 'deployed' | 'superseded' | 'failed'
  readonly chartName: string
  readonly chartVersion: string
  readonly configDigest: string
  readonly firstDeployed: string
  readonly lastDeployed: string
}

export interface HelmReleaseStatus extends Status {
  helmChart?: string
  lastAttemptedRevision?: string
  lastAttemptedGeneration?: number
  lastAttemptedConfigDigest?: string
  lastAttemptedReleaseAction?: 'install' | 'upgrade'
  lastHandledForceAt?: string
  lastHandledResetAt?: string
  history?: Snapshot[]
  failures?: number
  installFailures?: number
  upgradeFailures?: number
}

/** What a release is to be: a change of any of these makes an action. */
interface Wanted {
  readonly chartName: string
  readonly chartVersion: string
  readonly configDigest: string
}

interface NotReady {
  readonly notReady: string
}

type Action = 'install' | 'upgrade'

const chartArtifactSchema = z.looseObject({
  revision: z.string(),
  metadata: z.record(z.string(), z.string()).default({}),
})

/**
 * Simulates Flux's helm-controller. Left out: what a chart renders, valuesFrom, tests, drift detection, rollback and
 * uninstall (a failed action is tried again as it is), and the uninstall of a deleted release.
 */
export class HelmController {
  private readonly context: ControllerContext
  private readonly charts: SourceCache
  private readonly loop: ReconcileLoop<Spec, HelmReleaseStatus>

  constructor(context: ControllerContext, git: GitServer, registry: OciRegistry) {
    this.context = context
    this.charts = new SourceCache(context.store, git, registry, [
      simulatedKinds.HelmChart,
      simulatedKinds.OCIRepository,
    ])
    this.loop = new ReconcileLoop(context, {
      resource: simulatedKinds.HelmRelease,
      spec: specSchema,
      manager,
      concurrency: 10,
      reconcile: (run) => this.reconcile(run),
      references: (spec, namespace, name) => [chartKey(spec, namespace, name)],
    })
  }

  start(settled?: ReadonlySet<string>): void {
    this.charts.start((key) => {
      for (const release of this.loop.referring(key)) this.loop.enqueue(release, 'artifact')
    })
    this.loop.start(settled)
  }

  stop(): void {
    this.charts.stop()
    this.loop.stop()
  }

  /** Puts a HelmRelease in the state of being deployed; `settleChart` gets its HelmChart first. */
  settle(object: KubernetesObject, settleChart: (chart: KubernetesObject) => boolean): boolean {
    const run = this.loop.runOf(object)
    if (!run || run.spec.suspend) return false
    const chart = this.applyChart(run)
    if (chart && !settleChart(chart)) return false
    const wanted = this.wanted(run)
    if ('notReady' in wanted) return false
    run.write((status) => {
      attempted(run, status, wanted)
      this.deployed(run, status, wanted, 'install')
      releasedConditions(run, status, 'InstallSucceeded', released(run, 1, wanted))
      status.observedGeneration = run.generation
    })
    return true
  }

  private async reconcile(run: Run<Spec, HelmReleaseStatus>): Promise<Again> {
    if (run.deleting) return undefined
    if (run.spec.suspend) {
      run.write((status) => {
        status.observedGeneration = run.generation
        run.handled(status)
      })
      return undefined
    }
    this.applyChart(run)
    const stalled = conditionOf(run.status, 'Stalled')
    // Ready stays as it was until something is found that is to be done, or in the way.
    run.write((status) => {
      run.condition(status, 'Reconciling', 'True', 'Progressing', 'Fulfilling prerequisites')
      removeConditions(status, 'Stalled')
    })
    const unmet = this.unmetDependency(run)
    if (unmet) return this.waitForDependency(run, unmet)
    const wanted = this.wanted(run)
    if ('notReady' in wanted) {
      run.notReady('SourceNotReady', wanted.notReady)
      return { after: this.context.durations.requeueDependency, trigger: 'retry' }
    }
    return this.run(run, wanted, stalled)
  }

  /** Generation and Ready only: no revision is compared. */
  private unmetDependency(run: Run<Spec, HelmReleaseStatus>): string | undefined {
    for (const { name, namespace = run.namespace } of run.spec.dependsOn) {
      const dependency = this.loop.object(`HelmRelease/${namespace}/${name}`)
      if (!dependency) return `unable to get '${namespace}/${name}' dependency`
      const status: HelmReleaseStatus = dependency.status ?? {}
      if (status.observedGeneration !== dependency.metadata.generation || !isTrue(status, 'Ready')) {
        return `dependency '${namespace}/${name}' is not ready`
      }
    }
    return undefined
  }

  private async waitForDependency(run: Run<Spec, HelmReleaseStatus>, unmet: string): Promise<Again> {
    run.begin(run.status.lastAttemptedRevision ?? '')
    await run.finish('dependency-not-ready', (status) =>
      run.condition(status, 'Ready', 'False', 'DependencyNotReady', unmet),
    )
    return { after: this.context.durations.requeueDependency, trigger: 'dependency' }
  }

  private async run(run: Run<Spec, HelmReleaseStatus>, wanted: Wanted, stalled: Condition | undefined): Promise<Again> {
    run.begin(wanted.chartVersion)
    const failure = this.context.faults.takeFailure(run.key)
    const interval: Again = { after: run.spec.interval, trigger: 'interval' }
    const afresh = !sameAttempt(run, wanted) || asks(run, 'resetAt', run.status.lastHandledResetAt)
    if (afresh) forgetFailures(run)
    else if (stalled && !asks(run, 'forceAt', run.status.lastHandledForceAt)) {
      await run.finish('failed', (status) => stall(run, status, stalled.message))
      return interval
    }
    const action = actionFor(run, wanted, failure)
    if (!action) {
      await this.inSync(run)
      return interval
    }
    await this.act(run, wanted, action)
    if (!failure) {
      await this.succeeded(run, wanted, action)
      return interval
    }
    const final = await this.failed(run, wanted, action, failure)
    return final ? interval : { after: 1_000, trigger: 'retry' }
  }

  private async inSync(run: Run<Spec, HelmReleaseStatus>): Promise<void> {
    const { statusGap } = this.context.durations
    await run.hold()
    await run.spend(2 * statusGap * run.pace(2 * statusGap) - statusGap)
    const reason = `${titled(run.status.lastAttemptedReleaseAction ?? 'install')}Succeeded`
    const message = conditionOf(run.status, 'Released')?.message ?? ''
    await run.finish(
      'succeeded',
      (status) => {
        removeConditions(status, 'Reconciling')
        run.condition(status, 'Ready', 'True', reason, message)
      },
      (status) => {
        status.observedGeneration = run.generation
        status.lastAttemptedGeneration = run.generation
      },
    )
  }

  private async act(run: Run<Spec, HelmReleaseStatus>, wanted: Wanted, action: Action): Promise<void> {
    const { helmAction, statusGap } = this.context.durations
    const total = helmAction * run.pace(helmAction)
    run.write((status) => run.progressing(status, `Running '${action}' action with timeout of 5m0s`))
    await run.spend(Math.min(statusGap, total))
    run.write((status) => attempted(run, status, wanted))
    await run.hold()
    await run.spend(total - 2 * statusGap)
  }

  /** Four writes: Ready beside Reconciling, the history, the end of Reconciling, and what says that the run is over. */
  private async succeeded(run: Run<Spec, HelmReleaseStatus>, wanted: Wanted, action: Action): Promise<void> {
    const { statusGap } = this.context.durations
    const version = (run.status.history?.[0]?.version ?? 0) + 1
    run.write((status) => releasedConditions(run, status, `${titled(action)}Succeeded`, released(run, version, wanted)))
    await run.spend(statusGap)
    run.write((status) => this.deployed(run, status, wanted, action))
    await run.spend(statusGap)
    await run.finish(
      'succeeded',
      (status) => removeConditions(status, 'Reconciling'),
      (status) => {
        status.observedGeneration = run.generation
        recordForce(run, status)
      },
    )
  }

  /** Answers true when no retry is left: then observedGeneration moves, though nothing was released. */
  private async failed(
    run: Run<Spec, HelmReleaseStatus>,
    wanted: Wanted,
    action: Action,
    failure: Failure,
  ): Promise<boolean> {
    const attempts = (run.status.failures ?? 0) + 1
    const { retries } = run.spec[action].remediation
    const final = retries >= 0 && attempts > retries
    const reason = failure.reason ?? `${titled(action)}Failed`
    const message =
      failure.message ??
      `Helm ${action} failed for release ${run.namespace}/${run.name} with chart ${wanted.chartName}@${wanted.chartVersion}`
    run.write((status) => {
      run.condition(status, 'Released', 'False', reason, message)
      run.condition(status, 'Ready', 'False', reason, message)
    })
    await run.spend(this.context.durations.statusGap)
    await run.finish(
      'failed',
      (status) => {
        if (final) stall(run, status, `Failed to ${action} after ${attempts} attempt(s)`)
        else run.condition(status, 'Reconciling', 'True', 'ProgressingWithRetry', message)
      },
      (status) => {
        status.failures = attempts
        const counter = `${action}Failures` as const
        status[counter] = (status[counter] ?? 0) + 1
        if (final) status.observedGeneration = run.generation
        recordForce(run, status)
      },
    )
    return final
  }

  private deployed(run: Run<Spec, HelmReleaseStatus>, status: HelmReleaseStatus, wanted: Wanted, action: Action): void {
    const now = timestamp(this.context.clock)
    const [latest, ...older] = status.history ?? []
    const before = latest ? [{ ...latest, status: 'superseded' as const }, ...older] : []
    const snapshot: Snapshot = {
      name: run.spec.releaseName ?? run.name,
      namespace: run.spec.targetNamespace ?? run.namespace,
      version: (latest?.version ?? 0) + 1,
      status: 'deployed',
      ...wanted,
      firstDeployed: latest?.firstDeployed ?? now,
      lastDeployed: now,
    }
    status.history = [snapshot, ...before].slice(0, historyLimit)
    status.lastAttemptedReleaseAction = action
    delete status.failures
    delete status.installFailures
    delete status.upgradeFailures
  }

  /** The HelmChart object that stands for `spec.chart`; undefined with a chartRef. */
  private applyChart(run: Run<Spec, HelmReleaseStatus>): KubernetesObject | undefined {
    const template = run.spec.chart?.spec
    if (!template) return undefined
    const key = chartKey(run.spec, run.namespace, run.name)
    const [, namespace = '', name = ''] = key.split('/')
    const { kind, name: source } = template.sourceRef
    const chart: KubernetesObject = {
      apiVersion: `${simulatedKinds.HelmChart.group}/${simulatedKinds.HelmChart.version}`,
      kind: 'HelmChart',
      metadata: {
        name,
        namespace,
        labels: { 'helm.toolkit.fluxcd.io/name': run.name, 'helm.toolkit.fluxcd.io/namespace': run.namespace },
      },
      spec: {
        chart: template.chart,
        version: template.version ?? '*',
        interval: template.interval ?? run.object.spec.interval,
        reconcileStrategy: template.reconcileStrategy ?? 'ChartVersion',
        sourceRef: { kind, name: source },
      },
    }
    const applied = this.context.store.apply(simulatedKinds.HelmChart, chart, manager)
    const reference = `${namespace}/${name}`
    if (run.status.helmChart !== reference)
      run.write((status) => {
        status.helmChart = reference
      })
    return applied
  }

  /** What there is to release, or why there is nothing: the chart's object is behind its spec, stalled, or empty. */
  private wanted(run: Run<Spec, HelmReleaseStatus>): Wanted | NotReady {
    const key = chartKey(run.spec, run.namespace, run.name)
    const [kind, namespace = '', name = ''] = key.split('/')
    const resource = kind === 'OCIRepository' ? simulatedKinds.OCIRepository : simulatedKinds.HelmChart
    const object = this.context.store.get(resource, namespace, name)
    const status: Status & { artifact?: unknown; observedChartName?: string } = object?.status ?? {}
    const artifact = chartArtifactSchema.safeParse(status.artifact).data
    const notReady = (why: string) => ({ notReady: `${kind} '${namespace}/${name}' is not ready: ${why}` })
    if (status.observedGeneration !== object?.metadata.generation || !object) {
      const ready = conditionOf(status, 'Ready')
      return notReady(ready?.status === 'False' ? ready.message : 'latest generation of object has not been reconciled')
    }
    if (isTrue(status, 'Stalled')) return notReady(conditionOf(status, 'Stalled')?.message ?? '')
    if (!artifact) return notReady('does not have an artifact')
    const configDigest = `sha256:${createHash('sha256').update(JSON.stringify(run.spec.values)).digest('hex')}`
    const chartVersion = kind === 'OCIRepository' ? ociChartVersion(artifact) : artifact.revision
    return { chartName: status.observedChartName ?? name, chartVersion, configDigest }
  }
}

function chartKey(spec: Spec, namespace: string, name: string): string {
  if (spec.chartRef) return sourceKey(spec.chartRef, namespace)
  return `HelmChart/${spec.chart?.spec.sourceRef.namespace ?? namespace}/${namespace}-${name}`
}

/** The chart's version with the digest as its build: a new digest under one tag is a new revision. */
function ociChartVersion({ revision, metadata }: z.infer<typeof chartArtifactSchema>): string {
  const version = metadata['org.opencontainers.image.version'] ?? '0.1.0'
  return `${version}+${(revision.split(':').at(-1) ?? '').slice(0, 12)}`
}

function actionFor(
  run: Run<Spec, HelmReleaseStatus>,
  wanted: Wanted,
  failure: Failure | undefined,
): Action | undefined {
  const latest = run.status.history?.[0]
  if (!latest) return 'install'
  const changed =
    latest.chartName !== wanted.chartName ||
    latest.chartVersion !== wanted.chartVersion ||
    latest.configDigest !== wanted.configDigest
  if (changed || failure || asks(run, 'forceAt', run.status.lastHandledForceAt)) return 'upgrade'
  return undefined
}

/** Whether this is another attempt at what was tried last: then its failures count on. */
function sameAttempt(run: Run<Spec, HelmReleaseStatus>, wanted: Wanted): boolean {
  const { lastAttemptedGeneration, lastAttemptedRevision, lastAttemptedConfigDigest } = run.status
  return (
    lastAttemptedGeneration === run.generation &&
    lastAttemptedRevision === wanted.chartVersion &&
    lastAttemptedConfigDigest === wanted.configDigest
  )
}

function forgetFailures(run: Run<Spec, HelmReleaseStatus>): void {
  const reset = run.object.metadata.annotations?.['reconcile.fluxcd.io/resetAt']
  run.write((status) => {
    delete status.failures
    delete status.installFailures
    delete status.upgradeFailures
    if (reset !== undefined && reset === run.token) status.lastHandledResetAt = reset
  })
}

function stall(run: Run<Spec, HelmReleaseStatus>, status: Status, message: string): void {
  removeConditions(status, 'Reconciling')
  run.condition(status, 'Stalled', 'True', 'RetriesExceeded', message)
}

/** forceAt and resetAt act only when equal to requestedAt, and once. */
function asks(
  run: Run<Spec, HelmReleaseStatus>,
  annotation: 'forceAt' | 'resetAt',
  handled: string | undefined,
): boolean {
  const value = run.object.metadata.annotations?.[`reconcile.fluxcd.io/${annotation}`]
  return value !== undefined && value === run.token && value !== handled
}

function recordForce(run: Run<Spec, HelmReleaseStatus>, status: HelmReleaseStatus): void {
  const force = run.object.metadata.annotations?.['reconcile.fluxcd.io/forceAt']
  if (force !== undefined && force === run.token) status.lastHandledForceAt = force
}

function attempted(run: Run<Spec, HelmReleaseStatus>, status: HelmReleaseStatus, wanted: Wanted): void {
  status.lastAttemptedRevision = wanted.chartVersion
  status.lastAttemptedGeneration = run.generation
  status.lastAttemptedConfigDigest = wanted.configDigest
}

function releasedConditions(run: Run<Spec, HelmReleaseStatus>, status: Status, reason: string, message: string): void {
  removeConditions(status, 'Stalled')
  run.condition(status, 'Released', 'True', reason, message)
  run.condition(status, 'Ready', 'True', reason, message)
}

function released(run: Run<Spec, HelmReleaseStatus>, version: number, wanted: Wanted): string {
  const name = run.spec.releaseName ?? run.name
  const action = version === 1 ? 'install' : 'upgrade'
  return `Helm ${action} succeeded for release ${run.namespace}/${name}.v${version} with chart ${wanted.chartName}@${wanted.chartVersion}`
}

function titled(action: Action): 'Install' | 'Upgrade' {
  return action === 'install' ? 'Install' : 'Upgrade'
}
