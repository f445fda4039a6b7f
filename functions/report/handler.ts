import * as z from 'zod'
import { countObjects, outcomeSchema } from '../lib/rollout/rollout.ts'
import { countsSchema, logCounts, rolloutInputSchema, updateRollout } from '../lib/rollout/rollout-step.ts'
import { serve } from '../lib/serve.ts'
import { defineStep } from '../lib/step.ts'
import { concludeRollout } from './report.ts'

const failureSchema = z.object({ error: z.string(), cause: z.string().default('') })

/** Decides how the rollout ended, and writes it down. */
export const step = defineStep({
  name: 'report',
  input: rolloutInputSchema.extend({ failure: failureSchema.nullish() }),
  output: countsSchema.extend({
    outcome: outcomeSchema,
    commit: z.string().optional(),
    failure: z.string().optional(),
    notes: z.number().int(),
  }),
  run: async ({ rollout: id, failure }, ports) =>
    updateRollout(ports, id, async (rollout) => {
      const outcome = concludeRollout(rollout, ports.clock.now(), failure ?? undefined)
      logCounts(ports, outcome, rollout)
      return {
        ...countObjects(rollout),
        outcome,
        notes: rollout.notes.length,
        ...(rollout.commit !== undefined && { commit: rollout.commit }),
        ...(rollout.failure !== undefined && { failure: rollout.failure }),
      }
    }),
})

export const handler = serve(step)
