import * as z from 'zod'
import {
  approvedPlanAnnotation,
  dependsOnAnnotation,
  gateAnnotation,
  gitFieldManager,
  heldAnnotation,
  layerLabel,
  ourFieldManager,
  ownerLabels,
  requestedAt,
} from './annotations.ts'
import { type Condition, condition, objectSchema, parseObject, statusFields } from './object.ts'

export type WorkloadKind = 'Kustomization' | 'HelmRelease' | 'Terraform'

export const workloadKinds: readonly WorkloadKind[] = ['Kustomization', 'HelmRelease', 'Terraform']

export function isWorkloadKind(kind: string): kind is WorkloadKind {
  return (workloadKinds as readonly string[]).includes(kind)
}

/** An object that Lockstep puts in order: what a source feeds. */
export interface Workload {
  readonly kind: WorkloadKind
  readonly namespace: string
  readonly name: string
  readonly key: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  readonly observedGeneration: number
  readonly deleting: boolean
  readonly suspended: boolean
  /** `spec.suspend` is in the manifest: whoever changes it on the cluster loses it at the parent's next apply. */
  readonly suspendOwnedByGit: boolean
  /** It is suspended, nobody but Lockstep has set that, and it does not wait for a person. */
  readonly suspendedByUsOnly: boolean
  /** The rollout that suspended it, if one did. */
  readonly gate: string | undefined
  readonly layer: string | undefined
  /** Keys of the objects that it names, each with where it names them. */
  readonly dependsOn: readonly { readonly key: string; readonly by: 'dependsOn' | 'annotation' }[]
  /** Annotation entries that are not `Kind/namespace/name`. */
  readonly malformedDependencies: readonly string[]
  /** Key of the source that feeds it (`GitRepository/ns/name`, `HelmChart/ns/name`, ...). */
  readonly source: string | undefined
  /** Key of the Kustomization that applied it. */
  readonly owner: string | undefined
  /** Kustomization: which of the objects that it applies it waits for before it is Ready. */
  readonly waitsFor: 'all' | readonly string[]
  /** Kustomization: it applies (or applied) objects that Lockstep orders, so its reconcile can change the graph. */
  readonly appliesWorkloads: boolean
  readonly requested: string | undefined
  readonly handled: string | undefined
  readonly conditions: readonly Condition[]
  readonly lastAttemptedRevision: string | undefined
  readonly lastAppliedRevision: string | undefined
  readonly lastAppliedOriginRevision: string | undefined
  /** Terraform only. */
  readonly lastPlannedRevision: string | undefined
  readonly pendingPlan: string | undefined
  readonly driftDetectionOnly: boolean
  /** Terraform only: how its plans are approved, and kept. */
  readonly planning: Planning | undefined
  /** The lock that its last run met: empty where the error did not tell which. Undefined where it met none. */
  readonly metLock: string | undefined
}

/** What a Terraform object says of its plans. */
export interface Planning {
  /** `''`: a person approves each. `auto`, `disable`, or the id of the one plan that may be applied. */
  readonly approvePlan: string
  /** The Kustomization whose manifest sets `spec.approvePlan`: what else is there goes with its next apply. */
  readonly approvePlanOwnedBy: string | undefined
  /** Nothing is ever applied. */
  readonly planOnly: boolean
  /** Everything is applied, whatever `approvePlan` says. */
  readonly force: boolean
  readonly workspace: string
  readonly storesReadable: 'none' | 'json' | 'human'
  /** The plan that waits destroys everything. */
  readonly destroys: boolean
  /** When the last plan was made: RFC 3339, to the second. */
  readonly plannedAt: string | undefined
  readonly plannedGeneration: number | undefined
  /** See `approvalMark`. */
  readonly approvedMark: string | undefined
}

const refSchema = z.looseObject({ name: z.string(), namespace: z.string().optional() })
const sourceRefSchema = refSchema.extend({ kind: z.string() })

