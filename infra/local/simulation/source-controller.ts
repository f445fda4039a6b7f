import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { KubernetesObject } from '../kubernetes/object-store.ts'
import { conditionOf, isTrue, removeConditions, type Status, timestamp } from './conditions.ts'
import { durationMs } from './durations.ts'
import type { GitServer } from './git-server.ts'
import { simulatedKinds } from './kinds.ts'
import type { OciRegistry } from './oci-registry.ts'
import { type Again, type ControllerContext, ReconcileLoop, type Run } from './reconcile-loop.ts'
import { type CachedSource, SourceCache, sourceKey, sourceRefSchema } from './source-cache.ts'

const manager = 'source-controller'

const commonSpec = { interval: durationMs, suspend: z.boolean().default(false) }

const gitRepositorySpec = z.looseObject({
  ...commonSpec,
  url: z.string(),
  ref: z
    .looseObject({ branch: z.string().optional(), name: z.string().optional(), commit: z.string().optional() })
    .default({}),
})

const ociRepositorySpec = z.looseObject({
  ...commonSpec,
  url: z.string(),
  ref: z.looseObject({ tag: z.string().optional() }).default({}),
})

const helmChartSpec = z.looseObject({
  ...commonSpec,
  chart: z.string(),
  version: z.string().default('*'),
  reconcileStrategy: z.enum(['ChartVersion', 'Revision']).default('ChartVersion'),
  sourceRef: sourceRefSchema,
})

const helmRepositorySpec = z.looseObject({ ...commonSpec, interval: durationMs.default(600_000), url: z.string() })

const chartFileSchema = z.looseObject({ version: z.string() })

interface StoredArtifact {
  revision: string
  digest: string
  lastUpdateTime: string
  path: string
  url: string
  metadata?: Record<string, string>
}

interface SourceStatus extends Status {
  artifact?: StoredArtifact
  observedSourceArtifactRevision?: string
  observedChartName?: string
}

/** What a fetch found, or why it found nothing. */
type Fetched =
  | { readonly revision: string; readonly digest: string; readonly metadata?: Record<string, string> }
  | { readonly reason: string; readonly message: string }

type GitSpec = z.infer<typeof gitRepositorySpec>
type OciSpec = z.infer<typeof ociRepositorySpec>
type ChartSpec = z.infer<typeof helmChartSpec>
type HelmRepositorySpec = z.infer<typeof helmRepositorySpec>

/** Simulates Flux's source-controller: GitRepository, OCIRepository, HelmChart, HelmRepository. */
export class SourceController {
  private readonly context: ControllerContext
  private readonly git: GitServer
  private readonly registry: OciRegistry
  private readonly sources: SourceCache
  private readonly loops: {
    readonly git: ReconcileLoop<GitSpec, SourceStatus>
    readonly oci: ReconcileLoop<OciSpec, SourceStatus>
    readonly charts: ReconcileLoop<ChartSpec, SourceStatus>
    readonly helm: ReconcileLoop<HelmRepositorySpec, SourceStatus>
  }
  /** Failed fetches in a row, by key: in memory, as the real work queue's back-off is. */
  private readonly failures = new Map<string, number>()

  constructor(context: ControllerContext, git: GitServer, registry: OciRegistry) {
    this.context = context
    this.git = git
    this.registry = registry
    this.sources = new SourceCache(context.store, git, registry, [
      simulatedKinds.GitRepository,
      simulatedKinds.HelmRepository,
    ])
    const common = { manager, concurrency: 10 }
    this.loops = {
      git: new ReconcileLoop(context, {
        ...common,
        resource: simulatedKinds.GitRepository,
        spec: gitRepositorySpec,
        reconcile: (run) => this.fetch(run, () => this.fetchGit(run.spec)),
      }),
      oci: new ReconcileLoop(context, {
        ...common,
        resource: simulatedKinds.OCIRepository,
        spec: ociRepositorySpec,
        reconcile: (run) => this.fetch(run, () => this.fetchOci(run.spec)),
      }),
      charts: new ReconcileLoop(context, {
        ...common,
        resource: simulatedKinds.HelmChart,
        spec: helmChartSpec,
        reconcile: (run) => this.buildChart(run),
        references: (spec, namespace) => [sourceKey(spec.sourceRef, namespace)],
      }),
      helm: new ReconcileLoop(context, {
        ...common,
        resource: simulatedKinds.HelmRepository,
        spec: helmRepositorySpec,
        reconcile: (run) => this.fetch(run, () => helmIndex(run.spec)),
      }),
    }
  }

