import * as z from 'zod'
import { pushSchema } from '../lib/push.ts'
import { serveWaves } from '../lib/serve-waves.ts'
import { defineWaveStep } from '../lib/step.ts'
import { mostInline, planWave } from './plan-wave.ts'

/** The next wave of a push: what its execution keeps of it. */
export const step = defineWaveStep({
  name: 'waves',
  input: z.object({
    push: pushSchema,
    /** Of the wave: 1 is the first one. */
    number: z.int().min(1),
  }),
  output: z.object({
    number: z.int(),
    /** How many waves the push has. */
    of: z.int(),
    clusters: z.int(),
    /** More clusters than an inline Map is for: they are in the file `items`, and `names` is empty. */
    large: z.boolean(),
    names: z.array(z.string()).max(mostInline),
    items: z.string(),
    results: z.string(),
    /** People have to agree before it begins, within so many seconds. */
    asks: z.boolean(),
    approvalSeconds: z.int(),
  }),
  run: ({ push, number }, { fleet, waves }) => planWave({ push, number }, { fleet, waves }),
})

export const handler = serveWaves(step)
