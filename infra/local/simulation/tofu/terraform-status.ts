import type { Clock } from '../../../../functions/lib/clock.ts'
import { conditionOf, isTrue, removeConditions, setCondition, timestamp } from '../conditions.ts'
import {
  isAutomatic,
  planId,
  shouldApply,
  type TerraformRun,
  type TerraformSpec,
  type TerraformStatus,
} from './terraform-object.ts'

/*
 * How the outcomes of a run look in an object's status. Each function changes `status` in place; the run writes it as
 * one patch.
 */

/** A suspended object that is Ready gets its observedGeneration bumped though nothing ran. */
export function recordSuspended(run: TerraformRun, status: TerraformStatus): void {
  run.handled(status)
  if (isTrue(status, 'Ready')) status.observedGeneration = run.generation
}

/** What it sets even though nothing ran: observedGeneration, and lastAttemptedRevision ("" without an artifact). */
export function recordNotReady(
  run: TerraformRun,
  status: TerraformStatus,
  revision: string,
  reason: string,
  message: string,
): void {
  run.condition(status, 'Ready', 'False', reason, message)
  status.observedGeneration = run.generation
  status.lastAttemptedRevision = revision
  run.handled(status)
}

/** A new revision or generation: failures count from zero, and a plan that nobody may apply any more is dropped. */
export function renew(run: TerraformRun, status: TerraformStatus): void {
  delete status.reconciliationFailures
  removeConditions(status, 'Stalled')
  const pending = status.plan?.pending
  if (pending && !shouldApply(run.spec, pending)) delete status.plan?.pending
}

export function recordPlan(
  run: TerraformRun,
  status: TerraformStatus,
  revision: string,
  clock: Clock,
  changes: boolean,
): void {
  status.lastPlannedRevision = revision
  status.lastPlannedGeneration = run.generation
  status.lastPlanAt = timestamp(clock)
  const drifted = hasDrifted(status)
  status.plan = {
    ...(status.plan?.lastApplied && { lastApplied: status.plan.lastApplied }),
    ...(changes && {
      pending: planId(revision),
      ...(run.spec.destroy && { isDestroyPlan: true }),
      ...(drifted && { isDriftDetectionPlan: true }),
    }),
  }
  releaseLock(status)
  if (!changes) {
    run.condition(status, 'Plan', 'False', 'TerraformPlannedNoChanges', 'Plan no changes')
    settle(run, status, revision, 'True', 'TerraformPlannedNoChanges', `Plan no changes: ${revision}`)
    return
  }
  const reason = 'TerraformPlannedWithChanges'
  run.condition(status, 'Plan', 'True', reason, 'Plan generated')
  settle(run, status, revision, 'Unknown', reason, plannedMessage(run.spec, revision))
}

export function recordNoDrift(run: TerraformRun, status: TerraformStatus, revision: string, clock: Clock): void {
  releaseLock(status)
  settle(run, status, revision, 'True', 'NoDrift', `No drift: ${revision}`)
  recordSuccess(status, clock)
}

export function recordDrift(run: TerraformRun, status: TerraformStatus, revision: string, clock: Clock): void {
  status.lastDriftDetectedAt = timestamp(clock)
  releaseLock(status)
  settle(run, status, revision, 'False', 'DriftDetected', 'Plan: 0 to add, 1 to change, 0 to destroy.')
}

/** First this, then with the outputs Ready=True. */
export function recordApplied(run: TerraformRun, status: TerraformStatus, revision: string, clock: Clock): void {
  const { pending, isDestroyPlan, isDriftDetectionPlan } = status.plan ?? {}
  const message = appliedMessage(run.spec)
  run.condition(status, 'Apply', 'True', 'TerraformAppliedSucceed', message)
  if (isDriftDetectionPlan) status.lastAppliedByDriftDetectionAt = timestamp(clock)
  status.plan = { ...(pending && { lastApplied: pending }), ...(isDestroyPlan && { isDestroyPlan }) }
  status.lastAppliedRevision = revision
  releaseLock(status)
  settle(run, status, revision, 'Unknown', 'TerraformAppliedSucceed', `${message}: ${revision}`)
}

export function recordOutputs(run: TerraformRun, status: TerraformStatus, revision: string, clock: Clock): void {
  const [reason, message] = appliedReason(run.spec, revision)
  settle(run, status, revision, 'True', reason, message)
  recordSuccess(status, clock)
}

