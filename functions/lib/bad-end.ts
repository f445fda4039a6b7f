import * as z from 'zod'

/**
 * The detail of EventBridge's "Step Functions Execution Status Change" for an execution that has not ended well, as far as functions
 * need it that put right what it left.
 */
export const badEndSchema = z.object({
  name: z.string(),
  status: z.enum(['ABORTED', 'TIMED_OUT', 'FAILED']),
  error: z.string().nullish(),
  cause: z.string().nullish(),
})
