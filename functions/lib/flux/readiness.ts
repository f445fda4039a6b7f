import type { Condition } from './object.ts'
import { condition } from './object.ts'
import { commitOf, shortCommit } from './revision.ts'
import type { Source } from './source.ts'
import { told } from './told.ts'
import type { Workload } from './workload.ts'

/**
 * What the rollout waits for on one object.
 * - `revision`: the Git revision itself, in the object's status.
 * - `origin`: an OCI artifact: what the source serves now, whatever commit it was built from.
 * - `chart`: a HelmRelease with a chart from Git: the chart was looked at again at the revision.
 * - `generation`: objects that the push changes only through their manifest.
 */
export type Follows = 'revision' | 'origin' | 'chart' | 'generation'

export interface Expectation {
  readonly follows: Follows
  /** The effective commit and those that the source has served since. */
  readonly commits: readonly string[]
  /** The token that we put on the object; undefined when it was left to react to the artifact alone. */
  readonly token: string | undefined
  /** The source that feeds the object, as it is now, where it is known. */
  readonly source: Source | undefined
}

/**
 * - `ready`: reconciled at the revision.
 * - `reconciling`: a controller is working on it.
 * - `starting`: tofu-controller has begun, and no runner has answered yet.
 * - `idle`: not at the revision, and nobody is working on it: it must be asked again.
 * - `dependency`: the controller refuses to start before a dependency, and will only look again after its interval.
 * - `approval`: a plan waits for a person.
 * - `locked`: its last run found the state locked by another one; its controller tries again by itself.
 * - `failed`: an attempt at the revision failed; `final` when the controller has given up until something changes.
 */
export interface Reading {
  readonly state:
    | 'ready'
    | 'reconciling'
    | 'starting'
    | 'idle'
    | 'dependency'
    | 'approval'
    | 'locked'
    | 'failed'
    | 'suspended'
    | 'terminating'
  readonly detail: string
  readonly final?: boolean
  /** The lock that its last run met, as long as no other run has come further. Empty where it is not known which. */
  readonly lock?: string
}

/** Reasons that stand beside Ready=False although no attempt was made or the attempt was interrupted. */
const notAnAttempt = new Set(['Progressing', 'ProgressingWithRetry', 'HealthCheckCanceled', 'Suspended'])
const waitsForSource = new Set(['ArtifactFailed', 'SourceNotReady'])

/**
 * Judges an object at the revision. A token alone proves nothing: it is recorded for suspended objects, on
 * refusals, and for attempts at an older revision that was still in a cache.
 */
export function readWorkload(workload: Workload, expectation: Expectation): Reading {
  const reading = readConditions(workload, expectation)
  const lock = workload.metLock
  if (lock === undefined) return reading
  // Between two tries the object says that it works, as if nothing had been.
  if (reading.state === 'reconciling' || reading.state === 'starting') return { ...reading, lock }
  if (reading.state !== 'failed' || reading.final || !isAboutLock(workload, lock)) return reading
  return { state: 'locked', detail: reading.detail, lock }
}

/** The condition StateLocked stays until a run succeeds, whatever later ones fail of. */
function isAboutLock({ conditions }: Workload, lock: string): boolean {
  const message = condition(conditions, 'Ready')?.message ?? ''
  return /state lock|lock info:/i.test(message) || (lock !== '' && message.includes(lock))
}

function readConditions(workload: Workload, expectation: Expectation): Reading {
  if (workload.deleting) return { state: 'terminating', detail: 'is being deleted' }
  if (workload.suspended) return { state: 'suspended', detail: 'is suspended' }

  const ready = condition(workload.conditions, 'Ready')
  const handled = tokenHandled(workload, expectation.token)
  const noChart = failedChart(expectation)
  if (noChart) return { state: 'failed', detail: told(noChart) }
  const stalled = condition(workload.conditions, 'Stalled')
  if (stalled?.status === 'True' && handled && attempted(workload, expectation)) {
    return { state: 'failed', final: true, detail: told(stalled) }
  }
  if (ready?.status === 'True') return readSuccess(workload, expectation, ready, handled)
  if (ready?.status === 'False') return readFailure(workload, expectation, ready, handled)
  if (workload.pendingPlan && ready?.reason === 'TerraformPlannedWithChanges') {
    return readPlanned(workload, workload.pendingPlan, expectation, handled)
  }
  if (!ready) return { state: 'idle', detail: 'has not been reconciled yet' }
  return {
    state: workload.kind === 'Terraform' ? readRun(ready, expectation, handled) : 'reconciling',
    detail: told(ready),
  }
}

