import * as z from 'zod'
import { pushSchema } from '../lib/push.ts'
import { serveAsking } from '../lib/serve-asking.ts'
import type { AskPorts, Step } from '../lib/step.ts'
import { askBeforeWave, type WaveAsked } from './ask-before-wave.ts'

/** Asks people before a wave: their decision answers the task that waits, not this function. */
export const step: Step<WaveAsked, { asked: number }, AskPorts> = {
  name: 'wave-ask',
  input: z.object({
    execution: z.string().min(1),
    push: pushSchema,
    number: z.int().min(1),
    of: z.int().min(1),
    clusters: z.int(),
    names: z.array(z.string()),
    before: z.object({ succeeded: z.int(), failed: z.int(), other: z.int() }),
    token: z.string().min(1),
  }),
  output: z.object({ asked: z.int() }),
  run: askBeforeWave,
}

export const handler = serveAsking(step)
