import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { BatchWriteItemCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { EKSClient } from '@aws-sdk/client-eks'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { judgeCluster } from '../../functions/judge/judge.ts'
import { judgeOthers } from '../../functions/judge-others/judge-others.ts'
import { systemClock } from '../../functions/lib/clock.ts'
import { type Fleet, parseFleet } from '../../functions/lib/fleet.ts'
import { eksClusters } from '../../functions/lib/kubernetes/eks.ts'
import { DynamoDbLedger } from '../../functions/lib/ledger/dynamodb-ledger.ts'
import { S3StateReader } from '../../functions/lib/locks/states/s3-state-reader.ts'
import { DynamoDbLockStore } from '../../functions/lib/locks/stores/dynamodb-lock-store.ts'
import { S3LockStore } from '../../functions/lib/locks/stores/s3-lock-store.ts'
import { silentLog } from '../../functions/lib/log.ts'
import { silentMetrics } from '../../functions/lib/metrics.ts'
import type { LockPorts } from '../../functions/lib/step.ts'
import { createTable, localCredentials, lockTableKeys, startDynamoDb } from '../../infra/local/dynamodb.ts'
import { noLocks } from '../../infra/local/host.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { startS3 } from '../../infra/local/s3/s3-server.ts'
import { localClusterRole, startSimulatedFleet } from '../../infra/local/simulated-fleet.ts'
import { newLockRecord, renderLockRecord } from '../../infra/local/simulation/tofu/lock-record.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { terraform } from '../fixtures/raw-objects.ts'
import { type BundledHandlers, bundleHandlers } from './bundled-handlers.ts'
import { runModule } from './child-process.ts'
import { type CountingProxy, startCountingProxy } from './counting-proxy.ts'
import { startEventBus } from './event-bus.ts'
import type { Measurement } from './measurement.ts'

const digests = 10_000
const locks = 100
/** DynamoDB answers a Scan in pages of 1 MB. */
const pageBytes = 1024 * 1024
const ledger = 'lockstep-ledger'
const auditTable = 'lockstep-audit'
const region = 'us-east-1'
const written = {
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging-eks', region, environment: 'staging' }],
  locks: { dynamodb: ['locks'], s3: ['states'] },
}
/** Of functions with 512 and 256 MB, as they are deployed. */
const heapOf = (megabytes: number) => [`--max-old-space-size=${megabytes / 2}`, '--max-semi-space-size=4']

const reportSchema = z.object({ maxRssKib: z.number(), answer: z.record(z.string(), z.unknown()) })

/**
 * One scan of a lock table with 10,000 digests and 100 locks: half of them of objects of a cluster, which are read by
 * key, the others found by reading the table. Each step is the bundle as it is deployed, in a process of its own.
 */
export async function measureLockScan(): Promise<readonly Measurement[]> {
  const fleet = parseFleet(written)
  const closing: (() => unknown)[] = []
  try {
    const s3 = await startS3({ clock: systemClock })
    closing.push(() => s3.close())
    await createBucket(s3.url)
    const dynamodb = await startDynamoDb({ activity: noActivity, tables: [ledger, auditTable] })
    closing.push(() => dynamodb.close())
    const bytes = await fillTable(dynamodb.url)
    const proxy = await startCountingProxy(dynamodb.url)
    closing.push(() => proxy.close())
    const bus = await startEventBus()
    closing.push(() => bus.close())
    const simulated = await startSimulatedFleet({ fleet, clock: systemClock, activity: noActivity })
    closing.push(() => simulated.close())
    simulated.clusters.get('staging')?.simulation.load(objects())
    const bundles = bundleHandlers(['judge', 'judge-others'], { LOCKSTEP_FLEET: written })
    closing.push(() => bundles.remove())
    const environment = {
      ...{ AWS_REGION: region, LEDGER_TABLE: ledger, AUDIT_TABLE: auditTable, EVENT_BUS: 'default' },
      ...{ AWS_ACCESS_KEY_ID: localCredentials.accessKeyId, AWS_SECRET_ACCESS_KEY: localCredentials.secretAccessKey },
      ...{ AWS_SESSION_TOKEN: 'local', AWS_ENDPOINT_URL_EKS: simulated.eks.url, AWS_ENDPOINT_URL_DYNAMODB: proxy.url },
      ...{ AWS_ENDPOINT_URL_S3: s3.url, AWS_ENDPOINT_URL_EVENTBRIDGE: bus.url },
      ...{ AWS_ENDPOINT_URL_STS: simulated.sts.url, CLUSTER_ROLE_ARN: localClusterRole },
    }
    const run = runner(bundles, environment, proxy)
    const own = await run('judge', { execution: 'bench', cluster: 'staging' }, 512)
    const others = await run('judge-others', { execution: 'bench' }, 256)
    const urls = { dynamodb: dynamodb.url, s3: s3.url, eks: simulated.eks.url }
    return [...lines(own, others, Math.ceil(bytes / pageBytes)), await measureNews(fleet, urls)]
  } finally {
    for (const close of closing.reverse()) await close()
  }
}

/** How long the lock-scan machine's two steps take in functions that are warm, until the last change is told. */
async function measureNews(fleet: Fleet, urls: { dynamodb: string; s3: string; eks: string }): Promise<Measurement> {
  const access = { region, credentials: localCredentials }
  const client = new DynamoDBClient({ ...access, endpoint: urls.dynamodb })
  const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } })
  const s3 = new S3Client({ ...access, endpoint: urls.s3, forcePathStyle: true })
  const eksClient = () => new EKSClient({ ...access, endpoint: urls.eks })
  let told = 0
  const ports: LockPorts = {
    ...{ fleet, clock: systemClock, log: silentLog, sliceMs: 60_000, metrics: silentMetrics },
    ledger: new DynamoDbLedger({ client: documents, table: ledger, auditTable, clock: systemClock }),
    clusters: eksClusters({ fleet, clock: systemClock, eksClient }),
    events: { publish: async () => void told++ },
    locks: {
      stores: [
        new DynamoDbLockStore({ client: documents, region, table: 'locks' }),
        new S3LockStore({ client: s3, bucket: 'states' }),
      ],
      keeper: noLocks.keeper,
      states: new S3StateReader(() => s3),
    },
  }
  const scan = async () => {
    const begin = performance.now()
    for (const cluster of fleet.clusters) await judgeCluster(cluster, `warm-${begin}`, ports)
    await judgeOthers(`warm-${begin}`, ports)
    return performance.now() - begin
  }
  try {
    await scan()
    // As if all of them had been free: every lock is news.
    for (const known of await ports.ledger.listObservations()) {
      const announced = { verdict: 'free', at: 0 } as const
      await ports.ledger.writeObservation({ ...known, version: known.version + 1, announced })
    }
    told = 0
    const ms = await scan()
    if (told < locks) throw new Error(`${told} changes were told`)
    return {
      what: '... until every change of verdict is told, in warm functions',
      target: '2 s',
      measured: `${(ms / 1_000).toFixed(1)} s for ${told} changes at once`,
      ok: ms <= 2_000,
      values: { ms, told },
    }
  } finally {
    client.destroy()
    s3.destroy()
  }
}

