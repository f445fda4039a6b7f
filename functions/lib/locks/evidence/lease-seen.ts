import * as z from 'zod'
import { kubernetesTime, shaped } from './unexpected-shape.ts'

const renewalSchema = z.object({
  time: kubernetesTime,
  fieldsV1: z.object({ 'f:spec': z.object({ 'f:renewTime': z.unknown() }) }),
})

const leaseSchema = z.object({
  metadata: z
    .object({ managedFields: z.array(z.unknown()).nullish().catch(null) })
    .nullish()
    .catch(null),
  spec: z
    .object({
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.number().nullish(),
      renewTime: kubernetesTime.nullish(),
    })
    .nullish(),
})

/** A Lease that its holder renews: a node's, or that of a controller's leader. */
export interface LeaseSeen {
  readonly holder: string | undefined
  /** By the API server's clock where it has written that down (whole seconds), else by the holder's. */
  readonly renewedAt: number | undefined
  readonly durationMs: number | undefined
}

/** Throws UnexpectedShape. */
export function leaseSeen(what: string, raw: unknown): LeaseSeen {
  const { metadata, spec } = shaped(what, leaseSchema, raw)
  const renewals = (metadata?.managedFields ?? []).flatMap((entry) => renewalSchema.safeParse(entry).data?.time ?? [])
  const seconds = spec?.leaseDurationSeconds
  return {
    holder: spec?.holderIdentity || undefined,
    renewedAt: renewals.length > 0 ? Math.max(...renewals) : (spec?.renewTime ?? undefined),
    durationMs: typeof seconds === 'number' ? seconds * 1_000 : undefined,
  }
}
