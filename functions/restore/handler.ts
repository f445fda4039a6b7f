import * as z from 'zod'
import { branchOf } from '../lib/rollout/branch.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { handBackPlans } from '../release/hand-back-plans.ts'
import { releaseBranch } from '../release/release.ts'
import { concludeRollout } from '../report/report.ts'

/** EventBridge's "Step Functions Execution Status Change", as far as it is needed. */
const statusChangeSchema = z.object({
  detail: z.object({
    name: z.string(),
    status: z.enum(['ABORTED', 'TIMED_OUT', 'FAILED']),
    error: z.string().nullish(),
    cause: z.string().nullish(),
  }),
})

/**
 * Puts back what an execution left behind that did not end by itself: opens its gates and frees its claim, or hands
 * both to the push that waits. One that failed in good order has done so already: then nothing changes.
 */
export const step = defineClusterStep({
  name: 'restore',
  input: statusChangeSchema,
  output: z.object({ opened: z.number().int(), handedTo: z.string().optional() }),
  run: async ({ detail }, { ledger, clusters, clock, log }) => {
    const stored = await ledger.readRollout(detail.name)
    // It never came as far as its claim: there is nothing of it anywhere.
    if (!stored) return { opened: 0 }
    const rollout = stored.value
    if (rollout.outcome === undefined) {
      concludeRollout(rollout, clock.now(), { error: detail.error ?? detail.status, cause: detail.cause ?? '' })
      await ledger.writeRollout(rollout, stored.version)
    }
    const cluster = await clusters.connect(rollout.cluster)
    await handBackPlans(rollout, cluster, log)
    const released = await releaseBranch(
      { rollout: rollout.id, branch: branchOf(rollout.push) },
      { cluster, ledger, clock },
    )
    log.info('restored', { rollout: rollout.id, cluster: rollout.cluster, status: detail.status, ...released })
    return released
  },
})

export const handler = serveClusters(step)
