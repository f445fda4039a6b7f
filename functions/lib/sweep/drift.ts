import * as z from 'zod'
import { condition, timeOf } from '../flux/object.ts'
import { describe } from './describe.ts'
import type { Found } from './finding.ts'
import type { SweptWorkload } from './swept-cluster.ts'

const driftSchema = z.object({
  spec: z
    .object({
      approvePlan: z.string().nullish().catch(undefined),
      disableDriftDetection: z.boolean().nullish().catch(undefined),
      driftDetection: z
        .object({ mode: z.string().nullish().catch(undefined) })
        .nullish()
        .catch(undefined),
    })
    .catch({}),
  status: z
    .object({
      lastDriftDetectedAt: z.string().optional().catch(undefined),
      lastAppliedByDriftDetectionAt: z.string().optional().catch(undefined),
      lastSuccessfulReconcileAt: z.string().optional().catch(undefined),
    })
    .catch({}),
})

type Drift = z.infer<typeof driftSchema>

/** For so long it is told that drift was found and corrected, in milliseconds. */
const toldForMs = 24 * 3_600_000

/** What an object's own drift detection has found, and whether it looks at all. */
export function driftOf({ raw, workload }: SweptWorkload, now: number): Found[] {
  const drift = driftSchema.parse(raw)
  const { key, kind } = workload
  const found = kind === 'Terraform' ? terraformDrift(workload, drift, now) : reportedDrift(workload)
  const off = whyOff(raw, kind, drift)
  if (off === undefined) return found
  const text = `Nobody looks for drift of ${key}: ${off}.`
  return [...found, { kind: 'detection-off', object: key, text, next: 'Take that out of its manifest in Git.' }]
}

/**
 * tofu-controller (controllers/tf_controller_drift_detect.go) ends a run that found drift with Ready=False DriftDetected
 * where plans are approved by hand, and tries again after retryInterval: in between it says that it works. With `auto` it
 * applies the plan, and only two times in the status tell of it.
 */
function terraformDrift({ key, conditions }: SweptWorkload['workload'], { spec, status }: Drift, now: number): Found[] {
  const detectedAt = timeOf(status.lastDriftDetectedAt)
  const ready = condition(conditions, 'Ready')
  const corrected = timeOf(status.lastAppliedByDriftDetectionAt)
  const settled = Math.max(corrected ?? 0, timeOf(status.lastSuccessfulReconcileAt) ?? 0)
  const isBetweenTries = ready?.status === 'Unknown' && detectedAt !== undefined && detectedAt > settled
  if (ready?.reason === 'DriftDetected' || isBetweenTries) {
    const why = spec.approvePlan === 'disable' ? 'it only reports drift' : 'its plans are approved by hand'
    return [
      {
        ...{ kind: 'drift', object: key, about: 'open', ...(detectedAt !== undefined && { since: detectedAt }) },
        text: `${key} has drifted: what runs is not what Git says, and that stays so because ${why}.`,
        next: `Look at the plan in its status (${describe(key)}). Then change Git, or have it applied: spec.approvePlan: auto.`,
      },
    ]
  }
  if (corrected === undefined || corrected > now || now - corrected > toldForMs) return []
  const at = new Date(corrected).toISOString()
  return [
    {
      ...{ kind: 'drift', object: key, about: 'corrected', since: corrected },
      text: `${key} had drifted, and was put back to what Git says at ${at}.`,
      next: 'Find out who changes by hand what it manages: a change that is to stay belongs into Git.',
    },
  ]
}

/** Any other controller that says so in a condition. */
function reportedDrift({ key, conditions }: SweptWorkload['workload']): Found[] {
  if (!conditions.some(({ reason }) => reason === 'DriftDetected')) return []
  const text = `${key} has drifted: what runs is not what Git says.`
  return [{ kind: 'drift', object: key, about: 'open', text, next: `Look at what differs: ${describe(key)}` }]
}

const metadataSchema = z.object({
  metadata: z.object({ annotations: z.record(z.string(), z.string()).nullish().catch(undefined) }),
})

/** Annotations that keep kustomize-controller from correcting an object: https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources */
const reconcileAnnotation = 'kustomize.toolkit.fluxcd.io/reconcile'
const applyAnnotation = 'kustomize.toolkit.fluxcd.io/ssa'

/** Only what somebody has written down: helm-controller's default, which is off, is no finding for every release. */
function whyOff(raw: unknown, kind: string, { spec }: Drift): string | undefined {
  if (kind === 'Terraform' && spec.disableDriftDetection) return 'spec.disableDriftDetection is set'
  if (kind === 'HelmRelease' && spec.driftDetection?.mode === 'disabled') return 'spec.driftDetection.mode is disabled'
  const annotations = metadataSchema.safeParse(raw).data?.metadata.annotations ?? {}
  if (annotations[reconcileAnnotation] === 'disabled') return `${reconcileAnnotation} is disabled`
  const apply = annotations[applyAnnotation]?.toLowerCase()
  return apply === 'ignore' || apply === 'ifnotpresent' ? `${applyAnnotation} is ${apply}` : undefined
}
