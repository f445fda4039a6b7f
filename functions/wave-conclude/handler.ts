import * as z from 'zod'
import { pushSchema } from '../lib/push.ts'
import { outcomeSchema } from '../lib/rollout/rollout.ts'
import { serveWaves } from '../lib/serve-waves.ts'
import { defineWaveStep } from '../lib/step.ts'
import { keptWaves } from '../waves/plan-wave.ts'
import { concludeWave, mostNamed, nextSchema } from './conclude-wave.ts'

const tallySchema = z.object({
  clusters: z.int(),
  succeeded: z.int(),
  failed: z.int(),
  released: z.int(),
  superseded: z.int(),
  /** Clusters that failed, the first ones. */
  failedNames: z.array(z.string()).max(mostNamed),
})

/** Counts how the clusters of a wave ended, and decides what comes next. */
export const step = defineWaveStep({
  name: 'wave-conclude',
  input: z.object({
    push: pushSchema,
    number: z.int().min(1),
    ended: z.union([
      z.object({ results: z.array(z.object({ cluster: z.string(), outcome: outcomeSchema })) }),
      /** Key of the manifest of a distributed Map's results. */
      z.object({ manifest: z.string() }),
      /** The Map as a whole failed. */
      z.object({ failure: z.string() }),
    ]),
    /** Of the waves before. */
    tally: tallySchema.nullable(),
  }),
  output: z.object({
    next: nextSchema,
    outcome: outcomeSchema,
    /** What happened in the wave, or in all of them after the last one, in one or two sentences. */
    message: z.string(),
    wave: tallySchema,
    /** Of all waves so far. */
    tally: tallySchema,
  }),
  run: async ({ push, number, ended, tally }, { fleet, waves: store, log }) => {
    const waves = await keptWaves(store, push)
    const ends = 'manifest' in ended ? await store.readEnds(ended.manifest) : 'results' in ended ? ended.results : []
    const concluded = concludeWave({
      ...{ delivery: push.delivery, waves, number, ends, before: tally, tolerance: fleet.failureTolerance },
      ...('failure' in ended && { failure: ended.failure }),
    })
    const { next, outcome, wave } = concluded
    const { failedNames, ...counts } = wave
    const failedClusters = failedNames.join(', ')
    log.info('wave concluded', { delivery: push.delivery, number, next, outcome, ...counts, failedClusters })
    return concluded
  },
})

export const handler = serveWaves(step)
