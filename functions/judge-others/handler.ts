import * as z from 'zod'
import { scanCountsSchema } from '../lib/locks/scan/scan.ts'
import { serveStores } from '../lib/serve-stores.ts'
import { defineStoreStep } from '../lib/step.ts'
import { judgeOthers } from './judge-others.ts'

/** Which locks are in the fleet's tables and buckets that belong to no object of any cluster. */
export const step = defineStoreStep({
  name: 'judge-others',
  input: z.object({ execution: z.string().min(1) }),
  output: scanCountsSchema,
  run: ({ execution }, ports) => judgeOthers(execution, ports),
})

export const handler = serveStores(step)
