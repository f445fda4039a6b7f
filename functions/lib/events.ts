import * as z from 'zod'
import { verdicts } from './locks/verdict/verdict.ts'

const verdict = z.enum(verdicts)

/**
 * The detail of an event `Lock Verdict Changed`. It has names, ids and times, and no digest of a state. One that is
 * published twice has the same `id`.
 */
export const lockEventSchema = z.object({
  id: z.string(),
  /** Of the place: see `placeKey`. */
  place: z.string(),
  /** Empty where there is no lock, or no record to go by. */
  lock: z.string(),
  verdict,
  /** The verdict that was published before. */
  before: verdict.optional(),
  /** RFC 3339. */
  since: z.string(),
  rule: z.string(),
  reasons: z.array(z.string()),
  cluster: z.string().optional(),
  /** `Terraform/flux-system/vpc` */
  object: z.string().optional(),
  operation: z.string().optional(),
  who: z.string().optional(),
  addresses: z.array(z.string()),
})

export type LockEvent = Readonly<z.infer<typeof lockEventSchema>>

/**
 * The detail of an event `Unlock Changed`: what has become of a guarded unlock. One that is published twice has the same
 * `id`.
 */
export const unlockEventSchema = z.object({
  id: z.string(),
  unlock: z.string(),
  what: z.enum(['asked', 'unlocked', 'refused', 'failed']),
  cluster: z.string(),
  /** Of the lock: see `placeKey`. */
  place: z.string(),
  /** The ID of the lock. */
  lock: z.string(),
  /** `Terraform/flux-system/vpc` */
  object: z.string().optional(),
  requestedBy: z.string(),
  reason: z.string(),
  rung: z.string().optional(),
  /** Why it was refused, or failed. */
  why: z.string().optional(),
})

export type UnlockEvent = Readonly<z.infer<typeof unlockEventSchema>>

/** Of all events that Lockstep publishes. */
export const eventSource = 'lockstep'
export const lockEventType = 'Lock Verdict Changed'
export const unlockEventType = 'Unlock Changed'

/** Where events go that people and other programs wait for. */
export interface Events {
  /** At least once. Rejects with EventsUnavailable. */
  publish(event: LockEvent): Promise<void>
  /** At least once. Rejects with EventsUnavailable. */
  publishUnlock(event: UnlockEvent): Promise<void>
}
