import * as z from 'zod'
import { backendConfigSchema } from '../../../../functions/lib/locks/backends/backend-block.ts'
import { conditionOf, type Status } from '../conditions.ts'
import { durationMs } from '../durations.ts'
import type { Run } from '../reconcile-loop.ts'
import { dependsOnSchema, sourceRefSchema } from '../source-cache.ts'

/** `spec` of a Terraform, as far as the simulation reads it. */
export const terraformSpecSchema = z.looseObject({
  interval: durationMs,
  retryInterval: durationMs.default(15_000),
  path: z.string().default('./'),
  workspace: z.string().default('default'),
  suspend: z.boolean().default(false),
  approvePlan: z.string().default(''),
  planOnly: z.boolean().default(false),
  storeReadablePlan: z.enum(['none', 'json', 'human']).default('none'),
  force: z.boolean().default(false),
  destroy: z.boolean().default(false),
  disableDriftDetection: z.boolean().default(false),
  alwaysCleanupRunnerPod: z.boolean().default(true),
  runnerTerminationGracePeriodSeconds: z.number().int().default(30),
  serviceAccountName: z.string().default('tf-runner'),
  backendConfig: backendConfigSchema.optional(),
  tfstate: z
    .looseObject({ forceUnlock: z.enum(['no', 'yes', 'auto']).default('no'), lockIdentifier: z.string().default('') })
    .optional(),
  plan: z.looseObject({ lock: z.boolean().default(true) }).optional(),
  writeOutputsToSecret: z.looseObject({ name: z.string() }).optional(),
  /** `remediation: {}` is 0 retries; without remediation, or below 0, there is no limit. */
  remediation: z.looseObject({ retries: z.number().int().default(0) }).optional(),
  sourceRef: sourceRefSchema,
  dependsOn: dependsOnSchema,
})

export type TerraformSpec = z.infer<typeof terraformSpecSchema>

/** `status` of a Terraform. What is empty is left out, as the controller does. */
export interface TerraformStatus extends Status {
  lastAppliedRevision?: string
  lastAttemptedRevision?: string
  lastPlannedRevision?: string
  lastPlannedGeneration?: number
  lastPlanAt?: string
  lastSuccessfulReconcileAt?: string
  lastDriftDetectedAt?: string
  lastAppliedByDriftDetectionAt?: string
  plan?: { lastApplied?: string; pending?: string; isDestroyPlan?: boolean; isDriftDetectionPlan?: boolean }
  lock?: { lastApplied?: string; pending?: string }
  reconciliationFailures?: number
}

export type TerraformRun = Run<TerraformSpec, TerraformStatus>

/** From the revision alone, so an approval says nothing about the plan's content: `plan-main-c1139c7fe7`. */
export function planId(revision: string): string {
  const [branch = '', sha = ''] = revision.split(/@[a-z0-9]+:/)
  return `plan-${branch}-${sha.slice(0, 10)}`
}

/** Whether plans are applied without anybody's approval. */
export function isAutomatic(spec: TerraformSpec): boolean {
  return spec.force || (spec.approvePlan === 'auto' && !spec.planOnly)
}

/**
 * Whether a run goes on towards an apply of that plan: the beginning of its id is enough for that, and then the plan is made
 * anew by every run, and applied by none.
 */
export function shouldApply(spec: TerraformSpec, plan: string): boolean {
  return isAutomatic(spec) || (spec.approvePlan !== '' && plan.startsWith(spec.approvePlan) && !spec.planOnly)
}

/** Whether a plan of that id may be applied. */
export function mayApply(spec: TerraformSpec, plan: string): boolean {
  return isAutomatic(spec) || (spec.approvePlan === plan && !spec.planOnly)
}

/**
 * How many milliseconds are left until the object is worked on; 0 is now. This is why a restart of the controller
 * reconciles nothing: "Skipping reconciliation: interval has not elapsed".
 */
export function untilDue(run: TerraformRun, revision: string, now: number): number {
  const { spec, status, token } = run
  if (spec.force) return 0
  if (token !== undefined && status.lastHandledReconcileAt !== token) return 0
  if (status.lastPlanAt === undefined || status.observedGeneration !== run.generation) return 0
  if (status.plan?.pending || status.lastAttemptedRevision !== revision) return 0
  const ready = conditionOf(status, 'Ready')
  if (ready?.reason === 'DependencyNotReady') return 0
  if (status.reconciliationFailures && ready?.status !== 'True') {
    return Math.max(0, Date.parse(status.lastPlanAt) + spec.retryInterval - now)
  }
  if (status.lastSuccessfulReconcileAt === undefined) return 0
  return Math.max(0, Date.parse(status.lastSuccessfulReconcileAt) + spec.interval - now)
}

/** Planned at this revision and generation, with nothing left to apply: the next run looks for drift. */
export function looksForDrift({ spec, status, generation }: TerraformRun, revision: string): boolean {
  if (spec.disableDriftDetection) return false
  if (spec.approvePlan === 'disable') return true
  if (status.plan?.pending || status.observedGeneration !== generation) return false
  return status.lastAttemptedRevision === revision && status.lastPlannedRevision === revision
}

export function retriesSpent(spec: TerraformSpec, status: TerraformStatus): boolean {
  const retries = spec.remediation?.retries ?? -1
  return retries >= 0 && (status.reconciliationFailures ?? 0) >= retries
}
