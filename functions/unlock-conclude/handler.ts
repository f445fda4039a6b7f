import * as z from 'zod'
import { causeText } from '../lib/cause-text.ts'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { unlockIdSchema } from '../lib/unlock/run/under-way.ts'
import { unlockOutcomes } from '../lib/unlock/run/unlock-run.ts'
import { conclude } from './conclude.ts'

/** The end of an unlock, however it came. */
export const step = defineLockStep({
  name: 'unlock-conclude',
  input: unlockIdSchema.extend({
    /** What ended it before it was through. */
    ended: z.object({ error: z.string(), cause: z.string() }).nullish(),
  }),
  output: z.object({ outcome: z.enum(unlockOutcomes), why: z.string() }),
  run: ({ unlock, ended }, ports) =>
    conclude(unlock, ended ? { error: ended.error, why: causeText(ended.cause) } : undefined, ports),
})

export const handler = serveLocks(step)
