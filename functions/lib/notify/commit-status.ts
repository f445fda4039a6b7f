import * as z from 'zod'

/** https://docs.github.com/en/rest/commits/statuses */
export const commitStatusSchema = z.object({
  state: z.enum(['error', 'failure', 'pending', 'success']),
  description: z.string(),
  /** Of the execution. */
  url: z.string().optional(),
})
export type CommitStatus = z.output<typeof commitStatusSchema>

/** A commit as GitHub knows it. */
export const statusCommitSchema = z.object({
  /** `github.com` */
  host: z.string(),
  /** `my-org/fleet-infra` */
  repository: z.string(),
  sha: z.string(),
})
export type StatusCommit = z.output<typeof statusCommitSchema>

/** Where the statuses of commits are. */
export interface CommitStatuses {
  /** Sets the status of a context: the last one counts. Rejects with NotifierUnavailable and NotifierRefused. */
  set(commit: StatusCommit, context: string, status: CommitStatus, giveUpAt: number): Promise<void>
}

/** GitHub takes 140 characters. */
const longestDescription = 140

export function description(text: string): string {
  return text.length > longestDescription ? `${text.slice(0, longestDescription - 1)}…`.toWellFormed() : text
}
