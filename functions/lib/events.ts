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

/** Of all events that Lockstep publishes. */
export const eventSource = 'lockstep'
export const lockEventType = 'Lock Verdict Changed'

/** Where events go that people and other programs wait for. */
export interface Events {
  /** At least once. Rejects with EventsUnavailable. */
  publish(event: LockEvent): Promise<void>
}
