import * as z from 'zod'
import { serve } from '../lib/serve.ts'
import { defineStep } from '../lib/step.ts'
import { stopAsking } from './stop-asking.ts'

/** EventBridge's "Step Functions Execution Status Change", as far as it is needed. */
const statusChangeSchema = z.object({
  detail: z.object({
    executionArn: z.string(),
    name: z.string(),
    status: z.enum(['ABORTED', 'TIMED_OUT', 'FAILED']),
    error: z.string().nullish(),
  }),
})

/** Closes what an execution has asked people that has ended: see `stopAsking`. */
export const step = defineStep({
  name: 'stop-asking',
  input: statusChangeSchema,
  output: z.object({ closed: z.int() }),
  run: async ({ detail: { executionArn: execution, name, status, error } }, ports) => ({
    closed: await stopAsking({ execution, name, stopped: status === 'ABORTED', error: error ?? status }, ports),
  }),
})

export const handler = serve(step)
