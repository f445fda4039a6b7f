import * as z from 'zod'
import { outcomeSchema } from '../rollout/rollout.ts'
import { commitStatusSchema, statusCommitSchema } from './commit-status.ts'

const statuses = z.record(z.string(), commitStatusSchema)

/** The statuses of one push: those of one cluster's layers, or that of all. */
export const statusBoardSchema = z.object({
  delivery: z.string(),
  /** Empty for the push as a whole. */
  cluster: z.string(),
  /** Counts the writes: every write is conditional on it. */
  version: z.int(),
  commit: statusCommitSchema,
  /** What they are to be, by context. */
  wanted: statuses,
  /** What they have been set to. */
  posted: statuses,
  /** Whoever sets them: one at a time, so that what was set last is what was wanted last. */
  turn: z.object({ event: z.string(), until: z.number() }).optional(),
  /** Of the push as a whole: see PushFacts. */
  bad: z.record(z.string(), outcomeSchema.exclude(['succeeded'])).default({}),
  ended: z.union([outcomeSchema, z.literal('stopped')]).optional(),
  /** Number of the latest wave that people were asked about. */
  asked: z.int().optional(),
})
export type StatusBoard = z.output<typeof statusBoardSchema>
