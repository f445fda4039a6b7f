import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { BucketAlreadyOwnedByYou, CreateBucketCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import type { Clock } from '../../functions/lib/clock.ts'
import type { FleetLocks } from '../../functions/lib/fleet.ts'
import type { LockAccess } from '../../functions/lib/locks/scan/lock-access.ts'
import { S3StateReader } from '../../functions/lib/locks/states/s3-state-reader.ts'
import { DynamoDbLockStore } from '../../functions/lib/locks/stores/dynamodb-lock-store.ts'
import { S3LockStore } from '../../functions/lib/locks/stores/s3-lock-store.ts'
import { S3StateKeeper } from '../../functions/lib/unlock/state/s3-state-keeper.ts'
import { createTable, localCredentials, lockTableKeys, startDynamoDb } from './dynamodb.ts'
import { startS3 } from './s3/s3-server.ts'
import { LockFile } from './simulation/tofu/lock-file.ts'
import { LockItem } from './simulation/tofu/lock-item.ts'
import { type LockPart, S3State } from './simulation/tofu/s3-state.ts'
import type { OpenBackend } from './simulation/tofu/state-backends.ts'
import type { Activity } from './virtual-clock.ts'

export interface LocalStatesOptions {
  readonly clock: Clock
  readonly activity: Activity
  /** Buckets and lock tables that are there from the start. Those that an object names are made when it needs them. */
  readonly buckets?: readonly string[]
  readonly tables?: readonly string[]
  /** Until `catchUp`, what is written counts as written this many milliseconds ago. Default: 0. */
  readonly past?: number
}

/** S3 and DynamoDB on loopback, where simulated tofus keep their states and take their locks. All regions are one. */
export interface LocalStates {
  readonly s3: S3Client
  readonly dynamodb: DynamoDBDocumentClient
  /** For simulated clusters: opens backends `s3`. */
  readonly openBackend: OpenBackend
  /** For scans: a fleet's tables and buckets, whatever their region. */
  lockAccess(locks: FleetLocks): LockAccess
  /** From now on S3's clock is the clock: what was there before the fleet began has been written. */
  catchUp(): void
  close(): Promise<void>
}

export async function startLocalStates(options: LocalStatesOptions): Promise<LocalStates> {
  const { clock, activity, buckets = [], tables = [] } = options
  let { past = 0 } = options
  const s3Clock: Clock = { now: () => clock.now() - past, after: (ms, fire) => clock.after(ms, fire) }
  const [s3Server, dynamodbServer] = await Promise.all([
    startS3({ clock: s3Clock, activity }),
    startDynamoDb({ activity }),
  ])
  const access = { region: 'us-east-1', credentials: localCredentials }
  const s3 = new S3Client({ ...access, endpoint: s3Server.url, forcePathStyle: true })
  const client = new DynamoDBClient({ ...access, endpoint: dynamodbServer.url })
  const dynamodb = DynamoDBDocumentClient.from(client)
  const bucketOf = once((name) => createBucket(s3, name))
  const tableOf = once((name) => createTable(dynamodbServer.url, name, lockTableKeys))
  await Promise.all([...buckets.map(bucketOf), ...tables.map(tableOf)])

  const openBackend: OpenBackend = ({ name, attributes, workspace }) => {
    const { bucket, key: path, dynamodb_table: table } = attributes
    if (name !== 's3' || !bucket || !path) return undefined
    const key = workspace === 'default' ? path : `${attributes.workspace_key_prefix ?? 'env:'}/${workspace}/${path}`
    const parts: LockPart[] = []
    if (attributes.use_lockfile === 'true') parts.push(new LockFile(s3, bucket, key))
    if (table) parts.push(new LockItem(dynamodb, table, `${bucket}/${key}`))
    const prepare = async () => {
      await bucketOf(bucket)
      if (table) await tableOf(table)
    }
    return new S3State({ client: s3, activity, bucket, key, parts, prepare })
  }
  return {
    ...{ s3, dynamodb, openBackend },
    lockAccess: ({ dynamodb: tables, s3: buckets }) => ({
      stores: [
        ...tables.map(({ table, region }) => new DynamoDbLockStore({ client: dynamodb, region, table })),
        ...buckets.map(
          ({ bucket, prefixes }) => new S3LockStore({ client: s3, bucket, ...(prefixes && { prefixes }) }),
        ),
      ],
      states: new S3StateReader(() => s3),
      keeper: new S3StateKeeper({ clientFor: () => s3, clock: options.clock }),
    }),
    catchUp: () => {
      past = 0
    },
    close: async () => {
      s3.destroy()
      client.destroy()
      await Promise.all([s3Server.close(), dynamodbServer.close()])
    },
  }
}

/** With versions, as OpenTofu's documentation asks for. */
async function createBucket(client: S3Client, Bucket: string): Promise<void> {
  try {
    await client.send(new CreateBucketCommand({ Bucket }))
  } catch (error) {
    if (!(error instanceof BucketAlreadyOwnedByYou)) throw error
  }
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }))
}

/** Does something once for each name; one that failed is tried again. */
function once(make: (name: string) => Promise<void>): (name: string) => Promise<void> {
  const made = new Map<string, Promise<void>>()
  return (name) => {
    const found = made.get(name)
    if (found) return found
    const making = make(name).catch((error: unknown) => {
      made.delete(name)
      throw error
    })
    made.set(name, making)
    return making
  }
}
