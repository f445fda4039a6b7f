import * as z from 'zod'

/**
 * One line of what happened in a guarded unlock, or to another approval, never changed once it is written. It holds no secret: who writes one
 * puts no value of a Secret, no token and no state into `detail`.
 */
export const auditRecordSchema = z.object({
  /** The unlock, or the id of the approval. */
  unlock: z.string().min(1),
  /** Unique within the unlock. A step that is tried again writes the same id again, and the first record stays. */
  id: z.string().min(1).max(600),
  /** When, in milliseconds since the epoch. */
  at: z.number(),
  /** What happened: `putting back`. */
  what: z.string().min(1),
  /** Who did it: Lockstep's part, or a person. */
  by: z.string().min(1),
  detail: z.record(z.string(), z.json()),
})
export type AuditRecord = z.infer<typeof auditRecordSchema>

/** Oldest first; of the same millisecond in the order of their ids. */
export function inOrder(records: readonly AuditRecord[]): AuditRecord[] {
  return [...records].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
}
