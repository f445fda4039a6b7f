import * as z from 'zod'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { unlockIdSchema } from '../lib/unlock/under-way.ts'
import { putBack } from './put-back.ts'

/** Everything is put back, and a fresh plan asked for once the lock is gone. */
export const step = defineClusterStep({
  name: 'unlock-put-back',
  input: unlockIdSchema,
  output: z.object({ held: z.number().int(), undone: z.number().int(), left: z.number().int(), asked: z.boolean() }),
  run: ({ unlock }, ports) => putBack(unlock, ports),
})

export const handler = serveClusters(step)
