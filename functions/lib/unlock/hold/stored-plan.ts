import * as z from 'zod'
import type { Cluster } from '../../kubernetes/cluster.ts'
import { patchAsRead } from '../../kubernetes/patch-as-read.ts'
import { shaped } from '../../locks/evidence/unexpected-shape.ts'
import { type Intent, refOfKey } from './intent.ts'

const terraformSchema = z.looseObject({
  metadata: z.looseObject({ uid: z.string(), resourceVersion: z.string() }),
  status: z
    .looseObject({
      plan: z.looseObject({ pending: z.string().default('') }).optional(),
      lock: z.looseObject({ pending: z.string().default('') }).optional(),
    })
    .optional(),
})

/** What the controller would go on with. Empty texts: with nothing. */
export interface Pending {
  readonly plan: string
  readonly lock: string
}

/**
 * Makes the controller forget the plan that it stored for the object, and the lock of this unlock that it met: when it
 * comes back it would apply the one without a fresh plan, and with `forceUnlock: auto` fail on the other for ever. Another
 * lock, and one that is still there, it meets anew. Only while no controller works on the object. `beforehand` is called
 * before each try. Throws ClusterError, UnexpectedShape.
 */
export function clearPending(
  cluster: Cluster,
  { locked }: Intent,
  beforehand: (pending: Pending) => Promise<void>,
): Promise<void> {
  return patchAsRead(cluster, refOfKey<'Terraform'>(locked.object), async (raw) => {
    if (raw === undefined) return { answer: undefined }
    const { metadata, status } = shaped(locked.object, terraformSchema, raw)
    if (metadata.uid !== locked.uid) return { answer: undefined }
    const plan = status?.plan?.pending ?? ''
    const met = status?.lock?.pending ?? ''
    const lock = met === locked.lock ? met : ''
    if (plan === '' && lock === '') return { answer: undefined }
    await beforehand({ plan, lock })
    const body = {
      status: { ...(plan !== '' && { plan: { pending: '' } }), ...(lock !== '' && { lock: { pending: '' } }) },
    }
    return { answer: undefined, patch: { body, resourceVersion: metadata.resourceVersion, subresource: 'status' } }
  })
}
