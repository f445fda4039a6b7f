import * as z from 'zod'
import { pushSchema } from '../push.ts'

/**
 * Why Lockstep does not, or cannot, hold an object back until its layer's turn.
 * - `first`: it is in the first layer, which needs no gate.
 * - `advisory`: the cluster's ordering is advisory.
 * - `judged`: the push does not change it; it is only waited for.
 * - `git`: `spec.suspend` is in its manifest, so the next apply of its parent opens it.
 * - `born`: it was created during the rollout and may have started before it could be held.
 * - `person`: a person suspended it, and nobody but a person opens it.
 * - `other`: another rollout holds it.
 */
export const notHeldSchema = z.enum(['first', 'advisory', 'judged', 'git', 'born', 'person', 'other'])

/**
 * - `pending`: its turn has not come.
 * - `open`: it may reconcile, and is waited for.
 * - `ready`: reconciled at the revision.
 * - `failed`: it did not get there; it may still recover.
 * - `gone`: it was deleted during the rollout.
 */
export const phaseSchema = z.enum(['pending', 'open', 'ready', 'failed', 'gone'])

export const plannedObjectSchema = z.object({
  key: z.string(),
  uid: z.string(),
  /** The fleet's layer that its label names. */
  fleetLayer: z.number().int().optional(),
  /** Index of the layer in which it is opened. */
  layer: z.number().int(),
  /** Keys of the objects that must be ready before it. */
  after: z.array(z.string()),
  /** The Kustomization that waits for its health: opened before it, ready after it. */
  awaitedBy: z.string().optional(),
  follows: z.enum(['revision', 'origin', 'chart', 'generation']),
  source: z.string().optional(),
  appliesWorkloads: z.boolean(),
  /** A Kustomization that others are awaited by: it has applied the revision, whether or not it is ready. */
  applied: z.boolean().optional(),
  notHeld: notHeldSchema.optional(),
  /** Our gate is on it now. */
  gated: z.boolean(),
  phase: phaseSchema,
  /** What its controller last said, or why it failed: at most 240 characters. */
  detail: z.string(),
  reason: z.string().optional(),
  /** Failed for good: its controller does not try again until something changes. */
  final: z.boolean().optional(),
  token: z.string().optional(),
  /** It is open, and its last run found the state locked. */
  waitsForLock: z.boolean().optional(),
  /** It is open, and this plan of it waits for people. */
  waitsForPlan: z.object({ plan: z.string(), plannedAt: z.string() }).optional(),
  /** People have approved a plan of it through Lockstep: what that set is taken out again. */
  approvedPlan: z.boolean().optional(),
  /** How often it was asked, the first time included. */
  asked: z.number().int(),
  /** Milliseconds since the epoch. */
  openedAt: z.number().optional(),
  settledAt: z.number().optional(),
})

export const layerSchema = z.object({
  index: z.number().int(),
  name: z.string(),
  openedAt: z.number().optional(),
  settledAt: z.number().optional(),
  /** How long an object of the layer may take from its opening, in milliseconds. */
  deadlineMs: z.number(),
})

export const plannedSourceSchema = z.object({
  key: z.string(),
  /** Commit that it served when the plan was made. */
  before: z.string().optional(),
  /** Commit that it serves, from when it had handled our request. */
  served: z.string().optional(),
})

export const outcomeSchema = z.enum(['succeeded', 'failed', 'superseded', 'released'])

export const rolloutSchema = z.object({
  /** The execution's name: `<delivery>.<cluster>`. */
  id: z.string(),
  execution: z.string(),
  cluster: z.string(),
  push: pushSchema,
  startedAt: z.number(),
  endedAt: z.number().optional(),
  sources: z.array(plannedSourceSchema),
  /** The commit that is rolled out: the pushed one, or a newer one that the source served in its place. */
  commit: z.string().optional(),
  layers: z.array(layerSchema),
  objects: z.array(plannedObjectSchema),
  /** What a person should know: what could not be held, what was born, what was released. */
  notes: z.array(z.string()),
  /** Objects came, went or may have changed since the plan was made: it has to be made again before more is opened. */
  planStale: z.boolean().optional(),
  /** When the first plan was made. */
  plannedAt: z.number().optional(),
  /** Since when gates are held behind a failure. */
  heldSince: z.number().optional(),
  /** Ids of the events that were published. */
  told: z.array(z.string()).optional(),
  outcome: outcomeSchema.optional(),
  /** Somebody has stopped its execution. */
  stopped: z.literal(true).optional(),
  /** Why it failed, in one sentence. */
  failure: z.string().optional(),
})

export type Rollout = z.infer<typeof rolloutSchema>
export type PlannedObject = z.infer<typeof plannedObjectSchema>
export type PlannedLayer = z.infer<typeof layerSchema>
export type Outcome = z.infer<typeof outcomeSchema>

/** The commits at which an object counts as reconciled: what its own source serves, or any of the rollout's sources. */
export function commitsFor(rollout: Rollout, object: PlannedObject): string[] {
  const own = rollout.sources.find(({ key }) => key === object.source)?.served
  if (own !== undefined) return [own]
  const served = rollout.sources.flatMap((source) => source.served ?? [])
  return served.length > 0 ? served : [rollout.push.after]
}

/** Notes are for people: past this many, one line counts the rest. */
const mostNotes = 200

/** Adds a note once. */
export function note(rollout: Rollout, text: string): void {
  if (rollout.notes.includes(text)) return
  if (rollout.notes.length < mostNotes) rollout.notes.push(text)
  else if (rollout.notes.length === mostNotes) rollout.notes.push('There is more that is not listed here.')
}

export interface Counts {
  readonly objects: number
  readonly ready: number
  readonly failed: number
  readonly open: number
  /** Not opened yet, because their turn has not come or because what they depend on has failed. */
  readonly pending: number
  readonly layers: number
}

/** Counts for the execution's state, which must not grow with the fleet. */
export function countObjects(rollout: Rollout): Counts {
  const inPhase = (phase: PlannedObject['phase']) => rollout.objects.filter((object) => object.phase === phase).length
  return {
    objects: rollout.objects.length,
    ready: inPhase('ready'),
    failed: inPhase('failed'),
    open: inPhase('open'),
    pending: inPhase('pending'),
    layers: rollout.layers.length,
  }
}
