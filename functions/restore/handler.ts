import * as z from 'zod'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { restoreRollout } from './restore.ts'

/** EventBridge's "Step Functions Execution Status Change", as far as it is needed. */
const statusChangeSchema = z.object({
  detail: z.object({
    name: z.string(),
    status: z.enum(['ABORTED', 'TIMED_OUT', 'FAILED']),
    error: z.string().nullish(),
    cause: z.string().nullish(),
  }),
})

/** Puts back what an execution left behind that did not end by itself: see `restoreRollout`. */
export const step = defineClusterStep({
  name: 'restore',
  input: statusChangeSchema,
  output: z.object({ opened: z.number().int(), handedTo: z.string().optional() }),
  run: async ({ detail: { name, status, error, cause } }, ports) => {
    const ended = { rollout: name, error: error ?? status, cause: cause ?? '', stopped: status === 'ABORTED' }
    const released = await restoreRollout(ended, ports)
    ports.log.info('restored', { rollout: name, status, ...released })
    return released
  },
})

export const handler = serveClusters(step)
