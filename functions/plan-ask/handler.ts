import * as z from 'zod'
import { RolloutUnknown, rolloutInputSchema } from '../lib/rollout/rollout-step.ts'
import { serveApprovals } from '../lib/serve-approvals.ts'
import type { ApprovalPorts, Step } from '../lib/step.ts'
import { askForPlans } from './ask-for-plans.ts'

const input = rolloutInputSchema.extend({ token: z.string().min(1) })

/** Asks people about the plans that a rollout waits for: their decision answers the task, or the end of the slice does. */
export const step: Step<z.infer<typeof input>, { asked: number }, ApprovalPorts> = {
  name: 'plan-ask',
  input,
  output: z.object({ asked: z.int() }),
  run: async ({ rollout: id, cluster: name, token }, ports) => {
    const stored = await ports.ledger.readRollout(id)
    if (!stored) throw new RolloutUnknown(id)
    const cluster = await ports.clusters.connect(name)
    return askForPlans(stored.value, token, { ...ports, cluster })
  },
}

export const handler = serveApprovals(step)
