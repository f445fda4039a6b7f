import * as z from 'zod'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { unlockIdSchema } from '../lib/unlock/run/under-way.ts'
import { fence, fenceParts } from './fence.ts'

/** One part of the fence around a locked state. `done` is false where it takes longer: call again. */
export const step = defineLockStep({
  name: 'unlock-fence',
  input: unlockIdSchema.extend({ part: z.enum(fenceParts) }),
  output: z.object({ done: z.boolean() }),
  run: async ({ unlock, part }, ports) => ({ done: await fence(unlock, part, ports) }),
})

export const handler = serveLocks(step)
