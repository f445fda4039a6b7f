import * as z from 'zod'
import { scanCountsSchema } from '../lib/locks/scan/scan.ts'
import { clusterOf } from '../lib/rollout/rollout-step.ts'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { judgeCluster } from './judge.ts'

/** Which locks the objects of a cluster wait for, who holds them, and whether the holder is dead. */
export const step = defineLockStep({
  name: 'judge',
  input: z.object({ execution: z.string().min(1), cluster: z.string().min(1) }),
  output: scanCountsSchema,
  run: ({ execution, cluster }, ports) => judgeCluster(clusterOf(ports.fleet, cluster), execution, ports),
})

export const handler = serveLocks(step)