interface Run {
  readonly ms: number
  readonly mib: number
  readonly judged: number
  /** Requests to DynamoDB, by operation. */
  readonly operations: Readonly<Record<string, number>>
}

function runner(bundles: BundledHandlers, environment: Readonly<Record<string, string>>, proxy: CountingProxy) {
  const invoke = fileURLToPath(new URL('invoke-handler.mjs', import.meta.url))
  return async (step: 'judge' | 'judge-others', input: object, megabytes: number): Promise<Run> => {
    const before = new Map(proxy.operations)
    const begin = performance.now()
    const output = await runModule(invoke, [bundles.path(step), JSON.stringify(input)], environment, heapOf(megabytes))
    const ms = performance.now() - begin
    const { maxRssKib, answer } = reportSchema.parse(output)
    const judged = ['live', 'suspect', 'stale'].reduce((sum, verdict) => sum + Number(answer[verdict]), 0)
    if (judged !== locks / 2) throw new Error(`${step} judged ${judged} locks: ${JSON.stringify(answer)}`)
    const counts = [...proxy.operations].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
    return {
      ms,
      mib: maxRssKib / 1024,
      judged,
      operations: Object.fromEntries(counts.filter(([, count]) => count > 0)),
    }
  }
}

function lines(own: Run, others: Run, pages: number): Measurement[] {
  const scans = others.operations.Scan ?? 0
  const most = Math.max(own.ms, others.ms)
  const mib = Math.max(own.mib, others.mib)
  return [
    {
      what: `a scan for locks reads a table of ${digests.toLocaleString('en')} digests and ${locks} locks`,
      target: '1.2 times its pages',
      measured: `${scans} of ${pages} pages; ${own.operations.BatchGetItem ?? 0} BatchGetItem for ${locks / 2} known objects`,
      ok: scans <= pages * 1.2 && (own.operations.Scan ?? 0) === 0,
      values: { scans, pages, batches: own.operations.BatchGetItem ?? 0 },
    },
    {
      what: `... and judges ${locks} locks, with the start of each function`,
      target: '3 s',
      measured: `${(own.ms / 1_000).toFixed(1)} s those of a cluster, ${(others.ms / 1_000).toFixed(1)} s the others`,
      ok: most <= 3_000,
      values: { ownMs: own.ms, othersMs: others.ms },
    },
    {
      what: '... in resident memory',
      target: '200 MiB',
      measured: `max ${Math.round(own.mib)} and ${Math.round(others.mib)} MiB, with the heaps of their functions`,
      ok: mib <= 200,
      values: { ownMib: own.mib, othersMib: others.mib },
    },
  ]
}

