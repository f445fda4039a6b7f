import { createHash } from 'node:crypto'
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../functions/lib/clock.ts'
import { S3StateReader } from '../../../functions/lib/locks/states/s3-state-reader.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'
import { type LocalS3, startS3 } from '../../../infra/local/s3/s3-server.ts'

const address = { store: 's3', region: 'eu-west-1', bucket: 'states', key: 'a' } as const
let server: LocalS3
let client: S3Client

beforeEach(async () => {
  server = await startS3({ clock: systemClock })
  client = new S3Client({
    ...{ endpoint: server.url, forcePathStyle: true, region: 'eu-west-1' },
    ...{ credentials: localCredentials, maxAttempts: 1 },
  })
  await client.send(new CreateBucketCommand({ Bucket: 'states' }))
  await client.send(new PutObjectCommand({ Bucket: 'states', Key: 'a', Body: Buffer.from('{"serial":1}') }))
})

afterEach(async () => {
  client.destroy()
  await server.close()
})

/** Puts these into every answer. */
function answer(more: object): void {
  const changed = (next: (args: object) => Promise<{ output: object }>) => async (args: object) => {
    const result = await next(args)
    return { ...result, output: { ...result.output, ...more } }
  }
  client.middlewareStack.add(changed as never, { step: 'initialize' })
}

describe('a state in S3', () => {
  it('under a KMS key has an ETag that is no MD5: the bytes are what counts', async () => {
    answer({ ETag: '"0b1ee8cb1c5e4ef3b1c0d9d0e9ce7d4f"' })
    expect(await new S3StateReader(() => client).read(address)).toMatchObject({
      version: '"0b1ee8cb1c5e4ef3b1c0d9d0e9ce7d4f"',
      md5: createHash('md5').update('{"serial":1}').digest('hex'),
    })
  })

  it.each([
    ['v1', 'v1'],
    ['null', '"e"'],
    [undefined, '"e"'],
  ])('of the version %j has the version %s: null is written again and again', async (VersionId, version) => {
    answer({ ETag: '"e"', VersionId })
    expect(await new S3StateReader(() => client).read(address)).toMatchObject({ version })
  })

  it('is asked of its region', async () => {
    const regions: string[] = []
    const reader = new S3StateReader((region) => {
      regions.push(region)
      return client
    })
    await reader.read(address)
    expect(regions).toEqual(['eu-west-1'])
  })

  it('in a bucket that does not exist is not one that does not exist', async () => {
    const reading = new S3StateReader(() => client).read({ ...address, bucket: 'nowhere' })
    await expect(reading).rejects.toMatchObject({ name: 'LockStoreMissing', store: 's3://nowhere/a' })
  })
})
