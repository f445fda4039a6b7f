import { CreateBucketCommand, PutObjectCommand, S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../functions/lib/clock.ts'
import { S3LockStore, type S3LockStoreOptions } from '../../../functions/lib/locks/stores/s3-lock-store.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'
import { type LocalS3, startS3 } from '../../../infra/local/s3/s3-server.ts'

const bucket = 'states'
let server: LocalS3
let client: S3Client

const storeOf = (options: Partial<S3LockStoreOptions> = {}) => new S3LockStore({ client, bucket, ...options })
const lockAt = (key: string) => ({
  address: { store: 's3', bucket, key } as const,
  record: { problem: '' },
  version: '"0"',
})
const put = (Key: string, Body: string | Uint8Array) =>
  client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: Buffer.from(Body as string) }))

/** Makes every command of that name fail. */
function refuse(command: string, name: string, httpStatusCode: number): void {
  const failing = (next: (args: object) => Promise<object>, context: { commandName?: string }) => (args: object) => {
    if (context.commandName !== command) return next(args)
    throw new S3ServiceException({ name, $fault: 'client', $metadata: { httpStatusCode }, message: 'a secret' })
  }
  client.middlewareStack.add(failing as never, { step: 'initialize' })
}

beforeEach(async () => {
  server = await startS3({ clock: systemClock })
  client = new S3Client({
    endpoint: server.url,
    forcePathStyle: true,
    region: 'us-east-1',
    credentials: localCredentials,
    maxAttempts: 1,
  })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
})

afterEach(async () => {
  client.destroy()
  await server.close()
})

describe('a list', () => {
  it('is of the prefixes only, and has each lock once', async () => {
    for (const key of ['a/x', 'a/b/x', 'c/x', 'd/x']) await put(`${key}.tflock`, '{"ID":"1"}')
    const found = await storeOf({ prefixes: ['a/', 'a/b/', 'c/'] }).list()
    expect(found.map(({ address }) => address.key).toSorted()).toEqual(['a/b/x.tflock', 'a/x.tflock', 'c/x.tflock'])
  })

  it('leaves out what is gone before it is read', async () => {
    await put('a.tflock', '{"ID":"1"}')
    refuse('GetObjectCommand', 'NoSuchKey', 404)
    expect(await storeOf().list()).toEqual([])
  })

  it('fails whole when a lock in it cannot be read', async () => {
    await put('a.tflock', '{"ID":"1"}')
    refuse('GetObjectCommand', 'AccessDenied', 403)
    await expect(storeOf().list()).rejects.toMatchObject({
      name: 'LockStoreForbidden',
      next: expect.stringContaining('s3:GetObject on arn:aws:s3:::states/a.tflock'),
    })
  })
})

describe('an object that is no lock record', () => {
  it.each([
    ['bytes', new Uint8Array([0x7b, 0xff, 0x7d]), 'is not text'],
    ['too large to be read', 'x'.repeat(1024 * 1024 + 1), 'is too long for a lock record (1048577 bytes)'],
  ])('but %s is a lock, and can be deleted', async (_, body, problem) => {
    await put('a.tflock', body)
    const lock = await storeOf().read(lockAt('a.tflock').address)
    expect(lock).toMatchObject({ record: { problem }, version: expect.any(String) })
    if (lock) expect(await storeOf().deleteIfUnchanged(lock)).toBe('deleted')
  })
})

describe('a delete', () => {
  it.each([
    ['PreconditionFailed', 412, 'changed'],
    ['ConditionalRequestConflict', 409, 'changed'],
    ['NoSuchKey', 404, 'gone'],
  ])('that is answered with %s (%i) says %s', async (name, status, outcome) => {
    refuse('DeleteObjectCommand', name, status)
    expect(await storeOf().deleteIfUnchanged(lockAt('a.tflock'))).toBe(outcome)
  })

  it('that is refused names the permission', async () => {
    refuse('DeleteObjectCommand', 'AccessDenied', 403)
    await expect(storeOf().deleteIfUnchanged(lockAt('a.tflock'))).rejects.toMatchObject({
      name: 'LockStoreForbidden',
      next: expect.stringContaining('s3:DeleteObject on arn:aws:s3:::states/a.tflock'),
    })
  })
})

it('a bucket that does not exist is told by every request', async () => {
  const store = storeOf({ bucket: 'nowhere' })
  const lock = { ...lockAt('a.tflock'), address: { store: 's3', bucket: 'nowhere', key: 'a.tflock' } as const }
  for (const work of [() => store.list(), () => store.read(lock.address), () => store.deleteIfUnchanged(lock)]) {
    await expect(work()).rejects.toMatchObject({ name: 'LockStoreMissing', store: 'S3 bucket nowhere' })
  }
})
