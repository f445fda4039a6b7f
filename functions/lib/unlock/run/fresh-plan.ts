import * as z from 'zod'
import { requestedAt } from '../../flux/annotations.ts'
import { conditionSchema, objectSchema } from '../../flux/object.ts'
import type { Cluster } from '../../kubernetes/cluster.ts'
import { patchAsRead } from '../../kubernetes/patch-as-read.ts'
import { shaped } from '../../locks/evidence/unexpected-shape.ts'
import { type Intent, refOfKey } from '../hold/intent.ts'

type Locked = Intent['locked']

const terraformSchema = objectSchema.extend({
  status: z
    .looseObject({
      conditions: z.array(conditionSchema).default([]),
      lock: z.looseObject({ pending: z.string().default('') }).optional(),
    })
    .prefault({}),
})

/**
 * Makes tofu-controller forget what it has planned for an object, so that its next run plans afresh: what was planned before
 * a lock was broken must not be applied after it. Where one is named, the lock that it met is forgotten as well, if it is that one. Only while
 * no run of it goes on, or the run would write its own status over this. Does what `tfctl replan` does to the status
 * (tfctl/replan.go of flux-iac/tofu-controller). Nothing where the object is gone, or another one by now. Throws ClusterError,
 * UnexpectedShape.
 */
export function forgetPlan(
  cluster: Cluster,
  { object, uid, lock }: Pick<Locked, 'object' | 'uid'> & { readonly lock?: string },
  at: number,
): Promise<void> {
  return patchAsRead(cluster, refOfKey<'Terraform'>(object), (raw) => {
    const found = raw === undefined ? undefined : shaped(object, terraformSchema, raw)
    if (found?.metadata.uid !== uid) return { answer: undefined }
    const { metadata, status } = found
    const ready = {
      ...{ type: 'Ready', status: 'False', reason: 'ReplanRequested' },
      ...{ message: 'A fresh plan is asked for: its state was unlocked', observedGeneration: metadata.generation },
      lastTransitionTime: new Date(at).toISOString().replace(/\.\d+Z$/, 'Z'),
    }
    const body = {
      status: {
        conditions: [...status.conditions.filter(({ type }) => type !== 'Ready'), ready],
        plan: { pending: '' },
        ...{ lastPlannedRevision: '', lastAttemptedRevision: '' },
        ...(lock !== undefined && status.lock?.pending === lock && { lock: { pending: '' } }),
      },
    }
    return { answer: undefined, patch: { body, resourceVersion: metadata.resourceVersion, subresource: 'status' } }
  })
}

/**
 * Asks for a run. False where there is nothing to ask: the object is gone, another one by now, or suspended. Throws
 * ClusterError, UnexpectedShape.
 */
export function requestRun(cluster: Cluster, { object, uid }: Locked, token: string): Promise<boolean> {
  return patchAsRead<boolean>(cluster, refOfKey<'Terraform'>(object), (raw) => {
    const found = raw === undefined ? undefined : shaped(object, suspendableSchema, raw)
    if (found?.metadata.uid !== uid || found.spec.suspend === true) return { answer: false }
    const { annotations, resourceVersion } = found.metadata
    if (annotations[requestedAt] === token) return { answer: true }
    return { answer: true, patch: { body: { metadata: { annotations: { [requestedAt]: token } } }, resourceVersion } }
  })
}

const suspendableSchema = objectSchema.extend({ spec: z.looseObject({ suspend: z.boolean().nullish() }) })
