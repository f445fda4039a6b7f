import * as z from 'zod'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { unlockIdSchema } from '../lib/unlock/run/under-way.ts'
import { deleteLock } from './delete-lock.ts'
import { forceUnlock } from './force-unlock.ts'

/** The lock goes: by us, or by its controller. `done` is false where that takes longer: call again. */
export const step = defineLockStep({
  name: 'unlock-delete',
  input: unlockIdSchema.extend({ by: z.enum(['lockstep', 'controller']) }),
  output: z.object({ done: z.boolean() }),
  run: async ({ unlock, by }, ports) => {
    if (by === 'controller') return { done: await forceUnlock(unlock, ports) }
    await deleteLock(unlock, ports)
    return { done: true }
  },
})

export const handler = serveLocks(step)
