import * as z from 'zod'
import { condition, conditionSchema, objectSchema } from '../lib/flux/object.ts'
import { getIfThere } from '../lib/kubernetes/get-if-there.ts'
import { oneLine } from '../lib/locks/evidence/one-line.ts'
import { shaped } from '../lib/locks/evidence/unexpected-shape.ts'
import type { LockPorts } from '../lib/step.ts'
import { refOfKey } from '../lib/unlock/intent.ts'
import { UnderWay } from '../lib/unlock/under-way.ts'
import { waitSlice } from '../lib/unlock/wait-slice.ts'

/** What has become of the fresh plan. `none`: nobody runs the object, as a person or a rollout holds it. */
export type FreshPlan = 'planned' | 'failed' | 'none'

export interface Verified {
  /** False where it takes longer than a slice: call again. */
  readonly done: boolean
  readonly plan?: FreshPlan
}

/**
 * Waits for the fresh plan. A plan that fails is told, and is no failure of the unlock; nor is one that others hold back, or
 * that comes late. Throws ClusterError.
 */
export async function verify(unlock: string, ports: LockPorts): Promise<Verified> {
  const underWay = await UnderWay.read(unlock, ports)
  const { token, locked, fence, deletedAt } = underWay.run
  if (token === undefined || !locked || !fence || deletedAt === undefined) return { done: true, plan: 'none' }
  const cluster = await underWay.cluster()
  let seen: FreshPlan | undefined
  const deadline = (await underWay.waitingSince('the fresh plan')) + fence.planMs
  await underWay.takeTurn()
  const look = async () => {
    seen = freshPlanIn(await getIfThere(cluster, refOfKey<'Terraform'>(locked.object)), locked, deletedAt)
    return seen !== undefined || ports.clock.now() >= deadline
  }
  const { clock, sliceMs } = ports
  const done = await waitSlice(look, { clock, sliceMs, deadline: Number.POSITIVE_INFINITY, late: () => new Error() })
  if (!done) return { done }
  const plan = seen ?? 'none'
  await underWay.record('plan', 'the fresh plan', { object: locked.object, plan })
  if (plan === 'planned') await underWay.note({ plannedAt: clock.now() })
  return { done, plan }
}

const terraformSchema = objectSchema.extend({
  spec: z.looseObject({ suspend: z.boolean().nullish() }),
  status: z
    .looseObject({
      conditions: z.array(conditionSchema).default([]),
      lastPlannedRevision: z.string().default(''),
      lastPlanAt: z.string().optional(),
      lastDriftDetectedAt: z.string().optional(),
    })
    .prefault({}),
})

/** Reasons of Ready that a run ends with before it could plan, or that the replan itself has set. */
const notRun: ReadonlySet<string> = new Set(['ReplanRequested', 'DependencyNotReady', 'ArtifactFailed'])

/** Undefined while it is waited for. What was planned before was forgotten: whatever is there is fresh. */
export function freshPlanIn(
  raw: unknown,
  { object, uid }: { readonly object: string; readonly uid: string },
  since: number,
): FreshPlan | undefined {
  const found = raw === undefined ? undefined : shaped(object, terraformSchema, raw)
  if (found?.metadata.uid !== uid || found.spec.suspend === true) return 'none'
  const { conditions, lastPlannedRevision, lastPlanAt, lastDriftDetectedAt } = found.status
  const times = [lastPlanAt, lastDriftDetectedAt].map((time) => Date.parse(oneLine(time ?? '')))
  // The status has whole seconds.
  const isSince = times.some((time) => time >= Math.floor(since / 1_000) * 1_000)
  if (lastPlannedRevision !== '' && isSince) return 'planned'
  const ready = condition(conditions, 'Ready')
  return ready?.status === 'False' && !notRun.has(ready.reason) ? 'failed' : undefined
}
