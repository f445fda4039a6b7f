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
import type { Measurement } from './measurement.ts'

const objectCount = 1_000
const targetMib = 200
const table = 'lockstep-ledger'

/**
 * As deployed (infra/aws/handler-function.ts): half of the 512 MB that these functions have. Without it V8 would collect
 * garbage later on a machine of many gigabytes.
 */
const heapOptions = ['--max-old-space-size=256', '--max-semi-space-size=4']

/** The first layer takes about ten seconds: it begins with the fetch, and the wait must still see most of it. */
const speedups = { fetch: 50, tofuPlan: 200, tofuApply: 300, runnerCleanup: 100 }

/** A rollout's steps up to its first wait, in order. */
const steps = ['claim', 'plan', 'gate', 'fetch', 'open', 'wait'] as const
type StepName = (typeof steps)[number]

/**
 * The most that a handler's process ever has resident, at 1,000 objects in two layers: each step is the bundle as it
 * is deployed, in a process of its own, and talks HTTP to the stand-ins here. The first layer is half of the objects.
 */
export async function measureHandlerMemory(): Promise<readonly Measurement[]> {
  const bench = benchFleet({ objectCount, layerCount: 2 })
  const bundles = bundleHandlers(steps, { LOCKSTEP_FLEET: bench.written })
  const cluster = await BenchCluster.start(bench, { clock: systemClock, activity: noActivity, speedups })
  const dynamodb = await startDynamoDb({ activity: noActivity, tables: [table] })
  try {
    const environment = lambdaEnvironment(cluster.simulated, dynamodb.url)
    const mib = await memoryOfSteps(cluster.commit(), bundles, environment)
    return [line('plan', mib), line('wait', mib)]
  } finally {
    await dynamodb.close()
    await cluster.close()
    bundles.remove()
  }
}

/** What a deployed function finds in its environment, with stand-ins in place of AWS. */
function lambdaEnvironment({ eks, sts }: SimulatedFleet, dynamodbUrl: string): Record<string, string> {
  return {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: localCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: localCredentials.secretAccessKey,
    AWS_SESSION_TOKEN: 'local',
    AWS_ENDPOINT_URL_EKS: eks.url,
    AWS_ENDPOINT_URL_STS: sts.url,
    CLUSTER_ROLE_ARN: localClusterRole,
    AWS_ENDPOINT_URL_DYNAMODB: dynamodbUrl,
    LEDGER_TABLE: table,
    // Neither of the steps writes to it.
    AUDIT_TABLE: 'lockstep-audit',
  }
}

function line(step: 'plan' | 'wait', mib: ReadonlyMap<StepName, number>): Measurement {
  const most = mib.get(step) ?? Number.NaN
  return {
    what: `resident memory of the ${step} handler at 1,000 objects`,
    target: `${targetMib} MiB`,
    measured: `max ${Math.round(most)} MiB, with the heap of a 512 MB function`,
    ok: most <= targetMib,
    values: { maxMib: most },
  }
}

const reportSchema = z.object({
  maxRssKib: z.number(),
  answer: z.looseObject({ objects: z.number().optional(), ready: z.number().optional() }),
})

async function memoryOfSteps(
  push: Push,
  bundles: BundledHandlers,
  environment: Readonly<Record<string, string>>,
): Promise<Map<StepName, number>> {
  const ids = { rollout: `${push.delivery}.staging`, cluster: 'staging' }
  const mib = new Map<StepName, number>()
  for (const step of steps) {
    const payload = step === 'claim' ? { ...ids, push, execution: 'arn:of:the:benchmark' } : ids
    const invoke = fileURLToPath(new URL('invoke-handler.mjs', import.meta.url))
    const output = await runModule(invoke, [bundles.path(step), JSON.stringify(payload)], environment, heapOptions)
    const { maxRssKib, answer } = reportSchema.parse(output)
    mib.set(step, maxRssKib / 1024)
    if (step === 'plan' && answer.objects !== objectCount) throw new Error(`the plan has ${answer.objects} objects`)
    if (step === 'wait' && answer.ready !== objectCount / 2) throw new Error(`${answer.ready} objects were waited for`)
  }
  return mib
}
