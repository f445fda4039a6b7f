import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../functions/lib/clock.ts'
import { S3StateReader } from '../../../functions/lib/locks/states/s3-state-reader.ts'
import { LockStoreError } from '../../../functions/lib/locks/stores/lock-store.ts'
import { S3StateKeeper } from '../../../functions/lib/unlock/state/s3-state-keeper.ts'
import { versionOf } from '../../../functions/lib/unlock/state/state-backup.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'
import { type LocalS3, startS3 } from '../../../infra/local/s3/s3-server.ts'

const address = { store: 's3', region: 'eu-west-1', bucket: 'states', key: 'app/a.tfstate' } as const
const { bucket: Bucket, key: Key } = address
let server: LocalS3
let client: S3Client
let now: number

beforeEach(async () => {
  now = Date.parse('2026-11-21T08:00:00Z')
  server = await startS3({ clock: { ...systemClock, now: () => now } })
  client = new S3Client({
    ...{ endpoint: server.url, forcePathStyle: true, region: 'eu-west-1' },
    ...{ credentials: localCredentials, maxAttempts: 1 },
  })
  await client.send(new CreateBucketCommand({ Bucket }))
})

afterEach(async () => {
  client.destroy()
  await server.close()
})

const keeper = () => new S3StateKeeper({ clientFor: () => client, clock: { ...systemClock, now: () => now } })
const write = async (serial: number, seconds = 1) => {
  now += seconds * 1000
  return client.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.from(`{"serial":${serial}}`) }))
}
const remove = async () => {
  now += 1000
  await client.send(new DeleteObjectCommand({ Bucket, Key }))
}
const keepVersions = (Status: 'Enabled' | 'Suspended') =>
  client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }))
const backUp = async () => {
  const state = await new S3StateReader(() => client).read(address)
  return keeper().backUp(address, 'u', state.exists ? state.version : undefined)
}
const writes = async (backup: Awaited<ReturnType<typeof backUp>>) =>
  (await keeper().writesSince(address, backup)).map(({ serial, deleted }) => (deleted ? 'deleted' : serial))

/** Calls `change` with every command before it is sent, and with what is answered. */
function between(change: { sent?: (input: object) => Promise<void>; answered?: object }): void {
  const step = (next: (args: object) => Promise<{ output: object }>) => async (args: { input: object }) => {
    await change.sent?.(args.input)
    const result = await next(args)
    return { ...result, output: { ...result.output, ...change.answered } }
  }
  client.middlewareStack.add(step as never, { step: 'initialize', name: 'between', override: true })
}
const undisturbed = () => client.middlewareStack.remove('between')

describe('a backup', () => {
  it('is a version only where a write leaves it behind', async () => {
    await write(1)
    expect((await backUp()).kind).toBe('s3-copy')
    await keepVersions('Enabled')
    // What was written before versions were kept is written over once they are not kept any more.
    expect((await backUp()).kind).toBe('s3-copy')
    await write(2)
    expect((await backUp()).kind).toBe('s3-version')
    await keepVersions('Suspended')
    expect((await backUp()).kind).toBe('s3-version')
    await write(3)
    expect((await backUp()).kind).toBe('s3-copy')
  })

  it('is made of what was judged, not of what is written meanwhile', async () => {
    await write(1)
    const judged = await new S3StateReader(() => client).read(address)
    between({
      sent: async (input) => {
        if (!('CopySource' in input)) return
        undisturbed()
        await write(2)
      },
    })
    const backup = keeper().backUp(address, 'u', judged.exists ? judged.version : undefined)
    await expect(backup).rejects.toMatchObject({ name: 'StateMoved' })
    const copy = new GetObjectCommand({ Bucket, Key: `${Key}.lockstep-backup-u` })
    await expect(client.send(copy)).rejects.toMatchObject({ name: 'NoSuchKey' })
  })

  it('of a state that is deleted meanwhile is refused', async () => {
    await write(1)
    const judged = await new S3StateReader(() => client).read(address)
    between({
      sent: async (input) => {
        if (!('CopySource' in input)) return
        undisturbed()
        await remove()
      },
    })
    const backup = keeper().backUp(address, 'u', judged.exists ? judged.version : undefined)
    await expect(backup).rejects.toMatchObject({ name: 'StateMoved' })
  })

  it('of no state is refused where one is born meanwhile', async () => {
    between({
      sent: async (input) => {
        if (!('Prefix' in input)) return
        undisturbed()
        await write(1)
      },
    })
    await expect(keeper().backUp(address, 'u', undefined)).rejects.toMatchObject({ name: 'StateMoved' })
  })

  it('is encrypted with the key of the state, where that has one of its own', async () => {
    await write(1)
    const encryption = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'arn:aws:kms:eu-west-1:1:key/k' } as const
    const copies: object[] = []
    const sent = async (input: object) => {
      if ('CopySource' in input) copies.push(input)
    }
    between({ sent })
    await backUp()
    expect(copies[0]).not.toHaveProperty('ServerSideEncryption')
    between({ sent, answered: { ...encryption, BucketKeyEnabled: true } })
    // The stand-in has no keys, and refuses them.
    await expect(backUp()).rejects.toBeInstanceOf(LockStoreError)
    expect(copies[1]).toMatchObject({ ...encryption, BucketKeyEnabled: true })
  })
})

