import * as z from 'zod'
import { lockPlaceSchema } from '../../locks/backends/lock-place.ts'
import { lockPartSchema, stateEvidenceSchema } from '../../locks/evidence.ts'
import { intentSchema } from '../hold/intent.ts'
import { rungs } from '../plan/rung.ts'
import { stateBackupSchema } from '../state/state-backup.ts'

const time = z.number()

/** What the verdict that an unlock goes on with rests on: whatever is deleted must be exactly this. */
const judgedSchema = z.object({
  /** Of the evidence, by our clock. */
  at: time,
  rule: z.string(),
  reasons: z.array(z.string()),
  parts: z.array(lockPartSchema),
  /** The state's version when its lock was judged. Undefined where there was no state. */
  state: z.string().optional(),
})

/** What keeps everybody from the state while its lock is deleted, and until when that is waited for. */
const fenceSchema = z.object({
  /** Keys of objects whose runs hang in the controller, and end only with it. */
  hanging: z.array(z.string()),
  /** The pod whose end is the proof: it is waited for, and never deleted. */
  awaited: z.object({ key: z.string(), uid: z.string() }).optional(),
  /** How long running applies may take to end, in milliseconds. */
  drainMs: z.number(),
  /** How long the controller's pods may take to end, in milliseconds. */
  stopMs: z.number(),
  /** How long an idle runner may take to end, in milliseconds. */
  runnerMs: z.number(),
  /** How long the fresh plan may take, in milliseconds. */
  planMs: z.number(),
})

export const unlockOutcomes = ['unlocked', 'refused', 'failed'] as const

/** One guarded unlock, from its request to its end. It holds no secret. Times are in milliseconds since the epoch. */
export const unlockRunSchema = z.object({
  /** The execution's name. */
  unlock: z.string().min(1),
  cluster: z.string(),
  /** Of the lock: see `placeKey`. */
  place: z.string(),
  /** The ID of the lock. */
  lock: z.string(),
  requestedBy: z.string(),
  reason: z.string(),
  requestedAt: time,
  /** `Terraform/flux-system/vpc`. Undefined before the lock was judged. */
  object: z.string().optional(),
  rung: z.enum(rungs).optional(),
  /** Where the lock and the state are, by the object's backend. */
  where: lockPlaceSchema.optional(),
  judged: judgedSchema.optional(),
  /** Under its turn: from here on it changes something. */
  begunAt: time.optional(),
  /** The object by its UID. */
  locked: intentSchema.shape.locked.optional(),
  /** Undefined where nothing has to be changed: all is held already. */
  intent: intentSchema.optional(),
  fence: fenceSchema.optional(),
  /** When the step that waits began to: its deadline counts from here. */
  waiting: z.object({ for: z.string(), since: time }).optional(),
  backup: stateBackupSchema.optional(),
  deletedAt: time.optional(),
  /** The state as it was read while nobody could run: right after the delete, and before the fresh run was let go. */
  held: z.array(stateEvidenceSchema).optional(),
  /** When the fresh run was let go. */
  releasedAt: time.optional(),
  /** A fresh plan was asked for with this value of `reconcile.fluxcd.io/requestedAt`. */
  token: z.string().optional(),
  plannedAt: time.optional(),
  outcome: z.enum(unlockOutcomes).optional(),
  /** Why it was refused or failed, for people. */
  why: z.string().optional(),
  endedAt: time.optional(),
})
export type UnlockRun = z.infer<typeof unlockRunSchema>
export type Judged = z.infer<typeof judgedSchema>
export type Fence = z.infer<typeof fenceSchema>
export type UnlockOutcome = (typeof unlockOutcomes)[number]
