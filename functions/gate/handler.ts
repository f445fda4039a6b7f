import { checkClaim } from '../lib/rollout/lease.ts'
import { countObjects } from '../lib/rollout/rollout.ts'
import {
  countsSchema,
  idleBranchesBeside,
  logCounts,
  rolloutInputSchema,
  updateRollout,
} from '../lib/rollout/rollout-step.ts'
import { takeSnapshot } from '../lib/rollout/snapshot.ts'
import { UnlockHolds } from '../lib/rollout/unlock-holds.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { closeGates } from './gate.ts'

/** Holds the objects of later layers before the source brings them the push. */
export const step = defineClusterStep({
  name: 'gate',
  input: rolloutInputSchema,
  output: countsSchema,
  run: async ({ rollout: id, cluster: name }, ports) =>
    updateRollout(ports, id, async (rollout) => {
      // A late try of a rollout that was taken over must not suspend what the newer one has opened.
      if ((await checkClaim(rollout, ports)) !== 'go on') return countObjects(rollout)
      const cluster = await ports.clusters.connect(name)
      const [snapshot, idleBranches] = await Promise.all([takeSnapshot(cluster), idleBranchesBeside(rollout, ports)])
      const unlock = new UnlockHolds(ports.ledger, name)
      await closeGates(rollout, { snapshot, idleBranches, unlock }, cluster)
      logCounts(ports, 'gates closed', rollout)
      return countObjects(rollout)
    }),
})

export const handler = serveClusters(step)