/**
 * A plan with changes is there. The object says so until its controller has begun with the next one, also when the source
 * or its spec has moved on.
 */
function readPlanned(workload: Workload, plan: string, expectation: Expectation, handled: boolean): Reading {
  const { planning } = workload
  if (!isPlanNow(workload, expectation)) {
    return { state: handled ? 'idle' : 'reconciling', detail: `${plan} is of another revision, and made anew` }
  }
  if (planning?.force || planning?.approvePlan === 'auto' || planning?.approvePlan === plan) {
    return { state: 'reconciling', detail: `${plan} is approved` }
  }
  // Nobody can approve it: that is as far as the object ever goes.
  if (planning?.planOnly)
    return { state: 'ready', detail: `${plan} is made, and spec.planOnly has it applied by nobody` }
  return { state: 'approval', detail: `waits for approval of plan ${plan}` }
}

/** Whether the plan is of the revision, and of the spec as it is: another one is dropped by its controller. */
function isPlanNow({ planning, generation, lastPlannedRevision }: Workload, expectation: Expectation): boolean {
  const { follows, commits, source } = expectation
  if (planning?.plannedGeneration !== undefined && planning.plannedGeneration !== generation) return false
  if (follows === 'revision') return includes(commits, lastPlannedRevision)
  return follows !== 'origin' || source?.revision === undefined || lastPlannedRevision === source.revision
}

/** What tofu-controller says from the start of a run until its runner answers (controllers/tf_controller.go). */
const noRunnerYet = 'Reconciliation in progress'

/**
 * tofu-controller records the token when a run returns. Handled and still Unknown means that the run is over without a
 * result: a runner that never got an address, for one; the run is then lost and nothing retried. Without a token of
 * ours that shows only in that no runner ever answers.
 */
function readRun(ready: Condition, { token }: Expectation, handled: boolean): Reading['state'] {
  if (token !== undefined && handled) return 'idle'
  return ready.message === noRunnerYet ? 'starting' : 'reconciling'
}

/**
 * The HelmChart looked at the revision and cannot be built from it. Its HelmRelease is not told: it stays Ready at the
 * chart of before until it is asked, and only then says SourceNotReady.
 */
function failedChart({ follows, commits, source }: Expectation): Condition | undefined {
  if (follows !== 'chart' || !source || !includes(commits, source.observedSourceRevision)) return undefined
  const ready = condition(source.conditions, 'Ready')
  return ready?.status === 'False' ? ready : undefined
}

/** kustomize-controller's condition message between its apply and the end of its health checks, with the revision. */
const checksHealth = 'Running health checks for revision'

/**
 * Whether a Kustomization has applied one of `commits`, be it ready or still waiting for the health of what it applied.
 * The conditions say so a moment before the inventory tells what it applied. The one named Healthy may still speak of
 * an earlier revision, when the checks of that were cut short.
 */
export function hasApplied(workload: Workload, commits: readonly string[]): boolean {
  if (includes(commits, workload.lastAppliedRevision)) return true
  if (!includes(commits, workload.lastAttemptedRevision)) return false
  return workload.conditions.some(
    ({ type, reason, message }) =>
      message.startsWith(`${checksHealth} ${workload.lastAttemptedRevision} `) ||
      (type === 'Ready' && reason === 'HealthCheckFailed'),
  )
}

function readSuccess(workload: Workload, expectation: Expectation, ready: Condition, handled: boolean): Reading {
  const running = condition(workload.conditions, 'Reconciling')?.status === 'True'
  const observed = workload.observedGeneration === workload.generation
  const behind = whyBehind(workload, expectation, handled)
  if (!behind && observed && !running) return { state: 'ready', detail: told(ready) }
  if (running || !handled) return { state: 'reconciling', detail: told(ready) }
  return { state: 'idle', detail: behind ?? 'its last change has not been seen by its controller yet' }
}

/** What kustomize-controller says when the artifact lacks spec.path. It counts that as no attempt at the revision. */
const pathMissing = 'kustomization path not found'