/** What an apply of `revision` that began at `at` (milliseconds since the epoch) shows while it runs. */
export function showApplying(status: TerraformStatus, revision: string, at: number): void {
  const since = { lastTransitionTime: `${new Date(at).toISOString().slice(0, 19)}Z`, status: 'True' } as const
  const { observedGeneration = 1 } = status
  removeConditions(status, 'Ready', 'Apply')
  const progress = { observedGeneration, ...since, reason: 'Progressing' }
  setCondition(status, { ...progress, type: 'Reconciling', message: 'Reconciliation in progress' })
  setCondition(status, { ...progress, type: 'Ready', status: 'Unknown', message: 'Applying' })
  setCondition(status, { ...progress, type: 'Plan', reason: 'TerraformPlannedWithChanges', message: 'Plan generated' })
  status.plan = { ...status.plan, pending: planId(revision) }
}

/** Reconcile returned without an error. */
export function recordSuccess(status: TerraformStatus, clock: Clock): void {
  delete status.reconciliationFailures
  removeConditions(status, 'Stalled')
  status.lastSuccessfulReconcileAt = timestamp(clock)
}

/** A failed phase, and the lock that was in its way: '' when the lock did not tell its id. */
export function recordFailure(
  run: TerraformRun,
  status: TerraformStatus,
  revision: string,
  { reason, message, lockId }: { reason: string; message: string; lockId?: string | undefined },
): void {
  if (lockId !== undefined) recordLock(run, status, lockId)
  if (reason === 'TFExecApplyFailed') {
    run.condition(status, 'Apply', 'False', 'TerraformAppliedFail', message)
    delete status.plan?.pending
  }
  settle(run, status, revision, 'False', reason, message)
}

export function recordForceUnlock(run: TerraformRun, status: TerraformStatus, lockId: string): void {
  const message = `Terraform Force Unlock with Lock Identifier: ${lockId}`
  run.condition(status, 'StateLocked', 'False', 'ForceUnlock', message)
  status.lock = { lastApplied: lockId }
}

export function countFailure(status: TerraformStatus): void {
  status.reconciliationFailures = (status.reconciliationFailures ?? 0) + 1
}

/** Its retries are spent. */
export function stall(run: TerraformRun, status: TerraformStatus): void {
  removeConditions(status, 'Reconciling')
  run.condition(status, 'Stalled', 'True', 'RetryLimitReached', 'Resource reached maximum number of retries.')
}

export function appliedReason(spec: TerraformSpec, revision: string): [reason: string, message: string] {
  if (spec.writeOutputsToSecret) return ['TerraformOutputsWritten', `Outputs written: ${revision}`]
  return ['TerraformAppliedSucceed', `${appliedMessage(spec)}: ${revision}`]
}

function appliedMessage({ destroy }: TerraformSpec): string {
  return destroy ? 'Destroy applied successfully' : 'Applied successfully'
}

/** `lastApplied` is the id that was pending before: from the second failure on it repeats, and says nothing. */
function recordLock(run: TerraformRun, status: TerraformStatus, lockId: string): void {
  const message = `Terraform Locked with Lock Identifier: ${lockId}`
  run.condition(status, 'StateLocked', 'True', 'LockHeld', message)
  const lastApplied = status.lock?.pending || status.lock?.lastApplied
  status.lock = { ...(lastApplied && { lastApplied }), ...(lockId && { pending: lockId }) }
}

function releaseLock(status: TerraformStatus): void {
  removeConditions(status, 'StateLocked')
  delete status.lock
}

function settle(
  run: TerraformRun,
  status: TerraformStatus,
  revision: string,
  ready: 'True' | 'False' | 'Unknown',
  reason: string,
  message: string,
): void {
  if (ready !== 'Unknown') removeConditions(status, 'Reconciling')
  run.condition(status, 'Ready', ready, reason, message)
  status.observedGeneration = run.generation
  status.lastAttemptedRevision = revision
}

/** Drift was found after the last apply. */
function hasDrifted(status: TerraformStatus): boolean {
  const applied = conditionOf(status, 'Apply')
  if (applied?.status !== 'True' || status.lastDriftDetectedAt === undefined) return false
  // Whole seconds: in the same one, the drift came later.
  return Date.parse(status.lastDriftDetectedAt) >= Date.parse(applied.lastTransitionTime)
}

function plannedMessage(spec: TerraformSpec, revision: string): string {
  if (spec.planOnly && !spec.force) return 'Plan generated: This object is in the plan only mode.'
  if (isAutomatic(spec)) return 'Plan generated'
  return `Plan generated: set approvePlan: "${planId(revision)}" to approve this plan.`
}