const key = (index: number) =>
  `environments/production/eu-central-1/team-${index % 50}/platform/app-${index}/terraform.tfstate`

/** Answers how many bytes the items have. */
async function fillTable(url: string): Promise<number> {
  await createTable(url, 'locks', lockTableKeys)
  const client = new DynamoDBClient({ endpoint: url, region, credentials: localCredentials })
  const items: Record<string, string>[] = []
  for (let index = 0; index < digests; index++) {
    items.push({ LockID: `states/${key(index)}-md5`, Digest: index.toString(16).padStart(32, '0') })
  }
  for (let index = 0; index < locks; index++) {
    // Half are of objects, and their pods are not there.
    const who = index < locks / 2 ? `runner@app-${index}-tf-runner` : 'ana@laptop'
    const record = newLockRecord('OperationTypeApply', who, `states/${key(index)}`, Date.now() - 3_600_000)
    items.push({ LockID: `states/${key(index)}`, Info: renderLockRecord(record) })
  }
  for (let from = 0; from < items.length; from += 25) {
    const requests = items.slice(from, from + 25).map((item) => ({
      PutRequest: { Item: Object.fromEntries(Object.entries(item).map(([name, S]) => [name, { S }])) },
    }))
    await client.send(new BatchWriteItemCommand({ RequestItems: { locks: requests } }))
  }
  client.destroy()
  return items.reduce((sum, item) => sum + Buffer.byteLength(Object.entries(item).flat().join('')), 0)
}

async function createBucket(endpoint: string): Promise<void> {
  const client = new S3Client({ endpoint, region, credentials: localCredentials, forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: 'states' }))
  client.destroy()
}

function objects(): KubernetesObject[] {
  return Array.from({ length: locks / 2 }, (_, index) => {
    const customConfiguration = `backend "s3" {
      bucket         = "states"
      key            = "${key(index)}"
      region         = "${region}"
      dynamodb_table = "locks"
    }`
    return terraform(`app-${index}`, { spec: { backendConfig: { customConfiguration } } }) as KubernetesObject
  })
}