  start(settled?: ReadonlySet<string>): void {
    this.sources.start((key) => {
      for (const chart of this.loops.charts.referring(key)) this.loops.charts.enqueue(chart, 'artifact')
    })
    for (const loop of Object.values(this.loops)) loop.start(settled)
  }

  stop(): void {
    this.sources.stop()
    for (const loop of Object.values(this.loops)) loop.stop()
    this.failures.clear()
  }

  /** Puts a source in the state that its next fetch would find. Answers false when there is nothing to fetch. */
  settle(object: KubernetesObject): boolean {
    if (object.kind === 'GitRepository')
      return this.settleFetched(this.loops.git, object, (spec) => this.fetchGit(spec))
    if (object.kind === 'OCIRepository')
      return this.settleFetched(this.loops.oci, object, (spec) => this.fetchOci(spec))
    if (object.kind === 'HelmRepository') return this.settleFetched(this.loops.helm, object, helmIndex)
    return this.settleChart(object)
  }

  private settleFetched<Spec>(
    loop: ReconcileLoop<Spec, SourceStatus>,
    object: KubernetesObject,
    look: (spec: Spec) => Fetched,
  ): boolean {
    const run = loop.runOf(object)
    if (!run) return false
    const fetched = look(run.spec)
    if ('reason' in fetched) return false
    run.write((status) => {
      storedConditions(run, status, fetched.revision)
      status.observedGeneration = run.generation
      status.artifact = this.artifact(run, fetched)
    })
    return true
  }

  private settleChart(object: KubernetesObject): boolean {
    const run = this.loops.charts.runOf(object)
    if (!run) return false
    const source = this.sources.read(sourceKey(run.spec.sourceRef, run.namespace))
    const version = source && this.chartVersion(run.spec, source)
    const revision = source?.artifact?.revision
    if (version === undefined || revision === undefined) return false
    run.write((status) => {
      chartConditions(run, status, version)
      this.chartStatus(run, status, revision, version)
    })
    return true
  }

  private async fetch<Spec extends { interval: number; suspend: boolean }>(
    run: Run<Spec, SourceStatus>,
    look: () => Fetched,
  ): Promise<Again> {
    if (run.spec.suspend) return suspended(run)
    const { durations, faults } = this.context
    run.begin(run.status.artifact?.revision ?? '')
    run.write((status) => started(run, status))
    const fetched = look()
    await run.hold()
    await run.spend(durations.fetch * run.pace(durations.fetch) - 2 * durations.statusGap)
    const injected = faults.takeFailure(run.key)
    if (injected)
      return this.fetchFailed(run, { reason: 'GitOperationFailed', message: 'failed to checkout', ...injected })
    if ('reason' in fetched) return this.fetchFailed(run, fetched)
    return this.store(run, fetched)
  }

  private async store<Spec extends { interval: number }>(
    run: Run<Spec, SourceStatus>,
    fetched: Extract<Fetched, { revision: string }>,
  ): Promise<Again> {
    this.failures.delete(run.key)
    const isNew = run.status.artifact?.revision !== fetched.revision
    const artifact = this.artifact(run, fetched)
    run.fetched(fetched.revision)
    if (isNew) await this.announce(run, 'NewRevision', `new upstream revision '${fetched.revision}'`)
    await run.finish(
      'succeeded',
      (status) => storedConditions(run, status, fetched.revision),
      (status) => {
        status.observedGeneration = run.generation
        if (isNew) status.artifact = artifact
      },
    )
    return { after: run.spec.interval, trigger: 'interval' }
  }

  /** While a new artifact is stored a source is not Ready. */
  private async announce<Spec>(run: Run<Spec, SourceStatus>, reason: string, what: string): Promise<void> {
    run.write((status) => {
      run.progressing(status, `building artifact: ${what}`)
      if (status.artifact) run.condition(status, 'ArtifactOutdated', 'True', reason, what)
    })
    await run.spend(this.context.durations.statusGap)
  }

