import * as z from 'zod'
import { rolloutInputSchema, updateRollout } from '../lib/rollout/rollout-step.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { fetchSources } from './fetch.ts'

/** Has the cluster's source fetch the push. */
export const step = defineClusterStep({
  name: 'fetch',
  input: rolloutInputSchema,
  output: z.object({ commit: z.string().optional() }),
  run: async ({ rollout: id, cluster: name }, ports) =>
    updateRollout(ports, id, async (rollout) => {
      const cluster = await ports.clusters.connect(name)
      const { ledger, clock, fleet, log } = ports
      // What others want is asked again by the next step, which does nothing if it has to stop.
      await fetchSources(rollout, { cluster, ledger, clock, deadlineMs: fleet.deadlines.fetch })
      log.info('fetched', { rollout: id, cluster: name, commit: rollout.commit ?? 'none' })
      return rollout.commit === undefined ? {} : { commit: rollout.commit }
    }),
})

export const handler = serveClusters(step)
