import { createHash } from 'node:crypto'
import * as z from 'zod'
import { plainId } from '../hold/intent.ts'

/** What the state machine `guarded-unlock` is started with. */
export const unlockInputSchema = z.object({
  /** Of the place of the lock: an Observation's key. */
  place: z.string().regex(/^[0-9a-f]{16}$/),
  /** The id of the lock that is to be unlocked, and of no other one that is there by then. */
  lock: plainId,
  cluster: z.string().min(1),
  /** A person, or `theScan`. Nobody approves what he has asked for. */
  requestedBy: z.string().min(1),
  reason: z.string().min(1),
})
export type UnlockInput = z.infer<typeof unlockInputSchema>

/** An execution of `guarded-unlock`, as it is started. */
export const unlockRequestSchema = z.object({ name: z.string(), input: unlockInputSchema })
export type UnlockRequest = z.infer<typeof unlockRequestSchema>

export interface UnlockAsked extends UnlockInput {
  /** Tells one try from the next one of the same: a whole number, such as the hours or minutes since something. */
  readonly attempt: number
}

/** Who asks for an unlock when nobody does. No approver can have this name: theirs have no brackets. */
export const theScan = 'lockstep (scan)'

/**
 * The execution to start for an unlock. Its name is the unlock's id. The same request has the same name, so that to start
 * it again is to start nothing; another one, be it for the same lock, has another name.
 */
export function unlockRequest({ attempt, ...input }: UnlockAsked): UnlockRequest {
  const { place, lock, cluster, requestedBy, reason } = input
  const request = JSON.stringify([lock, cluster, requestedBy, reason])
  const hash = createHash('sha256').update(request).digest('hex').slice(0, 16)
  return { name: `${place}-${hash}-${attempt}`, input: { place, lock, cluster, requestedBy, reason } }
}

/** Of the lock that an unlock is for, by the unlock's id. */
export function placeOf(unlock: string): string {
  return unlock.slice(0, unlock.indexOf('-'))
}
