import * as z from 'zod'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { unlockIdSchema } from '../lib/unlock/run/under-way.ts'
import { verify } from './verify.ts'

/** Whether the fresh plan ran after the lock was gone. `done` is false where that takes longer: call again. */
export const step = defineLockStep({
  name: 'unlock-verify',
  input: unlockIdSchema,
  output: z.object({ done: z.boolean(), plan: z.enum(['planned', 'failed', 'none']).optional() }),
  run: ({ unlock }, ports) => verify(unlock, ports),
})

export const handler = serveLocks(step)
