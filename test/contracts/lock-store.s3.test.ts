import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { systemClock } from '../../functions/lib/clock.ts'
import { S3LockStore } from '../../functions/lib/locks/s3-lock-store.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'
import { startS3 } from '../../infra/local/s3/s3-server.ts'
import { lockStoreContract } from './lock-store.contract.ts'

for (const versions of [false, true]) {
  lockStoreContract(`S3 client on the stand-in, ${versions ? 'with' : 'without'} versions`, async () => {
    const server = await startS3({ clock: systemClock })
    const client = new S3Client({
      endpoint: server.url,
      forcePathStyle: true,
      region: 'us-east-1',
      credentials: localCredentials,
      maxAttempts: 1,
    })
    const bucket = 'states'
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
      address,
      oddName: 'env:/größe und/🔒',
      tellsTime: true,
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
      close: async () => {
        client.destroy()
        await server.close()
      },
    }
  })
}
