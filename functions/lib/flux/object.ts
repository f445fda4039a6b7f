import * as z from 'zod'
import { LockstepError } from '../errors.ts'
import type { Kind } from '../kubernetes/cluster.ts'
import { gateAnnotation } from './annotations.ts'

/**
 * Fields that every object has, as far as Lockstep reads them. Objects come from a cluster that people and
 * controllers write to, so each is parsed, and a field of the wrong type is an error that names the object.
 */
export const objectSchema = z.looseObject({
  metadata: z.looseObject({
    name: z.string().min(1),
    namespace: z.string().min(1),
    uid: z.string().default(''),
    resourceVersion: z.string().default(''),
    generation: z.number().default(0),
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
    managedFields: z
      .array(z.looseObject({ manager: z.string().default(''), fieldsV1: z.record(z.string(), z.unknown()).optional() }))
      .default([]),
  }),
})

export const conditionSchema = z.looseObject({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().default(''),
  message: z.string().default(''),
  /** RFC 3339. */
  lastTransitionTime: z.string().optional(),
})

export type Condition = z.infer<typeof conditionSchema>

/** Fields of `status` that all Flux kinds share. */
export const statusFields = {
  observedGeneration: z.number().default(-1),
  lastHandledReconcileAt: z.string().optional(),
  conditions: z.array(conditionSchema).default([]),
}

/** An object whose fields do not have the types that its CRD promises. */
export class ObjectUnreadable extends LockstepError {
  constructor(kind: Kind, raw: unknown, error: z.ZodError) {
    const metadata = (raw as { metadata?: { namespace?: unknown; name?: unknown } } | undefined)?.metadata
    const fields = error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
    super(
      'ObjectUnreadable',
      `${kind}/${String(metadata?.namespace)}/${String(metadata?.name)} cannot be read: ${fields}.`,
      'Check that the cluster serves the versions that Lockstep supports (Flux 2, tofu-controller 0.16).',
    )
  }
}

/** Parses `raw` with `schema`. Throws ObjectUnreadable. */
export function parseObject<T>(kind: Kind, schema: z.ZodType<T>, raw: unknown): T {
  const parsed = schema.safeParse(raw)
  if (!parsed.success) throw new ObjectUnreadable(kind, raw, parsed.error)
  return parsed.data
}

/** `namespace/name` of a raw object, or undefined when it has none. */
export function nameOf(raw: unknown): string | undefined {
  const parsed = objectSchema.safeParse(raw)
  return parsed.success ? `${parsed.data.metadata.namespace}/${parsed.data.metadata.name}` : undefined
}

/** The rollout that holds a raw object by its gate, if any. */
export function gateOf(raw: unknown): string | undefined {
  const parsed = objectSchema.safeParse(raw)
  return parsed.success ? parsed.data.metadata.annotations[gateAnnotation] : undefined
}

export function condition(conditions: readonly Condition[], type: string): Condition | undefined {
  return conditions.find((candidate) => candidate.type === type)
}

/** A time as Kubernetes writes it, in milliseconds since the epoch; undefined where it is none. */
export function timeOf(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? undefined : time
}
