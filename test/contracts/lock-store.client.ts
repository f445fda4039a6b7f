import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { DynamoDbLockStore } from '../../functions/lib/locks/stores/dynamodb-lock-store.ts'
import { S3LockStore } from '../../functions/lib/locks/stores/s3-lock-store.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'
import type { LockStoreUnderTest } from './lock-store.contract.ts'
import { LockTable } from './lock-table.ts'

const region = 'us-east-1'
const oddName = 'env:/größe und/🔒'
const connection = (endpoint: string) => ({ endpoint, region, credentials: localCredentials, maxAttempts: 1 })

/** A lock table of its own at an endpoint, through the clients of @aws-sdk. */
export async function lockTableAt(url: string): Promise<LockStoreUnderTest> {
  const client = new DynamoDBClient(connection(url))
  const documents = DynamoDBDocumentClient.from(client)
  const table = new LockTable(url, 'locks')
  await table.create()
  const lockId = (name: string) => `bucket/${name}/terraform.tfstate`
  const address = (name: string) => ({ store: 'dynamodb', region, table: 'locks', lockId: lockId(name) }) as const
  return {
    store: new DynamoDbLockStore({ client: documents, region, table: 'locks', pageSize: 3 }),
    nowhere: new DynamoDbLockStore({ client: documents, region, table: 'nowhere' }),
    ...{ address, oddName, tellsTime: false },
    now: () => Date.now(),
    take: (name, raw) => table.take(lockId(name), raw),
    release: (name) => table.delete(lockId(name)),
    clutter: async (name) => {
      await table.writeDigest(lockId(name), '0123')
      const digest = `${lockId(name)}-md5`
      return { address: { ...address(name), lockId: digest }, read: () => table.read(digest) }
    },
    close: async () => {
      table.close()
      client.destroy()
    },
  }
}

/** A bucket of its own at an endpoint, through the client of @aws-sdk. */
export async function lockBucketAt(url: string, { versions }: { versions: boolean }): Promise<LockStoreUnderTest> {
  const client = new S3Client({ ...connection(url), forcePathStyle: true })
  const bucket = versions ? 'versioned-states' : 'states'
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  if (versions) {
    const VersioningConfiguration = { Status: 'Enabled' } as const
    await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }))
  }
  const stateKey = (name: string) => `app/${name}/terraform.tfstate`
  const address = (name: string) => ({ store: 's3', bucket, key: `${stateKey(name)}.tflock` }) as const
  const put = async (Key: string, Body: string, more = {}) => {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: Buffer.from(Body), ...more }))
  }
  return {
    store: new S3LockStore({ client, bucket, pageSize: 3 }),
    nowhere: new S3LockStore({ client, bucket: 'nowhere' }),
    ...{ address, oddName, tellsTime: true },
    now: () => Date.now(),
    take: (name, raw) => put(address(name).key, raw, { IfNoneMatch: '*' }),
    release: async (name) => {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: address(name).key }))
    },
    clutter: async (name) => {
      const Key = stateKey(name)
      await put(Key, '{"version":4}')
      const read = async () => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key }))
        return Body?.transformToString()
      }
      return { address: { ...address(name), key: Key }, read }
    },
    close: async () => client.destroy(),
  }
}

/** The same store with what it runs on, which ends with it. */
export function withServer(under: LockStoreUnderTest, server: { close(): Promise<unknown> }): LockStoreUnderTest {
  const close = async () => {
    await under.close()
    await server.close()
  }
  return { ...under, close }
}
