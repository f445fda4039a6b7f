import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { systemClock } from '../../functions/lib/clock.ts'
import { S3StateReader } from '../../functions/lib/locks/states/s3-state-reader.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'
import { startS3 } from '../../infra/local/s3/s3-server.ts'
import { stateReaderContract } from './state-reader.contract.ts'

for (const versions of ['no', 'all', 'no more'] as const) {
  stateReaderContract(`S3 client on the stand-in, ${versions} versions`, async () => {
    const server = await startS3({ clock: systemClock })
    const clientOf = (region: string) =>
      new S3Client({
        ...{ endpoint: server.url, forcePathStyle: true, credentials: localCredentials },
        ...{ region, maxAttempts: 1 },
      })
    const client = clientOf('us-east-1')
    const refused = clientOf('us-east-1')
    // The stand-in lets everybody in.
    const refuse = () => async () => {
      const $metadata = { httpStatusCode: 403 }
      throw new S3ServiceException({ name: 'AccessDenied', $fault: 'client', $metadata, message: 'a secret' })
    }
    refused.middlewareStack.add(refuse, { step: 'initialize' })
    const Bucket = 'states'
    await client.send(new CreateBucketCommand({ Bucket }))
    for (const Status of { no: [], all: ['Enabled'], 'no more': ['Enabled', 'Suspended'] }[versions]) {
      const VersioningConfiguration = { Status: Status as 'Enabled' | 'Suspended' }
      await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
    }
    const keyOf = (name: string) => `app/${name}/terraform.tfstate`
    return {
      reader: new S3StateReader(() => client),
      denied: new S3StateReader(() => refused),
      address: (name) => ({ store: 's3', region: 'us-east-1', bucket: Bucket, key: keyOf(name) }),
      now: () => Date.now(),
      write: async (name, state) => {
        await client.send(new PutObjectCommand({ Bucket, Key: keyOf(name), Body: Buffer.from(state) }))
      },
      remove: async (name) => {
        await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(name) }))
      },
      close: async () => {
        client.destroy()
        refused.destroy()
        await server.close()
      },
    }
  })
}
