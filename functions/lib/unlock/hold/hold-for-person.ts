import * as z from 'zod'
import { heldAnnotation } from '../../flux/annotations.ts'
import { objectSchema } from '../../flux/object.ts'
import type { Cluster } from '../../kubernetes/cluster.ts'
import { patchAsRead } from '../../kubernetes/patch-as-read.ts'
import { shaped } from '../../locks/evidence/unexpected-shape.ts'
import { type Intent, refOfKey } from './intent.ts'

const suspendableSchema = objectSchema.extend({ spec: z.looseObject({ suspend: z.boolean().nullish() }) })

/**
 * Suspends an object until a person resumes it, and says why on it. What is suspended already stays as it is. Throws
 * ClusterError, UnexpectedShape.
 */
export function holdForPerson(cluster: Cluster, { object, uid }: Intent['locked'], why: string): Promise<void> {
  return patchAsRead(cluster, refOfKey<'Terraform'>(object), (raw) => {
    const found = raw === undefined ? undefined : shaped(object, suspendableSchema, raw)
    if (found?.metadata.uid !== uid || found.spec.suspend === true) return { answer: undefined }
    const body = { metadata: { annotations: { [heldAnnotation]: why } }, spec: { suspend: true } }
    return { answer: undefined, patch: { body, resourceVersion: found.metadata.resourceVersion } }
  })
}
