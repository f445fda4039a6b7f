import * as z from 'zod'
import { each } from '../../each.ts'
import { objectSchema } from '../../flux/object.ts'
import type { AnyKind, Cluster } from '../../kubernetes/cluster.ts'
import { shaped } from '../../locks/evidence/unexpected-shape.ts'
import type { UnlockPlan } from '../plan/unlock-plan.ts'
import { type Change, type Intent, refOfKey } from './intent.ts'

const heldSchema = objectSchema.extend({
  metadata: objectSchema.shape.metadata.extend({ uid: z.string().min(1) }),
  spec: z.looseObject({
    replicas: z.number().optional(),
    suspend: z.boolean().optional(),
    tfstate: z
      .looseObject({ forceUnlock: z.enum(['no', 'yes', 'auto']).optional(), lockIdentifier: z.string().optional() })
      .optional(),
  }),
})

/** Objects that are read at a time. */
const width = 16

/**
 * What an unlock by this plan is about to change, and how it is now: to be read under the cluster's turn, when no other
 * unlock holds anything. `changes` may be empty: everything is held already. Rejects with ClusterError; ClusterNotFound
 * where something is gone by now.
 */
export async function intentOf(
  { deployment, object, lock, holds, rung }: UnlockPlan,
  { unlock, at }: { readonly unlock: string; readonly at: number },
  cluster: Cluster,
): Promise<Omit<Intent, 'changes'> & { readonly changes: readonly Change[] }> {
  const controller = await read(cluster, deployment)
  const locked = await read(cluster, object)
  const suspended = new Map<string, Change>()
  await each(holds, width, async (key) => {
    const { metadata, spec } = await read(cluster, key)
    // Somebody has just suspended it: so it stays.
    if (spec.suspend === true) return
    suspended.set(key, { field: 'suspend', object: key, uid: metadata.uid, from: spec.suspend ?? null, to: true })
  })
  const replicas = controller.spec.replicas ?? 1
  const scale = { field: 'replicas', object: deployment, uid: controller.metadata.uid, from: replicas, to: 0 } as const
  return {
    ...{ unlock, cluster: cluster.name, at },
    deployment: { object: deployment, uid: controller.metadata.uid },
    locked: { object, uid: locked.metadata.uid, lock },
    changes: [
      ...holds.flatMap((key) => suspended.get(key) ?? []),
      ...(rung === 'quiesce' && replicas > 0 ? [scale] : []),
      ...(rung === 'controller-assisted' ? [forced(object, locked, lock)] : []),
    ],
  }
}

type Held = z.infer<typeof heldSchema>

function forced(object: string, { metadata, spec }: Held, lock: string): Change {
  const { forceUnlock, lockIdentifier } = spec.tfstate ?? {}
  const isThere = forceUnlock !== undefined || lockIdentifier !== undefined
  const from = { ...(forceUnlock && { forceUnlock }), ...(lockIdentifier !== undefined && { lockIdentifier }) }
  const to = { forceUnlock: 'yes', lockIdentifier: lock } as const
  return { field: 'forceUnlock', object, uid: metadata.uid, from: isThere ? from : null, to }
}

async function read(cluster: Cluster, key: string): Promise<Held> {
  return shaped(key, heldSchema, await cluster.get(refOfKey<AnyKind>(key)))
}