const workloadSchema = objectSchema.extend({
  spec: z.looseObject({
    suspend: z.boolean().default(false),
    dependsOn: z.array(refSchema).default([]),
    sourceRef: sourceRefSchema.optional(),
    // Kustomization
    wait: z.boolean().default(false),
    healthChecks: z.array(refSchema.extend({ kind: z.string() })).default([]),
    // HelmRelease
    chart: z.looseObject({ spec: z.looseObject({ sourceRef: sourceRefSchema }) }).optional(),
    chartRef: sourceRefSchema.optional(),
    // Terraform
    approvePlan: z.string().optional(),
    planOnly: z.boolean().default(false),
    force: z.boolean().default(false),
    workspace: z.string().optional(),
    storeReadablePlan: z.string().optional(),
  }),
  status: z
    .looseObject({
      ...statusFields,
      lastAttemptedRevision: z.string().optional(),
      lastAppliedRevision: z.string().optional(),
      lastAppliedOriginRevision: z.string().optional(),
      lastPlannedRevision: z.string().optional(),
      helmChart: z.string().optional(),
      lastPlanAt: z.string().optional(),
      lastPlannedGeneration: z.number().optional(),
      plan: z.looseObject({ pending: z.string().optional(), isDestroyPlan: z.boolean().optional() }).optional(),
      lock: z.looseObject({ pending: z.string().optional() }).nullish(),
      inventory: z.looseObject({ entries: z.array(z.unknown()).default([]) }).nullish(),
    })
    .prefault({}),
})

type Parsed = z.infer<typeof workloadSchema>

/** Parses an object that Lockstep orders. Throws ObjectUnreadable. */
export function parseWorkload(kind: WorkloadKind, raw: unknown): Workload {
  const { metadata, spec, status } = parseObject(kind, workloadSchema, raw)
  const annotated = parseDependencies(metadata.annotations[dependsOnAnnotation])
  return {
    kind,
    namespace: metadata.namespace,
    name: metadata.name,
    key: `${kind}/${metadata.namespace}/${metadata.name}`,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    generation: metadata.generation,
    observedGeneration: status.observedGeneration,
    deleting: metadata.deletionTimestamp !== undefined,
    suspended: spec.suspend,
    suspendOwnedByGit: metadata.managedFields.some(
      (entry) => entry.manager === gitFieldManager && ownsSuspend(entry.fieldsV1),
    ),
    suspendedByUsOnly:
      spec.suspend && metadata.annotations[heldAnnotation] === undefined && isOnlyOurs(metadata.managedFields),
    gate: metadata.annotations[gateAnnotation],
    layer: metadata.labels[layerLabel],
    dependsOn: [
      ...spec.dependsOn.map((ref) => ({
        key: `${kind}/${ref.namespace ?? metadata.namespace}/${ref.name}`,
        by: 'dependsOn' as const,
      })),
      ...annotated.keys.map((key) => ({ key, by: 'annotation' as const })),
    ],
    malformedDependencies: annotated.malformed,
    source: sourceOf(kind, metadata, spec, status),
    owner: ownerOf(metadata.labels),
    waitsFor: waitsFor(spec, metadata.namespace),
    appliesWorkloads: kind === 'Kustomization' && (status.inventory?.entries ?? []).some(isWorkloadEntry),
    requested: metadata.annotations[requestedAt],
    handled: status.lastHandledReconcileAt,
    conditions: status.conditions,
    lastAttemptedRevision: status.lastAttemptedRevision,
    lastAppliedRevision: status.lastAppliedRevision,
    lastAppliedOriginRevision: status.lastAppliedOriginRevision,
    lastPlannedRevision: status.lastPlannedRevision,
    pendingPlan: status.plan?.pending || undefined,
    driftDetectionOnly: spec.approvePlan === 'disable',
    planning: kind === 'Terraform' ? planningOf({ metadata, spec, status }) : undefined,
    metLock: condition(status.conditions, 'StateLocked')?.status === 'True' ? (status.lock?.pending ?? '') : undefined,
  }
}

