import * as z from 'zod'
import { condition, conditionSchema } from '../../flux/object.ts'
import type { ObjectEvidence } from '../evidence.ts'
import { oneLine } from './one-line.ts'
import { shaped } from './unexpected-shape.ts'

/** No lock's ID is longer. */
const longestId = 300

const terraformSchema = z.object({
  spec: z.object({ suspend: z.boolean().nullish() }),
  status: z
    .object({
      conditions: z.array(conditionSchema).nullish(),
      lock: z.object({ pending: z.string().nullish() }).nullish(),
    })
    .nullish(),
})

/** What a raw Terraform object says of its run and of the lock that it met. Throws UnexpectedShape. */
export function objectEvidence(what: string, raw: unknown): ObjectEvidence {
  const { spec, status } = shaped(what, terraformSchema, raw)
  const conditions = status?.conditions ?? []
  const ready = condition(conditions, 'Ready')
  const isTrue = (type: string) => condition(conditions, type)?.status === 'True'
  const pendingLock = status?.lock?.pending
  return {
    exists: true,
    suspended: spec.suspend ?? false,
    ready: ready?.status ?? 'Unknown',
    reason: oneLine(ready?.reason ?? ''),
    message: oneLine(ready?.message ?? ''),
    reconciling: isTrue('Reconciling'),
    stateLocked: isTrue('StateLocked'),
    ...(pendingLock && { pendingLock: pendingLock.slice(0, longestId) }),
  }
}
