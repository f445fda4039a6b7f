import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import { systemClock } from '../../functions/lib/clock.ts'
import type { Push } from '../../functions/lib/push.ts'
import { localCredentials, startDynamoDb } from '../../infra/local/dynamodb.ts'
import { localClusterRole, type SimulatedFleet } from '../../infra/local/simulated-fleet.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { BenchCluster } from './bench-cluster.ts'
import { benchFleet } from './bench-fleet.ts'
import { type BundledHandlers, bundleHandlers } from './bundled-handlers.ts'
import { runModule } from './child-process.ts'
import { startEventBus } from './event-bus.ts'

const table = 'lockstep-ledger'

/**
 * As deployed (infra/aws/handler-function.ts): half of the 512 MB that these functions have. Without it V8 would collect
 * garbage later on a machine of many gigabytes.
 */
const heapOptions = ['--max-old-space-size=256', '--max-semi-space-size=4']

/** The first layer takes about ten seconds: it begins with the fetch, and the wait must still see most of it. */
const speedups = { fetch: 50, tofuPlan: 200, tofuApply: 300, runnerCleanup: 100 }

/** A rollout's steps up to its first wait, in order. */
export const steps = ['claim', 'plan', 'gate', 'fetch', 'open', 'wait'] as const
export type StepName = (typeof steps)[number]

/** One invocation of a function, the first one of its process. */
export interface HandlerRun {
  readonly bundleBytes: number
  readonly maxMib: number
  /** CPU time, in milliseconds, of loading the bundle and of the invocation. */
  readonly startCpuMs: number
  readonly workCpuMs: number
}

/**
 * Takes a push through its first steps: each is the bundle as it is deployed, in a process of its own, and talks HTTP to the
 * stand-ins here.
 */
export async function runSteps(size: {
  readonly objectCount: number
  readonly layerCount: number
}): Promise<ReadonlyMap<StepName, HandlerRun>> {
  const bench = benchFleet(size)
  const bundles = bundleHandlers(steps, { LOCKSTEP_FLEET: bench.written })
  const cluster = await BenchCluster.start(bench, { clock: systemClock, activity: noActivity, speedups })
  const dynamodb = await startDynamoDb({ activity: noActivity, tables: [table] })
  const bus = await startEventBus()
  try {
    const environment = lambdaEnvironment(cluster.simulated, { dynamodb: dynamodb.url, bus: bus.url })
    return await runsOf(cluster.commit(), bundles, environment, size)
  } finally {
    await bus.close()
    await dynamodb.close()
    await cluster.close()
    bundles.remove()
  }
}

/** What a deployed function finds in its environment, with stand-ins in place of AWS. */
function lambdaEnvironment(
  { eks, sts }: SimulatedFleet,
  { dynamodb, bus }: { readonly dynamodb: string; readonly bus: string },
): Record<string, string> {
  return {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: localCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: localCredentials.secretAccessKey,
    AWS_SESSION_TOKEN: 'local',
    AWS_ENDPOINT_URL_EKS: eks.url,
    AWS_ENDPOINT_URL_STS: sts.url,
    CLUSTER_ROLE_ARN: localClusterRole,
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb,
    AWS_ENDPOINT_URL_EVENTBRIDGE: bus,
    LEDGER_TABLE: table,
    // None of the steps writes to it.
    AUDIT_TABLE: 'lockstep-audit',
    EVENT_BUS: 'default',
  }
}

const reportSchema = z.object({
  ...{ maxRssKib: z.number(), startCpuMs: z.number(), workCpuMs: z.number() },
  answer: z.looseObject({ objects: z.number().optional(), ready: z.number().optional() }),
})

async function runsOf(
  push: Push,
  bundles: BundledHandlers,
  environment: Readonly<Record<string, string>>,
  { objectCount, layerCount }: { readonly objectCount: number; readonly layerCount: number },
): Promise<Map<StepName, HandlerRun>> {
  const ids = { rollout: `${push.delivery}.staging`, cluster: 'staging' }
  const runs = new Map<StepName, HandlerRun>()
  for (const step of steps) {
    const payload = step === 'claim' ? { ...ids, push, execution: 'arn:of:the:benchmark' } : ids
    const invoke = fileURLToPath(new URL('invoke-handler.mjs', import.meta.url))
    const bundle = bundles.path(step)
    const output = await runModule(invoke, [bundle, JSON.stringify(payload)], environment, heapOptions)
    const { maxRssKib, answer, ...cpu } = reportSchema.parse(output)
    runs.set(step, { ...cpu, maxMib: maxRssKib / 1024, bundleBytes: statSync(bundle).size })
    if (step === 'plan' && answer.objects !== objectCount) throw new Error(`the plan has ${answer.objects} objects`)
    if (step === 'wait' && answer.ready !== objectCount / layerCount)
      throw new Error(`${answer.ready} objects were waited for`)
  }
  return runs
}
