import * as z from 'zod'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { unlockIdSchema } from '../lib/unlock/run/under-way.ts'
import { backUp } from './back-up.ts'

/** A backup of the state whose lock is about to be deleted. */
export const step = defineLockStep({
  name: 'unlock-back-up',
  input: unlockIdSchema,
  output: z.object({ kind: z.string() }),
  run: ({ unlock }, ports) => backUp(unlock, ports),
})

export const handler = serveLocks(step)