describe('the writes since', () => {
  it('are known although the version that is the backup is gone', async () => {
    await keepVersions('Enabled')
    for (const serial of [1, 2]) await write(serial)
    const backup = await backUp()
    for (const serial of [3, 4]) await write(serial)
    await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId: versionOf(backup) }))
    expect(await writes(backup)).toEqual([3, 4])
  })

  it('are those of the same second as well', async () => {
    await keepVersions('Enabled')
    await write(1)
    await write(2, 0)
    const backup = await backUp()
    await write(3, 0)
    await write(4, 0)
    expect(await writes(backup)).toEqual([3, 4])
  })

  it('are all that can be seen where versions are kept from now on, or no more', async () => {
    await write(1)
    const backup = await backUp()
    await keepVersions('Enabled')
    expect(await writes(backup)).toEqual([])
    for (const serial of [2, 3]) await write(serial)
    expect(await writes(backup)).toEqual([2, 3])
    await keepVersions('Suspended')
    for (const serial of [4, 5]) await write(serial)
    expect(await writes(backup)).toEqual([2, 3, 5])
  })

  it('are no older ones, where what was backed up is written over', async () => {
    await keepVersions('Enabled')
    for (const serial of [1, 2]) await write(serial)
    await keepVersions('Suspended')
    await write(3)
    const backup = await backUp()
    await write(4)
    expect(await writes(backup)).toEqual([4])
  })

  it('are a birth over a delete marker that has no version of its own', async () => {
    await keepVersions('Suspended')
    await write(1)
    await remove()
    const backup = await backUp()
    expect(await writes(backup)).toEqual([])
    await write(2)
    expect(await writes(backup)).toEqual([2])
  })

  it('are birth and end of a state that was not there', async () => {
    await keepVersions('Enabled')
    const backup = await backUp()
    await write(1)
    await remove()
    expect(await writes(backup)).toEqual([1, 'deleted'])
  })

  it('are not read when there are too many of them', async () => {
    await keepVersions('Enabled')
    await write(0)
    const backup = await backUp()
    for (let serial = 1; serial <= 200; serial++) await write(serial)
    expect(await writes(backup)).toHaveLength(200)
    await write(201)
    await expect(writes(backup)).rejects.toMatchObject({ name: 'LockStoreRejected' })
  })

  it('tell of one that is deleted for good while they are read', async () => {
    await keepVersions('Enabled')
    await write(1)
    const backup = await backUp()
    const { VersionId } = await write(2)
    await write(3)
    between({
      sent: async (input) => {
        if (!('VersionId' in input)) return
        undisturbed()
        await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId }))
      },
    })
    const [gone, last] = await keeper().writesSince(address, backup)
    expect(gone).toEqual({ version: VersionId, at: expect.any(Number), deleted: false })
    expect(last).toMatchObject({ serial: 3 })
  })
})
