import * as z from 'zod'

/** Git's name of a commit: SHA-1 or SHA-256. */
const commit = z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/)

/**
 * A push, as far as a rollout needs it: the input of the fleet's state machine. It is the same for every delivery
 * of the same push (no time stamp of ours), so that Step Functions knows a redelivery by its name and input.
 */
export const pushSchema = z.strictObject({
  /** As the fleet names it. */
  repository: z.strictObject({ name: z.string().max(140), host: z.string().max(253) }),
  branch: z.string().min(1).max(200),
  /** The branch's commit before the push; all zeros for a new branch. */
  before: commit,
  /** The branch's commit after the push. */
  after: commit,
  /** When GitHub saw the push, in milliseconds since the Unix epoch, to the second. */
  pushedAt: z.int().positive(),
  /** Who pushed, for people to read. */
  pusher: z.string().min(1).max(100),
  /** GitHub's id of the delivery, a UUID, or one that a sweep made up: the name of the fleet's execution. */
  delivery: z.guid(),
  /** No webhook told of it: a sweep found its commit on a cluster's source, and made up the rest. */
  found: z.literal(true).exactOptional(),
})

export type Push = z.output<typeof pushSchema>

/** Who pushed, where nobody can tell: only a sweep has seen the commit. */
export const unknownPusher = 'a sweep of Lockstep'
