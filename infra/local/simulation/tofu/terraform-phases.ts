import { randomUUID } from 'node:crypto'
import type { Clock } from '../../../../functions/lib/clock.ts'
import { type InitRequest, RunnerFailure, type RunnerReply, type RunnerRequest } from './runner.ts'
import type { RunnerClient } from './runner-client.ts'
import {
  isAutomatic,
  looksForDrift,
  mayApply,
  planId,
  shouldApply,
  type TerraformRun,
  type TerraformStatus,
} from './terraform-object.ts'
import {
  recordApplied,
  recordDrift,
  recordForceUnlock,
  recordNoDrift,
  recordOutputs,
  recordPlan,
} from './terraform-status.ts'

export interface PhaseFailure {
  readonly reason: string
  readonly message: string
  /** The id of the lock that was in the way; '' when it did not tell. */
  readonly lockId: string | undefined
}

/**
 * A run failed. `shown` is how the object says so; undefined when its conditions stay as they are, and only the count
 * of failures and an event tell.
 */
export class PhaseFailed extends Error {
  override readonly name = 'PhaseFailed'
  readonly shown: PhaseFailure | undefined

  constructor(message: string, shown?: PhaseFailure) {
    super(message)
    this.shown = shown
  }
}

/** What a session with a runner works on. */
export interface PhasesOptions {
  readonly run: TerraformRun
  readonly runner: RunnerClient
  /** Writes a change of the object's status. */
  readonly patch: (change: (status: TerraformStatus) => void) => Promise<void>
  readonly revision: string
  readonly artifact: InitRequest['artifact']
  readonly clock: Clock
  /** How long init may take, in milliseconds. Plan and apply have no such limit. */
  readonly initTimeout: number
}

/** Distributes over a union: a request without the session, which the phases add. */
type Asked<R> = R extends RunnerRequest ? Omit<R, 'instance'> : never

/** What a run does once it has a runner: init, drift detection, plan, apply, outputs; each seen in the status. */
export class Phases {
  private readonly run: TerraformRun
  private readonly runner: RunnerClient
  private readonly patch: PhasesOptions['patch']
  private readonly revision: string
  private readonly artifact: InitRequest['artifact']
  private readonly clock: Clock
  private readonly initTimeout: number
  private readonly instance = randomUUID()

  constructor({ run, runner, patch, revision, artifact, clock, initTimeout }: PhasesOptions) {
    this.run = run
    this.runner = runner
    this.patch = patch
    this.revision = revision
    this.artifact = artifact
    this.clock = clock
    this.initTimeout = initTimeout
  }

  /** Answers whether a plan waits for a person. Throws PhaseFailed. */
  async go(): Promise<'done' | 'waits'> {
    await this.init()
    if (looksForDrift(this.run, this.revision)) {
      const drifted = await this.detectDrift()
      if (!drifted) return 'done'
      if (!isAutomatic(this.run.spec)) throw new PhaseFailed('DriftDetected')
    }
    if (this.run.spec.approvePlan === 'disable') return 'done'
    // A plan that was stored before a restart is applied first, without a fresh plan.
    const stored = !this.run.spec.force && this.run.status.plan?.pending
    if (!stored && !(await this.plan())) return 'done'
    if (!shouldApply(this.run.spec, this.run.status.plan?.pending ?? '')) return 'waits'
    // Before a manual apply there is another plan, and only its id is compared with the approved one.
    if (!isAutomatic(this.run.spec)) {
      if (!(await this.plan())) return 'done'
      if (!this.mayApply()) return 'waits'
    }
    await this.apply()
    return 'done'
  }

  private async init(): Promise<void> {
    this.progressing('Initializing')
    const { object } = this.run
    const namespace = this.run.namespace
    const request = {
      method: 'init' as const,
      object: { ...object, metadata: { annotations: {}, uid: '', ...object.metadata, namespace } },
      revision: this.revision,
      artifact: this.artifact,
    }
    await this.call('TFExecInitFailed', 'Init', request, this.initTimeout)
    await this.forceUnlock()
  }

  /** Runs on a free lock as well, where it fails on every run: nothing asks whether the lock is still held. */
  private async forceUnlock(): Promise<void> {
    const { tfstate } = this.run.spec
    const pending = this.run.status.lock?.pending
    const wanted =
      tfstate?.forceUnlock === 'auto' || (tfstate?.forceUnlock === 'yes' && tfstate.lockIdentifier === pending)
    if (!wanted || !pending) return
    await this.call(undefined, 'ForceUnlock', { method: 'forceUnlock', lockId: pending })
    await this.patch((status) => recordForceUnlock(this.run, status, pending))
  }

  private async detectDrift(): Promise<boolean> {
    const { changes } = await this.call('DriftDetectionFailed', 'Plan', { method: 'plan', purpose: 'drift' })
    if (!changes) this.run.end('succeeded')
    await this.patch((status) => {
      if (changes) recordDrift(this.run, status, this.revision, this.clock)
      else recordNoDrift(this.run, status, this.revision, this.clock)
    })
    return changes === true
  }

  private async plan(): Promise<boolean> {
    this.progressing('Terraform Planning')
    const { changes = false } = await this.call('TFExecPlanFailed', 'Plan', { method: 'plan', purpose: 'apply' })
    await this.call('TFExecPlanFailed', 'SaveTFPlan', { method: 'savePlan', plan: planId(this.revision) })
    if (!changes) this.run.end('succeeded')
    else if (!mayApply(this.run.spec, planId(this.revision))) this.run.end('waiting-for-approval')
    await this.patch((status) => recordPlan(this.run, status, this.revision, this.clock, changes))
    return changes
  }

  private async apply(): Promise<void> {
    this.progressing('Applying')
    const plan = this.run.status.plan?.pending ?? ''
    await this.call('TFExecApplyFailed', 'LoadTFPlan', { method: 'loadPlan', plan })
    await this.patch((status) => {
      this.run.condition(status, 'Apply', 'Unknown', 'Progressing', 'Apply started')
      status.lastAttemptedRevision = this.revision
    })
    // This has no deadline: where the runner is gone for good, the run ends with the controller.
    await this.call('TFExecApplyFailed', 'Apply', { method: 'apply' })
    await this.patch((status) => recordApplied(this.run, status, this.revision, this.clock))
    await this.call('TFExecOutputFailed', 'Output', { method: 'outputs' })
    this.run.end('succeeded')
    await this.patch((status) => recordOutputs(this.run, status, this.revision, this.clock))
  }

  private mayApply(): boolean {
    return mayApply(this.run.spec, this.run.status.plan?.pending ?? '')
  }

  private progressing(message: string): void {
    this.run.write((status) => this.run.condition(status, 'Ready', 'Unknown', 'Progressing', message))
  }

  /** Failures are shown under `reason`; without one they are not shown. */
  private async call(
    reason: string | undefined,
    name: string,
    request: Asked<RunnerRequest>,
    timeoutMs?: number,
  ): Promise<RunnerReply> {
    try {
      return await this.runner.call({ ...request, instance: this.instance } as RunnerRequest, timeoutMs)
    } catch (error) {
      if (!(error instanceof RunnerFailure)) throw error
      const message = `error running ${name}: ${error.message}`
      throw new PhaseFailed(message, reason === undefined ? undefined : { reason, message, lockId: error.lockId })
    }
  }
}
