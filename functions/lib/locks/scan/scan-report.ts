import * as z from 'zod'

/**
 * - `unsupported`: the backend's locks cannot be read by Lockstep.
 * - `unlocked`: the backend has no locks: two runs can overwrite each other's state.
 * - `unreadable`: the backend's configuration could not be read, so where the lock is is not known.
 * - `shared`: objects of one cluster, or of several, keep one state.
 * - `store`: a table, a bucket or a cluster that could not be asked.
 */
export const findingKinds = ['unsupported', 'unlocked', 'unreadable', 'shared', 'store'] as const

export const findingSchema = z.object({
  kind: z.enum(findingKinds),
  /** `Terraform/flux-system/vpc`, or the name of a store. */
  subject: z.string(),
  why: z.string(),
})

export type Finding = z.infer<typeof findingSchema>

/** Where the objects of a cluster keep their states. */
const keptSchema = z.object({
  /** When it was read, in milliseconds since the epoch. */
  readAt: z.number(),
  /**
   * The keys of all places where their locks can be, and of each part of them (`placeKey`), but for Leases. What is in
   * two reports is a state that objects of two clusters share.
   */
  places: z.array(z.string()),
  /** Names of objects that may keep theirs anywhere: a runner of that name may hold any lock. */
  unplaced: z.array(z.string()),
})
export type KeptStates = z.infer<typeof keptSchema>

/** What the latest scan of a cluster, or of what belongs to no cluster, has found beside the locks themselves. */
export const scanReportSchema = z.object({
  cluster: z.string().optional(),
  execution: z.string(),
  /** Milliseconds since the epoch. */
  startedAt: z.number(),
  endedAt: z.number(),
  /** Where the cluster's objects keep their states, by the last scan that could read it; undefined where none ever could. */
  kept: keptSchema.optional(),
  /** The first ones, for people. */
  findings: z.array(findingSchema),
  /** How many findings there are. */
  found: z.number().int(),
})

export type ScanReport = z.infer<typeof scanReportSchema>