  /** Keeps the old artifact, and tries again after a time that doubles. */
  private async fetchFailed<Spec>(
    run: Run<Spec, SourceStatus>,
    { reason, message }: { reason: string; message: string },
  ): Promise<Again> {
    const failures = this.failures.get(run.key) ?? 0
    this.failures.set(run.key, failures + 1)
    await run.finish('failed', (status) => {
      const at = conditionOf(status, 'Reconciling')?.message ?? message
      run.condition(status, 'Reconciling', 'True', 'ProgressingWithRetry', at)
      run.condition(status, 'FetchFailed', 'True', reason, message)
      run.condition(status, 'Ready', 'False', reason, message)
    })
    const { fetchRetry, fetchRetryLimit } = this.context.durations
    return { after: Math.min(fetchRetry * 2 ** failures, fetchRetryLimit), trigger: 'retry' }
  }

  private fetchGit({ url, ref }: GitSpec): Fetched {
    const branch = ref.name?.replace(/^refs\/heads\//, '') ?? ref.branch ?? 'master'
    if (!this.git.has(url)) return unreachable(`failed to checkout and determine revision: repository not found`)
    const commit = ref.commit ? this.git.find(url, ref.commit) : this.git.head(url, branch)
    if (!commit) return unreachable(`failed to checkout and determine revision: couldn't find remote ref "${branch}"`)
    return { revision: `${branch}@sha1:${commit.sha}`, digest: digestOf(commit.sha) }
  }

  private fetchOci({ url, ref }: OciSpec): Fetched {
    const tag = ref.tag ?? 'latest'
    const found = this.registry.resolve(url, tag)
    if (!found)
      return {
        reason: 'OCIArtifactPullFailed',
        message: `failed to determine artifact digest: ${url}:${tag} not found`,
      }
    return {
      revision: `${tag}@${found.digest}`,
      digest: found.digest,
      metadata: {
        'org.opencontainers.image.source': found.originSource,
        'org.opencontainers.image.revision': found.originRevision,
        ...(found.chartVersion && { 'org.opencontainers.image.version': found.chartVersion }),
      },
    }
  }

  private async buildChart(run: Run<ChartSpec, SourceStatus>): Promise<Again> {
    if (run.spec.suspend) return suspended(run)
    const key = sourceKey(run.spec.sourceRef, run.namespace)
    const source = this.sources.get(key)
    if (!source?.artifact) {
      run.notReady('NoSourceArtifact', `no artifact available for ${key}`)
      return undefined
    }
    const { durations, faults } = this.context
    run.begin(source.artifact.revision)
    await run.hold()
    await run.spend(durations.chart * run.pace(durations.chart))
    const injected = faults.takeFailure(run.key)
    if (injected)
      return this.fetchFailed(run, { reason: 'ChartPackageError', message: 'chart build failed', ...injected })
    const version = this.chartVersion(run.spec, source)
    if (version === undefined) return this.noChart(run, source.artifact.revision)
    await this.storeChart(run, source.artifact.revision, version)
    return { after: run.spec.interval, trigger: 'interval' }
  }

  /** Nothing but another revision of the source, or another spec, can help: it is not tried again. */
  private async noChart(run: Run<ChartSpec, SourceStatus>, sourceRevision: string): Promise<Again> {
    const message = `invalid chart reference: stat ${run.spec.chart}: no such file or directory`
    await run.finish(
      'failed',
      (status) => {
        removeConditions(status, 'Reconciling')
        for (const type of ['Stalled', 'FetchFailed']) {
          run.condition(status, type, 'True', 'InvalidChartReference', message)
        }
        run.condition(status, 'Ready', 'False', 'InvalidChartReference', message)
      },
      (status) => {
        status.observedGeneration = run.generation
        status.observedSourceArtifactRevision = sourceRevision
      },
    )
    return undefined
  }

  private async storeChart(run: Run<ChartSpec, SourceStatus>, sourceRevision: string, version: string): Promise<void> {
    this.failures.delete(run.key)
    if (run.status.artifact?.revision !== version) await this.announce(run, 'NewChart', packaged(run.spec, version))
    run.write((status) => {
      status.observedSourceArtifactRevision = sourceRevision
    })
    await run.spend(this.context.durations.statusGap)
    await run.finish(
      'succeeded',
      (status) => chartConditions(run, status, version),
      (status) => this.chartStatus(run, status, sourceRevision, version),
    )
  }

  /** The source revision moves with every build, the artifact only with the chart's version. */
  private chartStatus(
    run: Run<ChartSpec, SourceStatus>,
    status: SourceStatus,
    sourceRevision: string,
    version: string,
  ): void {
    status.observedGeneration = run.generation
    status.observedSourceArtifactRevision = sourceRevision
    status.observedChartName = chartName(run.spec.chart)
    if (status.artifact?.revision === version) return
    status.artifact = this.artifact(run, { revision: version, digest: digestOf(`${run.key} ${version}`) })
  }

  /**
   * A chart from Git has the version of its Chart.yaml, and with strategy Revision the commit as well. With the
   * default strategy a new commit therefore makes no new chart.
   */
  private chartVersion(spec: ChartSpec, source: CachedSource): string | undefined {
    if (spec.sourceRef.kind === 'HelmRepository') return lowestVersion(spec.version)
    if (!source.artifact) return undefined
    const path = `${spec.chart.replace(/^\.?\/+|\/+$/g, '')}/Chart.yaml`
    const file = this.sources.content(source, source.artifact)?.get(path)?.[0]
    const chart = chartFileSchema.safeParse(file)
    if (!chart.success) return undefined
    if (spec.reconcileStrategy === 'ChartVersion') return chart.data.version
    return `${chart.data.version}+${(source.artifact.revision.split(':').at(-1) ?? '').slice(0, 12)}`
  }

  private artifact(
    run: Pick<Run<unknown, SourceStatus>, 'object' | 'namespace' | 'name'>,
    { revision, digest, metadata }: Extract<Fetched, { revision: string }>,
  ): StoredArtifact {
    const file = (revision.split(':').at(-1) ?? '').replaceAll('+', '_')
    const path = `${run.object.kind.toLowerCase()}/${run.namespace}/${run.name}/${file}.tar.gz`
    return {
      revision,
      digest,
      lastUpdateTime: timestamp(this.context.clock),
      path,
      url: `http://source-controller.flux-system.svc.cluster.local./${path}`,
      ...(metadata && { metadata }),
    }
  }
}

function chartConditions(run: Run<ChartSpec, SourceStatus>, status: Status, version: string): void {
  const reason = run.spec.sourceRef.kind === 'HelmRepository' ? 'ChartPullSucceeded' : 'ChartPackageSucceeded'
  storedConditions(run, status, version)
  run.condition(status, 'Ready', 'True', reason, packaged(run.spec, version))
}

function packaged({ chart }: ChartSpec, version: string): string {
  return `packaged '${chartName(chart)}' chart with version '${version}'`
}

function suspended<Spec>(run: Run<Spec, SourceStatus>): Again {
  run.write((status) => {
    status.observedGeneration = run.generation
    run.handled(status)
  })
  return undefined
}

/** Ready stays as it was, unless there is no artifact yet: a fetch that finds nothing new is not a change. */
function started<Spec>(run: Run<Spec, SourceStatus>, status: SourceStatus): void {
  const { observedGeneration = -1 } = status
  const isNew = observedGeneration !== run.generation
  const message = isNew
    ? `processing object: new generation ${observedGeneration} -> ${run.generation}`
    : 'reconciliation in progress'
  run.condition(status, 'Reconciling', 'True', 'Progressing', message)
  if (!status.artifact) run.condition(status, 'Ready', 'Unknown', 'Progressing', message)
}

function storedConditions<Spec>(run: Run<Spec, SourceStatus>, status: Status, revision: string): void {
  const message = `stored artifact for revision '${revision}'`
  removeConditions(status, 'Reconciling', 'FetchFailed', 'Stalled', 'ArtifactOutdated')
  run.condition(status, 'Ready', 'True', 'Succeeded', message)
  if (!isTrue(status, 'ArtifactInStorage') || run.status.artifact?.revision !== revision) {
    run.condition(status, 'ArtifactInStorage', 'True', 'Succeeded', message)
  }
}

function unreachable(message: string): Fetched {
  return { reason: 'GitOperationFailed', message }
}

/** A Helm repository's index does not change in the simulation. */
function helmIndex({ url }: HelmRepositorySpec): Fetched {
  return { revision: digestOf(url), digest: digestOf(url) }
}

/** `6.x`, `>=1.2`, `*` -> the lowest version that they could mean: a repository in the simulation has just that one. */
function lowestVersion(range: string): string {
  const [major = '1', minor = '0', patch = '0'] = /\d+(\.\d+)*/.exec(range)?.[0].split('.') ?? []
  return `${major}.${minor}.${patch}`
}

function chartName(chart: string): string {
  return chart.replace(/\/+$/, '').split('/').at(-1) ?? chart
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}
