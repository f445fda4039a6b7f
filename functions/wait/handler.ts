import { nextStateSchema } from '../lib/rollout/next-state.ts'
import { countObjects } from '../lib/rollout/rollout.ts'
import { countsSchema, logCounts, rolloutInputSchema, updateRollout } from '../lib/rollout/rollout-step.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { waitForLayer } from './wait.ts'

/** Waits for the open objects, for a slice of time at most. */
export const step = defineClusterStep({
  name: 'wait',
  input: rolloutInputSchema,
  output: countsSchema.extend({ next: nextStateSchema }),
  run: async ({ rollout: id, cluster: name }, ports) =>
    updateRollout(ports, id, async (rollout) => {
      const cluster = await ports.clusters.connect(name)
      const next = await waitForLayer(rollout, { ...ports, cluster })
      if (next === 'WaitForRecovery') rollout.heldSince ??= ports.clock.now()
      logCounts(ports, `waited, next is ${next}`, rollout)
      return { ...countObjects(rollout), next }
    }),
})

export const handler = serveClusters(step)
