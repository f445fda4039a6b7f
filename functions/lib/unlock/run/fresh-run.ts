import * as z from 'zod'
import { condition, conditionSchema, objectSchema } from '../../flux/object.ts'
import { shaped } from '../../locks/evidence/unexpected-shape.ts'
import type { Intent } from '../hold/intent.ts'
import { isRunning } from './terraform-run.ts'

/** The first run of an object after its lock was deleted, as its status tells of it. */
export interface FreshRun {
  /** Undefined while it is waited for. `none`: nobody runs the object. */
  readonly plan?: 'planned' | 'failed' | 'none'
  /** It may have written the state. */
  readonly mayApply: boolean
}

const terraformSchema = objectSchema.extend({
  spec: z.looseObject({
    suspend: z.boolean().nullish(),
    approvePlan: z.string().default(''),
    planOnly: z.boolean().nullish(),
    force: z.boolean().nullish(),
  }),
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

/**
 * How the fresh run of an object is getting on. What was planned before was forgotten: whatever is there is fresh. Throws
 * UnexpectedShape.
 */
export function freshRunIn(raw: unknown, { object, uid }: Intent['locked'], since: number): FreshRun {
  const found = raw === undefined ? undefined : shaped(object, terraformSchema, raw)
  if (found?.metadata.uid !== uid) return { plan: 'none', mayApply: false }
  const { suspend, approvePlan, planOnly, force } = found.spec
  const mayApply = force === true || (planOnly !== true && approvePlan !== '' && approvePlan !== 'disable')
  if (suspend === true) return { plan: 'none', mayApply }
  if (isRunning(raw)) return { mayApply }
  const { conditions, lastPlannedRevision, lastPlanAt, lastDriftDetectedAt } = found.status
  // The status has whole seconds.
  const isSince = (time = '') => Date.parse(time) >= Math.floor(since / 1_000) * 1_000
  const ready = condition(conditions, 'Ready')
  const hasPlanned = lastPlannedRevision !== '' && (isSince(lastPlanAt) || isSince(lastDriftDetectedAt))
  // Between its plan and its apply a run says nothing of being at work.
  const isOver = ready?.status === 'True' || approvePlan !== 'auto' || planOnly === true
  if (hasPlanned && isOver) return { plan: 'planned', mayApply }
  const hasFailed = ready?.status === 'False' && !notRun.has(ready.reason)
  return { ...(hasFailed && { plan: 'failed' }), mayApply }
}
