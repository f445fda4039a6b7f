import * as z from 'zod'
import { badEndSchema } from '../lib/bad-end.ts'
import { serve } from '../lib/serve.ts'
import { defineStep } from '../lib/step.ts'
import { stopAsking } from './stop-asking.ts'

/** Closes what an execution has asked people that has ended: see `stopAsking`. */
export const step = defineStep({
  name: 'stop-asking',
  input: z.object({ detail: badEndSchema.extend({ executionArn: z.string() }) }),
  output: z.object({ closed: z.int() }),
  run: async ({ detail: { executionArn: execution, name, status, error } }, ports) => ({
    closed: await stopAsking({ execution, name, stopped: status === 'ABORTED', error: error ?? status }, ports),
  }),
})

export const handler = serve(step)
