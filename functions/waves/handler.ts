import * as z from 'zod'
import { pushSchema } from '../lib/push.ts'
import { serve } from '../lib/serve.ts'
import { defineStep } from '../lib/step.ts'
import { wavesOf } from './waves.ts'

/** Which clusters a push goes to, in waves. */
export const step = defineStep({
  name: 'waves',
  input: z.object({ push: pushSchema }),
  output: z.object({ waves: z.array(z.array(z.string())) }),
  run: async ({ push }, { fleet }) => ({ waves: wavesOf(fleet, push.repository.name) }),
})

export const handler = serve(step)
