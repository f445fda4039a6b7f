import { z } from 'zod'
import type { Claimant } from '../lib/ledger/ledger.ts'
import { type Push, pushSchema } from '../lib/push.ts'
import type { Rollout } from '../lib/rollout/rollout.ts'
import { clusterOf } from '../lib/rollout/rollout-step.ts'
import { serve } from '../lib/serve.ts'
import { defineStep, type Ports } from '../lib/step.ts'
import { claimBranch } from './claim.ts'

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
    }
    await claimBranch({ cluster, push, claimant, patienceMs }, ports)
    await begin({ rollout, execution, cluster, push }, ports)
    ports.log.info('claimed', { rollout, cluster })
    return { claimed: true as const }
  },
})

/** A step that is run twice finds its own record: it stays as it is. */
async function begin(
  { rollout: id, execution, cluster, push }: { rollout: string; execution: string; cluster: string; push: Push },
  { ledger, clock }: Ports,
): Promise<void> {
  if (await ledger.readRollout(id)) return
  const rollout: Rollout = {
    id,
    execution,
    cluster,
    push,
    startedAt: clock.now(),
    sources: [],
    commits: [push.after],
    layers: [],
    objects: [],
    notes: [],
  }
  await ledger.writeRollout(rollout, 0)
}

export const handler = serve(step)
