import * as z from 'zod'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { unlockIdSchema } from '../lib/unlock/run/under-way.ts'
import { putBack } from './put-back.ts'

/** Everything is put back, and a fresh plan asked for once the lock is gone. */
export const step = defineLockStep({
  name: 'unlock-put-back',
  input: unlockIdSchema,
  output: z.object({ held: z.number().int(), undone: z.number().int(), left: z.number().int(), asked: z.boolean() }),
  run: ({ unlock }, ports) => putBack(unlock, ports),
})

export const handler = serveLocks(step)
