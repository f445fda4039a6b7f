import { nextStateSchema } from '../lib/rollout/next-state.ts'
import { countObjects } from '../lib/rollout/rollout.ts'
import { countsSchema, logCounts, rolloutInputSchema, updateRollout } from '../lib/rollout/rollout-step.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { holdGates } from './hold.ts'

/** Keeps gates closed behind what failed, for a slice of time at most. */
export const step = defineClusterStep({
  name: 'hold',
  input: rolloutInputSchema,
  output: countsSchema.extend({ next: nextStateSchema }),
  run: async ({ rollout: id, cluster: name }, ports) =>
    updateRollout(ports, id, async (rollout) => {
      const cluster = await ports.clusters.connect(name)
      const next = await holdGates(rollout, ports.fleet.holdFor, { ...ports, cluster })
      logCounts(ports, `held, next is ${next}`, rollout)
      return { ...countObjects(rollout), next }
    }),
})

export const handler = serveClusters(step)
