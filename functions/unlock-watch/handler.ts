import * as z from 'zod'
import { badEndSchema } from '../lib/bad-end.ts'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { restoreEnded, sweep } from './unlock-watch.ts'

/** Puts back what guarded unlocks have left behind: told of the end of one, or by a look at a cluster. */
export const step = defineLockStep({
  name: 'unlock-watch',
  input: z.union([z.object({ detail: badEndSchema }), z.object({ cluster: z.string().min(1) })]),
  output: z.object({ unlock: z.string().optional(), undone: z.number().int(), left: z.number().int() }),
  run: async (input, ports) => {
    if ('cluster' in input) return sweep(input.cluster, ports)
    const { name, status, error } = input.detail
    return restoreEnded(name, `its execution has ended as ${error ? `${status} (${error})` : status}`, ports)
  },
})

export const handler = serveLocks(step)
