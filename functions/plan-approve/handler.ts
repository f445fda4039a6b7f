import * as z from 'zod'
import { checkClaim } from '../lib/rollout/lease.ts'
import { countObjects } from '../lib/rollout/rollout.ts'
import { countsSchema, logCounts, rolloutInputSchema, updateRollout } from '../lib/rollout/rollout-step.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { carryOut } from './carry-out.ts'

/** Carries out what people have decided about the plans of a rollout. */
export const step = defineClusterStep({
  name: 'plan-approve',
  input: rolloutInputSchema,
  output: countsSchema.extend({ approved: z.int(), refused: z.int() }),
  run: async ({ rollout: id, cluster: name }, ports) =>
    updateRollout(ports, id, async (rollout) => {
      // A safe point: nothing is applied for a push that a newer one has overtaken. Waiting, which is next, ends it.
      if ((await checkClaim(rollout, ports)) !== 'go on') return { ...countObjects(rollout), approved: 0, refused: 0 }
      const cluster = await ports.clusters.connect(name)
      const done = await carryOut(rollout, { ...ports, cluster })
      logCounts(ports, `carried out ${done.approved} approvals and ${done.refused} refusals of plans`, rollout)
      return { ...countObjects(rollout), ...done }
    }),
})

export const handler = serveClusters(step)
