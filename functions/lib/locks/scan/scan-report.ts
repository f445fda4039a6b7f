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

/** What the latest scan of a cluster, or of what belongs to no cluster, has found beside the locks themselves. */
export const scanReportSchema = z.object({
  cluster: z.string().optional(),
  execution: z.string(),
  /** Milliseconds since the epoch. */
  startedAt: z.number(),
  endedAt: z.number(),
  /**
   * The keys of all places where locks of the cluster's objects can be, and of each of their parts (`placeKey`), but for
   * its Leases. What is in two reports is a state that objects of two clusters share. Those of the last scan that could
   * read them; undefined where none ever could.
   */
  places: z.array(z.string()).optional(),
  /** The first ones, for people. */
  findings: z.array(findingSchema),
  /** How many findings there are. */
  found: z.number().int(),
})

export type ScanReport = z.infer<typeof scanReportSchema>
