import * as z from 'zod'
import { badEndSchema } from '../lib/bad-end.ts'
import { serveClusters } from '../lib/serve-clusters.ts'
import { defineClusterStep } from '../lib/step.ts'
import { restoreRollout } from './restore.ts'

/** Puts back what an execution left behind that did not end by itself: see `restoreRollout`. */
export const step = defineClusterStep({
  name: 'restore',
  input: z.object({ detail: badEndSchema }),
  output: z.object({ opened: z.number().int(), handedTo: z.string().optional() }),
  run: async ({ detail: { name, status, error, cause } }, ports) => {
    const ended = { rollout: name, error: error ?? status, cause: cause ?? '', stopped: status === 'ABORTED' }
    const released = await restoreRollout(ended, ports)
    ports.log.info('restored', { rollout: name, status, ...released })
    return released
  },
})

export const handler = serveClusters(step)
