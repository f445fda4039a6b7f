import * as z from 'zod'
import { branchOf } from '../lib/rollout/branch.ts'
import { rolloutInputSchema, updateRollout } from '../lib/rollout/rollout-step.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { handBackPlans } from './hand-back-plans.ts'
import { releaseBranch } from './release.ts'

/** Lets go of the branch and of every gate. */
export const step = defineClusterStep({
  name: 'release',
  input: rolloutInputSchema,
  output: z.object({ opened: z.number().int(), handedTo: z.string().optional() }),
  run: async ({ rollout: id, cluster: name }, ports) =>
    updateRollout(ports, id, async (rollout) => {
      const { ledger, clusters, clock, log } = ports
      const cluster = await clusters.connect(name)
      await handBackPlans(rollout, cluster, log)
      const released = await releaseBranch({ rollout: id, branch: branchOf(rollout.push) }, { cluster, ledger, clock })
      // What is handed over stays closed, and is the other rollout's.
      if (released.handedTo === undefined) for (const object of rollout.objects) object.gated = false
      log.info('released', { rollout: id, cluster: name, ...released })
      return released
    }),
})

export const handler = serveClusters(step)
