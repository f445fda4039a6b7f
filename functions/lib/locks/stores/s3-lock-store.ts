import { isUtf8 } from 'node:buffer'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectsV2Command,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { each } from '../../each.ts'
import { awsFailure } from './aws-failure.ts'
import type { KeyReads } from './known-keys.ts'
import { type LockRecord, readLockRecord } from './lock-info.ts'
import {
  type DeleteOutcome,
  type FoundLock,
  type LockAddress,
  type LockStore,
  type LockStoreError,
  noLockOf,
  type S3LockAddress,
  versionOf,
} from './lock-store.ts'

export interface S3LockStoreOptions {
  readonly client: S3Client
  readonly bucket: string
  /** Only keys that begin with one of them are listed. Default: all keys. */
  readonly prefixes?: readonly string[]
  /** Keys that one list request answers. Default: S3's, 1000. */
  readonly pageSize?: number
}

type FoundObject = FoundLock<S3LockAddress>

const lockSuffix = '.tflock'
/** How many objects are read at a time. */
const width = 8
/** Anything may be named .tflock; what is larger is not read. */
const sizeLimit = 64 * 1024

/** The lock files of OpenTofu's S3 backend with `use_lockfile`: the record as an object beside the state. */
export class S3LockStore implements LockStore<S3LockAddress>, Pick<KeyReads, 'listCost'> {
  readonly name: string
  private readonly options: S3LockStoreOptions

  constructor(options: S3LockStoreOptions) {
    this.options = options
    this.name = `S3 bucket ${options.bucket}`
  }

  async list(): Promise<FoundObject[]> {
    const found: FoundObject[] = []
    await each(await this.keys(), width, async (key) => {
      const lock = await this.lockAt(key)
      // It may have been released since it was listed.
      if (lock) found.push(lock)
    })
    return found
  }

  async read(address: LockAddress): Promise<FoundObject | undefined> {
    return this.lockAt(this.own(address).key)
  }

  /** A list takes one request for 1000 objects of any kind, and finds only what is under the prefixes. */
  async listCost(): Promise<number> {
    return this.options.prefixes ? Number.POSITIVE_INFINITY : 50
  }

  /** By key, never by version: in a versioned bucket the lock stays readable as an older version. */
  async deleteIfUnchanged(lock: FoundLock): Promise<DeleteOutcome> {
    const { client, bucket } = this.options
    const { key } = this.own(lock.address)
    const command = new DeleteObjectCommand({ Bucket: bucket, Key: key, IfMatch: versionOf(this.name, lock) })
    try {
      await client.send(command)
      return 'deleted'
    } catch (error) {
      const outcome = outcomeOf(error)
      if (outcome) return outcome
      throw this.failure('DeleteObject', error, key)
    }
  }

  private async keys(): Promise<string[]> {
    const { prefixes = [''] } = this.options
    // Prefixes may overlap.
    const keys = new Set<string>()
    for (const prefix of prefixes) {
      for await (const key of this.keysUnder(prefix)) if (key.endsWith(lockSuffix)) keys.add(key)
    }
    return [...keys]
  }

  private async *keysUnder(prefix: string): AsyncGenerator<string> {
    const { client, bucket, pageSize } = this.options
    let from: string | undefined
    do {
      const command = new ListObjectsV2Command({
        Bucket: bucket,
        ...(prefix !== '' && { Prefix: prefix }),
        ...(pageSize !== undefined && { MaxKeys: pageSize }),
        ...(from !== undefined && { ContinuationToken: from }),
      })
      const page = await this.listed(() => client.send(command))
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) yield Key
      from = page.NextContinuationToken
    } while (from !== undefined)
  }

  private async listed<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      throw this.failure('ListBucket', error)
    }
  }

  private async lockAt(key: string): Promise<FoundObject | undefined> {
    const { client, bucket } = this.options
    try {
      const object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
      const { ETag, LastModified } = object
      return {
        address: { store: 's3', bucket, key },
        record: await recordIn(object),
        ...(LastModified && { takenAt: LastModified.getTime() }),
        ...(ETag !== undefined && { version: ETag }),
      }
    } catch (error) {
      if (isGone(error)) return undefined
      throw this.failure('GetObject', error, key)
    }
  }

  private own(address: LockAddress): S3LockAddress {
    const isHere = address.store === 's3' && address.bucket === this.options.bucket
    if (!isHere || !address.key.endsWith(lockSuffix)) throw noLockOf(this.name, address)
    return address
  }

  private failure(operation: string, error: unknown, key?: string): LockStoreError {
    const arn = `arn:aws:s3:::${this.options.bucket}`
    const on = key === undefined ? arn : `${arn}/${key}`
    return awsFailure({ store: this.name, permission: `s3:${operation}`, on }, error)
  }
}

/** 412: it does not match. 409: others are at it right now. */
function outcomeOf(error: unknown): DeleteOutcome | undefined {
  if (isGone(error)) return 'gone'
  const status = error instanceof S3ServiceException && error.$metadata.httpStatusCode
  return status === 412 || status === 409 ? 'changed' : undefined
}

/** The object, not the bucket. */
function isGone(error: unknown): boolean {
  if (!(error instanceof S3ServiceException)) return false
  return error.$metadata.httpStatusCode === 404 && error.name !== 'NoSuchBucket'
}

async function recordIn({ Body, ContentLength = 0 }: GetObjectCommandOutput): Promise<LockRecord> {
  if (ContentLength > sizeLimit) {
    // Ends the connection, or the rest would still have to come.
    if (Body && 'destroy' in Body) Body.destroy()
    return { problem: `is too long for a lock record (${ContentLength} bytes)` }
  }
  const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array()
  // As text it would not be what is stored.
  if (!isUtf8(bytes)) return { problem: 'is not text' }
  return readLockRecord(Buffer.from(bytes).toString('utf8'))
}