function planningOf({ metadata, spec, status }: Parsed): Planning {
  const isOfGit = metadata.managedFields.some(
    ({ manager, fieldsV1 }) => manager === gitFieldManager && owns('f:approvePlan', fieldsV1),
  )
  const { storeReadablePlan: stores } = spec
  return {
    approvePlan: spec.approvePlan ?? '',
    approvePlanOwnedBy: isOfGit ? ownerOf(metadata.labels) : undefined,
    planOnly: spec.planOnly,
    force: spec.force,
    workspace: spec.workspace || 'default',
    storesReadable: stores === 'json' || stores === 'human' ? stores : 'none',
    destroys: status.plan?.isDestroyPlan ?? false,
    plannedAt: status.lastPlanAt,
    plannedGeneration: status.lastPlannedGeneration,
    approvedMark: metadata.annotations[approvedPlanAnnotation],
  }
}

/** Splits the annotation; entries that are not `Kind/namespace/name` of an ordered kind are returned as malformed. */
function parseDependencies(text: string | undefined): { keys: string[]; malformed: string[] } {
  const entries = (text ?? '')
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map((entry) => ({ entry, parts: entry.split('/') }))
  const wellFormed = ({ parts }: { parts: string[] }) =>
    parts.length === 3 && isWorkloadKind(parts[0] ?? '') && parts.every((part) => part !== '')
  return {
    keys: entries.filter(wellFormed).map(({ entry }) => entry),
    malformed: entries.filter((entry) => !wellFormed(entry)).map(({ entry }) => entry),
  }
}

/**
 * HelmRelease: the HelmChart that helm-controller makes is named `<namespace>-<name>` and lives in the namespace of
 * the chart's source (helm-controller, api/v2 GetHelmChartName); `chartRef` points at a chart source directly.
 */
function sourceOf(
  kind: WorkloadKind,
  metadata: Parsed['metadata'],
  spec: Parsed['spec'],
  status: Parsed['status'],
): string | undefined {
  if (kind !== 'HelmRelease') {
    const ref = spec.sourceRef
    return ref && `${ref.kind}/${ref.namespace ?? metadata.namespace}/${ref.name}`
  }
  if (spec.chartRef)
    return `${spec.chartRef.kind}/${spec.chartRef.namespace ?? metadata.namespace}/${spec.chartRef.name}`
  if (!spec.chart) return undefined
  const namespace = spec.chart.spec.sourceRef.namespace ?? metadata.namespace
  return status.helmChart
    ? `HelmChart/${status.helmChart}`
    : `HelmChart/${namespace}/${metadata.namespace}-${metadata.name}`
}

function ownerOf(labels: Record<string, string>): string | undefined {
  const name = labels[ownerLabels.name]
  const namespace = labels[ownerLabels.namespace]
  return name && namespace ? `Kustomization/${namespace}/${name}` : undefined
}

function waitsFor(spec: Parsed['spec'], namespace: string): 'all' | readonly string[] {
  if (spec.wait) return 'all'
  return spec.healthChecks
    .filter((check) => isWorkloadKind(check.kind))
    .map((check) => `${check.kind}/${check.namespace ?? namespace}/${check.name}`)
}

/** Inventory ids are `<namespace>_<name>_<group>_<kind>` (kustomize-controller, ResourceRef). */
function isWorkloadEntry(entry: unknown): boolean {
  const parsed = z.looseObject({ id: z.string() }).safeParse(entry)
  return parsed.success && isWorkloadKind(parsed.data.id.split('_').at(-1) ?? '')
}

function isOnlyOurs(entries: Parsed['metadata']['managedFields']): boolean {
  const owners = entries.filter(({ fieldsV1 }) => ownsSuspend(fieldsV1))
  return owners.length > 0 && owners.every(({ manager }) => manager === ourFieldManager)
}

function ownsSuspend(fields: Record<string, unknown> | undefined): boolean {
  return owns('f:suspend', fields)
}

function owns(field: string, fields: Record<string, unknown> | undefined): boolean {
  const spec = fields?.['f:spec']
  return typeof spec === 'object' && spec !== null && field in spec
}
