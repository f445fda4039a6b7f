import * as z from 'zod'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { restoreEnded, sweep } from './unlock-watch.ts'

/** EventBridge's "Step Functions Execution Status Change", as far as it is needed. */
const statusChangeSchema = z.object({
  detail: z.object({
    /** The unlock's id. */
    name: z.string(),
    status: z.enum(['ABORTED', 'TIMED_OUT', 'FAILED']),
    error: z.string().nullish(),
  }),
})

/** Puts back what guarded unlocks have left behind: told of the end of one, or by a look at a cluster. */
export const step = defineLockStep({
  name: 'unlock-watch',
  input: z.union([statusChangeSchema, z.object({ cluster: z.string().min(1) })]),
  output: z.object({ unlock: z.string().optional(), undone: z.number().int(), left: z.number().int() }),
  run: async (input, ports) => {
    if ('cluster' in input) return sweep(input.cluster, ports)
    const { name, status, error } = input.detail
    return restoreEnded(name, `its execution has ended as ${error ? `${status} (${error})` : status}`, ports)
  },
})

export const handler = serveLocks(step)
