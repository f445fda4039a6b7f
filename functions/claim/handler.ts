import * as z from 'zod'
import type { LockstepError } from '../lib/errors.ts'
import type { Claimant } from '../lib/ledger/ledger.ts'
import { type Push, pushSchema } from '../lib/push.ts'
import { note, type Outcome, type Rollout } from '../lib/rollout/rollout.ts'
import { tellRollout } from '../lib/rollout/rollout-events.ts'
import { clusterOf, updateRollout } from '../lib/rollout/rollout-step.ts'
import { serve } from '../lib/serve.ts'
import { defineStep, type Ports } from '../lib/step.ts'
import { claimBranch, RolledOutBefore, Superseded } from './claim.ts'

const input = z.object({
  /** The execution's name. */
  rollout: z.string().min(1).max(80),
  execution: z.string(),
  cluster: z.string().min(1),
  push: pushSchema,
})

/** The function's timeout is a minute; the state machine tries again after ClaimBusy. */
const patienceMs = 45_000

/** Claims the branch in the cluster for this rollout, and writes down that the rollout has begun. */
export const step = defineStep({
  name: 'claim',
  input,
  output: z.object({ claimed: z.literal(true) }),
  run: async ({ rollout, execution, cluster, push }, ports) => {
    clusterOf(ports.fleet, cluster)
    const claimant: Claimant = {
      rollout,
      execution,
      before: push.before,
      after: push.after,
      pushedAt: push.pushedAt,
      ...(push.found && { found: push.found }),
    }
    // Written first: whatever happens from here on, there is a record to report on and to release by.
    await begin({ rollout, execution, cluster, push }, ports)
    try {
      await claimBranch({ cluster, push, claimant, patienceMs }, ports)
    } catch (error) {
      if (error instanceof Superseded) await end(rollout, 'superseded', error, ports)
      if (error instanceof RolledOutBefore) await end(rollout, 'succeeded', error, ports)
      throw error
    }
    ports.log.info('claimed', { rollout, cluster })
    return { claimed: true as const }
  },
})

/** A step that is run twice finds its own record: it stays as it is. */
async function begin(
  { rollout: id, execution, cluster, push }: { rollout: string; execution: string; cluster: string; push: Push },
  ports: Ports,
): Promise<void> {
  const { ledger, clock } = ports
  if (await ledger.readRollout(id)) return
  const rollout: Rollout = {
    id,
    execution,
    cluster,
    push,
    startedAt: clock.now(),
    sources: [],
    layers: [],
    objects: [],
    notes: [],
  }
  // Whatever it waits for from here on, somebody may wait for it.
  await tellRollout(rollout, ports)
  await ledger.writeRollout(rollout, 0)
}

/** There is nothing to do for it. No step comes after this one: what it has done is told here. */
async function end(id: string, outcome: Outcome, reason: LockstepError, ports: Ports): Promise<void> {
  await updateRollout(ports, id, async (rollout) => {
    rollout.outcome = outcome
    rollout.endedAt = ports.clock.now()
    note(rollout, reason.message)
  })
  const ended = await ports.ledger.readRollout(id)
  if (ended) await tellRollout(ended.value, ports)
}

export const handler = serve(step)
