import * as z from 'zod'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { rungs } from '../lib/unlock/plan/rung.ts'
import { unlockIdSchema } from '../lib/unlock/run/under-way.ts'
import { unlockInputSchema } from '../lib/unlock/run/unlock-request.ts'
import { assess } from './assess.ts'
import { judgeAgain } from './judge-again.ts'

/** Judges the lock of an unlock by evidence of now: before anything is changed, and again behind the fence. */
export const step = defineLockStep({
  name: 'unlock-assess',
  input: z.discriminatedUnion('fenced', [
    unlockInputSchema.extend({ ...unlockIdSchema.shape, fenced: z.literal(false) }),
    unlockIdSchema.extend({ fenced: z.literal(true) }),
  ]),
  output: z.union([
    z.object({
      ...{ rung: z.enum(rungs), missing: z.number().int() },
      ...{ approvalSeconds: z.number().int(), heartbeatSeconds: z.number().int() },
    }),
    /** Before the lock is judged again; 0 where it is stale. */
    z.object({ waitSeconds: z.number().int() }),
  ]),
  run: async (input, ports) => {
    if (input.fenced) return { waitSeconds: await judgeAgain(input.unlock, ports) }
    const { fenced: _, ...asked } = input
    return assess(asked, ports)
  },
})

export const handler = serveLocks(step)
