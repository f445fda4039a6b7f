import * as z from 'zod'
import { serve } from '../lib/serve.ts'
import { defineStep } from '../lib/step.ts'
import { unlockRequestSchema } from '../lib/unlock/unlock-request.ts'
import { unlocksToStart } from './unlocks-to-start.ts'

/** After a scan: which locks are to be unlocked without anybody asking for it. */
export const step = defineStep({
  name: 'unlock-act',
  input: z.object({ clusters: z.array(z.string()) }),
  output: z.object({ start: z.array(unlockRequestSchema) }),
  run: async ({ clusters }, ports) => {
    const observations = await ports.ledger.listObservations()
    return { start: await unlocksToStart(clusters, observations, ports) }
  },
})

export const handler = serve(step)
