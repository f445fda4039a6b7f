import * as z from 'zod'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { rungs } from '../lib/unlock/plan/rung.ts'
import { unlockIdSchema } from '../lib/unlock/run/under-way.ts'
import { begin } from './begin.ts'

/** The cluster's turn, and all that will be changed written down. */
export const step = defineLockStep({
  name: 'unlock-begin',
  input: unlockIdSchema,
  output: z.object({ rung: z.enum(rungs), changes: z.number().int() }),
  run: ({ unlock }, ports) => begin(unlock, ports),
})

export const handler = serveLocks(step)
