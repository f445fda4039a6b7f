import * as z from 'zod'
import { checkClaim } from '../lib/rollout/lease.ts'
import { countObjects } from '../lib/rollout/rollout.ts'
import { countsSchema, logCounts, rolloutInputSchema, updateRollout } from '../lib/rollout/rollout-step.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { openLayer } from './open.ts'

/** Opens the next layer and asks its objects to reconcile. */
export const step = defineClusterStep({
  name: 'open',
  input: rolloutInputSchema,
  output: countsSchema.extend({ layer: z.string().optional() }),
  run: async ({ rollout: id, cluster: name }, ports) =>
    updateRollout(ports, id, async (rollout) => {
      // A safe point: nothing is opened for a push that a newer one has overtaken. Waiting, which is next, ends it.
      if ((await checkClaim(rollout, ports)) !== 'go on') return countObjects(rollout)
      const cluster = await ports.clusters.connect(name)
      const intent = (await ports.ledger.readUnlock(name))?.intent
      const layer = await openLayer(rollout, { cluster, now: ports.clock.now(), intent })
      logCounts(ports, `opened ${layer?.name ?? 'nothing'}`, rollout)
      return { ...countObjects(rollout), ...(layer && { layer: layer.name }) }
    }),
})

export const handler = serveClusters(step)
