import * as z from 'zod'
import { closeGates } from '../gate/gate.ts'
import { checkClaim } from '../lib/rollout/lease.ts'
import { countObjects } from '../lib/rollout/rollout.ts'
import {
  clusterOf,
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
import { makePlan, planAgain } from './plan.ts'

/**
 * Puts the objects of the push in order. With `again`, after a layer that applied objects: what is new is put in
 * order behind what has been opened, and held at once.
 */
export const step = defineClusterStep({
  name: 'plan',
  input: rolloutInputSchema.extend({ again: z.boolean().default(false) }),
  output: countsSchema,
  run: async ({ rollout: id, cluster: name, again }, ports) =>
    updateRollout(ports, id, async (rollout) => {
      if ((await checkClaim(rollout, ports)) !== 'go on') return countObjects(rollout)
      const cluster = await ports.clusters.connect(name)
      const { ordering } = clusterOf(ports.fleet, name)
      const [snapshot, idleBranches] = await Promise.all([takeSnapshot(cluster), idleBranchesBeside(rollout, ports)])
      const unlock = new UnlockHolds(ports.ledger, name)
      const heldByUnlock = await unlock.among(snapshot.workloads.values())
      const planning = { snapshot, fleet: ports.fleet, ordering, idleBranches, heldByUnlock }
      if (again) {
        planAgain(rollout, planning)
        await closeGates(rollout, { snapshot, idleBranches, unlock }, cluster)
      } else {
        makePlan(rollout, planning)
        rollout.plannedAt ??= ports.clock.now()
      }
      logCounts(ports, again ? 'planned again' : 'planned', rollout)
      return countObjects(rollout)
    }),
})

export const handler = serveClusters(step)
