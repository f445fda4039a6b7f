import * as z from 'zod'
import { kubernetesTime, shaped } from './unexpected-shape.ts'

const leaseSchema = z.object({
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
  /** By the holder's clock. */
  readonly renewedAt: number | undefined
  readonly durationMs: number | undefined
}

/** Throws UnexpectedShape. */
export function leaseSeen(what: string, raw: unknown): LeaseSeen {
  const { spec } = shaped(what, leaseSchema, raw)
  const seconds = spec?.leaseDurationSeconds
  return {
    holder: spec?.holderIdentity || undefined,
    renewedAt: spec?.renewTime ?? undefined,
    durationMs: typeof seconds === 'number' ? seconds * 1_000 : undefined,
  }
}