function readFailure(workload: Workload, expectation: Expectation, ready: Condition, handled: boolean): Reading {
  const detail = told(ready)
  if (ready.reason === 'DependencyNotReady') return { state: 'dependency', detail }
  // Only an answer to a request of ours is about what the source serves now.
  if (ready.message.startsWith(pathMissing) && expectation.token !== undefined && handled) {
    return { state: 'failed', detail }
  }
  if (waitsForSource.has(ready.reason)) return { state: 'idle', detail }
  if (notAnAttempt.has(ready.reason)) return { state: 'reconciling', detail }
  if (!handled) return { state: 'reconciling', detail }
  // The failure is of an older attempt. The controller may have given up on that one for a long interval.
  if (!attempted(workload, expectation)) return { state: 'idle', detail }
  return { state: 'failed', detail }
}

/** Whether the failure that the status shows belongs to what we wait for, and not to an earlier revision. */
function attempted(workload: Workload, { follows, commits, token, source }: Expectation): boolean {
  if (follows === 'revision') return includes(commits, workload.lastAttemptedRevision)
  if (follows === 'chart' && source?.revision !== undefined) {
    return includes(commits, source.observedSourceRevision) && workload.lastAttemptedRevision === source.revision
  }
  // Without a revision to compare, a failure counts once our own token was handled, or when the generation was seen.
  return token !== undefined || workload.observedGeneration === workload.generation
}

/**
 * A token is handled when the controller reports it, or reports whatever another writer has put in its place:
 * then ours will never be reported.
 */
function tokenHandled(workload: Workload, token: string | undefined): boolean {
  if (token === undefined) return true
  if (workload.handled === token) return true
  return workload.requested !== token && workload.handled === workload.requested && workload.handled !== undefined
}

/** Undefined when the object is at the revision; else what it is at. Assumes Ready=True. */
function whyBehind(workload: Workload, expectation: Expectation, handled: boolean): string | undefined {
  const { commits, source } = expectation
  switch (expectation.follows) {
    case 'revision':
      return workload.kind === 'Terraform' ? terraformBehind(workload, commits) : kustomizationBehind(workload, commits)
    case 'origin':
      return originBehind(workload, source, handled)
    case 'chart':
      if (!includes(commits, source?.observedSourceRevision) || isBuilding(source)) {
        return 'its chart has not been built at the revision yet'
      }
      if (source?.revision !== undefined && workload.lastAttemptedRevision !== source.revision) {
        return `is at chart ${workload.lastAttemptedRevision ?? 'none'}, not ${source.revision}`
      }
      return handled ? undefined : 'has not been reconciled since'
    case 'generation':
      return handled ? undefined : 'has not been reconciled since'
  }
}

/**
 * A HelmChart names the revision that it looks at, then the version that it has packaged (in Ready's message), and only
 * then is its artifact that version.
 */
function isBuilding(chart: Source | undefined): boolean {
  const ready = condition(chart?.conditions ?? [], 'Ready')
  if (ready && ready.status !== 'True') return true
  const packaged = /chart with version '([^']+)'/.exec(ready?.message ?? '')?.[1]
  return packaged !== undefined && packaged !== chart?.revision
}

function kustomizationBehind(workload: Workload, commits: readonly string[]): string | undefined {
  return includes(commits, workload.lastAppliedRevision) ? undefined : at(workload.lastAppliedRevision)
}

function originBehind(workload: Workload, source: Source | undefined, handled: boolean): string | undefined {
  if (source?.revision === undefined) return 'its source has no artifact yet'
  if (workload.kind === 'HelmRelease') return handled ? undefined : 'has not been reconciled since'
  if ([workload.lastAppliedRevision, workload.lastPlannedRevision].includes(source.revision)) return undefined
  return `is at ${workload.lastAppliedRevision ?? 'no revision'}, its source serves ${source.revision}`
}

/** A plan without changes moves lastPlannedRevision only; drift detection alone moves only lastAttemptedRevision. */
function terraformBehind(workload: Workload, commits: readonly string[]): string | undefined {
  if (!includes(commits, workload.lastAttemptedRevision)) return at(workload.lastAttemptedRevision)
  if (workload.pendingPlan) return `has a pending plan ${workload.pendingPlan}`
  if (workload.driftDetectionOnly) return undefined
  if (includes(commits, workload.lastAppliedRevision) || includes(commits, workload.lastPlannedRevision))
    return undefined
  return at(workload.lastAppliedRevision)
}

function includes(commits: readonly string[], revision: string | undefined): boolean {
  const commit = commitOf(revision)
  return commit !== undefined && commits.includes(commit)
}

function at(revision: string | undefined): string {
  const commit = commitOf(revision)
  return commit ? `is still at ${shortCommit(commit)}` : 'has no revision yet'
}
