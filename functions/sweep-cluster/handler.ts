import * as z from 'zod'
import { pushSchema } from '../lib/push.ts'
import { clusterOf } from '../lib/rollout/rollout-step.ts'
import { serveLocks } from '../lib/serve-locks.ts'
import { defineLockStep } from '../lib/step.ts'
import { sweepCluster } from './sweep-cluster.ts'

/** Looks a cluster through for what no event told of, and says which rollouts have to be started. */
export const step = defineLockStep({
  name: 'sweep-cluster',
  input: z.object({ execution: z.string().min(1), cluster: z.string().min(1) }),
  output: z.object({
    pushes: z.array(pushSchema),
    findings: z.int(),
    told: z.int(),
    restored: z.int(),
  }),
  run: ({ execution, cluster }, ports) => sweepCluster(clusterOf(ports.fleet, cluster), execution, ports),
})

export const handler = serveLocks(step)
