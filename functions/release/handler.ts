import * as z from 'zod'
import { branchOf } from '../lib/rollout/branch.ts'
import { RolloutUnknown, rolloutInputSchema } from '../lib/rollout/rollout-step.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { releaseBranch } from './release.ts'

/** Lets go of the branch and of every gate. */
export const step = defineClusterStep({
  name: 'release',
  input: rolloutInputSchema,
  output: z.object({ opened: z.number().int(), handedTo: z.string().optional() }),
  run: async ({ rollout: id, cluster: name }, { ledger, clusters, clock, log }) => {
    const stored = await ledger.readRollout(id)
    if (!stored) throw new RolloutUnknown(id)
    const { outcome, objects, push } = stored.value
    const gatesLeft = outcome !== 'succeeded' || objects.some((object) => object.gated)
    const cluster = await clusters.connect(name)
    const released = await releaseBranch({ rollout: id, branch: branchOf(push), gatesLeft }, { cluster, ledger, clock })
    log.info('released', { rollout: id, cluster: name, ...released })
    return released
  },
})

export const handler = serveClusters(step)
