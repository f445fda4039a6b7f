import { createHash } from 'node:crypto'
import * as z from 'zod'
import { evidenceSchema } from '../evidence.ts'
import { addressText, type LockAddress } from '../stores/lock-store.ts'
import { scenes, verdicts } from '../verdict/verdict.ts'

const time = z.number()

export const judgementSchema = z.object({
  verdict: z.enum(verdicts),
  rule: z.string(),
  reasons: z.array(z.string()),
  wouldChange: z.string(),
  scene: z.enum(scenes).optional(),
})

/** The latest that a scan knows of one place where a lock can be. Times are in milliseconds since the epoch. */
export const observationSchema = z.object({
  /** Of the place, not of the lock: see `placeKey`. */
  key: z.string(),
  /** Counts the writes: every write is conditional on it. */
  version: z.number().int(),
  /** Whose scan it was: a cluster's, or undefined for what belongs to no object of any cluster. */
  cluster: z.string().optional(),
  evidence: evidenceSchema,
  judgement: judgementSchema,
  /** When the verdict became what it is. */
  verdictSince: time,
  /** The verdict that was last published as an event. Undefined before the first one. */
  announced: z.object({ verdict: z.enum(verdicts), at: time }).optional(),
  /** When locks of this place became stale, the newest 20 of the last 90 days: a repeat offender has several. */
  offences: z.array(z.object({ at: time, id: z.string() })),
})
export type Observation = z.infer<typeof observationSchema>

/** One name for the place of a lock, whatever its parts: 16 hexadecimal digits. */
export function placeKey(parts: readonly LockAddress[]): string {
  return placeKeyOf(parts.map(addressText))
}

/** `placeKey` of parts whose `addressText` is known. */
export function placeKeyOf(addresses: readonly string[]): string {
  const text = [...addresses].sort().join('\n')
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
