import {
  CopyObjectCommand,
  type CopyObjectCommandInput,
  type DeleteMarkerEntry,
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectVersionsCommand,
  type ObjectVersion,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import type { Clock } from '../../clock.ts'
import { type S3StateAddress, type StateAddress, stateText } from '../../locks/backends/lock-place.ts'
import { isAbsent, isKept, stateIn } from '../../locks/states/s3-state.ts'
import { noStateOf } from '../../locks/states/state-reader.ts'
import { awsFailure } from '../../locks/stores/aws-failure.ts'
import { LockStoreError } from '../../locks/stores/lock-store.ts'
import { noBackupOf, type StateBackup, type StateKeeper, type StateWrite, stateMoved } from './state-backup.ts'

export interface S3StateKeeperOptions {
  /** Answers the client of a region, the same one each time. */
  readonly clientFor: (region: string) => S3Client
  readonly clock: Clock
  /** Versions that one list answers. Default: 1000, which is S3's limit. */
  readonly pageSize?: number
}

/** An apply writes every 20 s at most. What has been written more often since a backup is for a person to look at. */
const mostWrites = 200

/** A version of the object, or a delete marker. */
interface Entry {
  readonly versionId: string
  readonly at: number
  readonly etag?: string | undefined
  readonly isLatest: boolean
  readonly isMarker: boolean
}

/** What was there when the backup was made. What is older, by S3's clock, was written before. */
interface Reference {
  readonly versionId: string
  readonly isMarker: boolean
  /** Of what is written in place. */
  readonly etag?: string
  readonly at?: number | undefined
}

/**
 * Keeps states of OpenTofu's S3 backend: by their version, or where a write would leave none behind, by a copy beside
 * them. Needs s3:GetObject and s3:ListBucket as their reader does, s3:GetObjectVersion and s3:ListBucketVersions, and
 * for copies s3:PutObject on `*.lockstep-backup-*`.
 */
export class S3StateKeeper implements StateKeeper {
  private readonly options: S3StateKeeperOptions

  constructor(options: S3StateKeeperOptions) {
    this.options = options
  }

  async backUp(address: StateAddress, unlock: string, expected: string | undefined): Promise<StateBackup> {
    const place = own(address)
    const at = this.options.clock.now()
    const object = await this.get(place)
    if (object === undefined) return this.nothing(place, at, expected)
    const { exists: _, version, ...content } = await stateIn(object)
    if (version !== expected) throw stateMoved(place)
    const { region, bucket, key } = place
    const { VersionId, ETag: etag = '' } = object
    const backup = { region, bucket, key, etag, ...content, at }
    if (isKept(VersionId)) return { kind: 's3-version', versionId: VersionId, ...backup }
    const copyKey = `${key}.lockstep-backup-${unlock}`
    await this.copy(place, copyKey, object)
    return { kind: 's3-copy', copyKey, ...backup }
  }

  async writesSince(address: StateAddress, backup: StateBackup): Promise<StateWrite[]> {
    const place = own(address)
    const entries = await this.entriesSince(place, referenceOf(place, backup))
    const writes: StateWrite[] = []
    // One after the other: a state may be large, and there are few.
    for (const entry of entries.toReversed()) writes.push(await this.writeOf(place, entry))
    return writes
  }

  /** Where no state is. */
  private async nothing(place: S3StateAddress, at: number, expected: string | undefined): Promise<StateBackup> {
    const { value: last } = await this.entries(place, 1).next()
    if (expected !== undefined || last?.isMarker === false) throw stateMoved(place)
    return { kind: 'none', at, ...(last && { last: { versionId: last.versionId, at: last.at } }) }
  }

  /** Undefined where there is no such object or version. */
  private async get(place: S3StateAddress, versionId?: string): Promise<GetObjectCommandOutput | undefined> {
    const { region, bucket, key } = place
    const command = new GetObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId })
    try {
      return await this.options.clientFor(region).send(command)
    } catch (error) {
      const isGone = error instanceof S3ServiceException && error.name === 'NoSuchVersion'
      if (isGone || isAbsent(error)) return undefined
      const permission = versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion'
      // Without s3:ListBucket S3 refuses what does not exist, too.
      const on = `arn:aws:s3:::${bucket}/${key} and s3:ListBucket on arn:aws:s3:::${bucket}`
      throw awsFailure({ store: stateText(place), permission, on }, error)
    }
  }

  /** Exactly what was read, as well encrypted. Made again it is the same. */
  private async copy(place: S3StateAddress, copyKey: string, read: GetObjectCommandOutput): Promise<void> {
    const { region, bucket, key } = place
    const command = new CopyObjectCommand({
      ...{ Bucket: bucket, Key: copyKey, CopySource: `${bucket}/${encodeURIComponent(key)}` },
      ...{ CopySourceIfMatch: read.ETag, ...encryptionOf(read) },
    })
    try {
      await this.options.clientFor(region).send(command)
    } catch (error) {
      const isOther = error instanceof S3ServiceException && error.name === 'PreconditionFailed'
      if (isOther || isAbsent(error)) throw stateMoved(place)
      const on = `arn:aws:s3:::${bucket}/${copyKey}`
      throw awsFailure({ store: stateText(place), permission: 's3:PutObject', on }, error)
    }
  }

  /** The newest first. */
  private async entriesSince(place: S3StateAddress, reference: Reference | undefined): Promise<Entry[]> {
    const found: Entry[] = []
    for await (const entry of this.entries(place, this.options.pageSize)) {
      if (reference && isBeforeWrites(entry, reference)) break
      found.push(entry)
      if (found.length > mostWrites) throw tooMany(place)
    }
    return found
  }

  /** The versions of exactly this object, the newest first. */
  private async *entries(place: S3StateAddress, pageSize?: number): AsyncGenerator<Entry, undefined> {
    const { region, bucket, key } = place
    const input = { Bucket: bucket, Prefix: key, ...(pageSize !== undefined && { MaxKeys: pageSize }) }
    let after: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {}
    do {
      const page = await this.options
        .clientFor(region)
        .send(new ListObjectVersionsCommand({ ...input, ...after }))
        .catch((error: unknown) => {
          const on = `arn:aws:s3:::${bucket}`
          throw awsFailure({ store: stateText(place), permission: 's3:ListBucketVersions', on }, error)
        })
      yield* entriesOf(key, page)
      // Its own key comes before all that only begins with it.
      if (!page.IsTruncated || page.NextKeyMarker !== key) return
      after = { KeyMarker: key, VersionIdMarker: page.NextVersionIdMarker }
    } while (after.VersionIdMarker !== undefined)
  }

  private async writeOf(place: S3StateAddress, { versionId, at, isMarker }: Entry): Promise<StateWrite> {
    if (isMarker) return { version: versionId, at, deleted: true }
    const object = await this.get(place, versionId)
    // It was deleted for good, or written over, since it was listed.
    if (object === undefined) return { version: versionId, at, deleted: false }
    const { exists: _, modifiedAt: __, ...state } = await stateIn(object)
    return { ...state, at, deleted: false }
  }
}

function own(address: StateAddress): S3StateAddress {
  if (address.store !== 's3') throw noStateOf('S3', address)
  return address
}

/** Undefined where nothing was there. */
function referenceOf(address: S3StateAddress, backup: StateBackup): Reference | undefined {
  if (backup.kind === 'none') return backup.last && { ...backup.last, isMarker: true }
  const { kind, modifiedAt: at } = backup
  if (kind === 'secret-copy' || backup.bucket !== address.bucket || backup.key !== address.key) {
    throw noBackupOf(address, backup)
  }
  if (kind === 's3-version') return { versionId: backup.versionId, isMarker: false, at }
  return { versionId: 'null', isMarker: false, etag: backup.etag, at }
}

/** Whether it is what was there, or older than that. */
function isBeforeWrites({ versionId, isMarker, etag, at }: Entry, reference: Reference): boolean {
  if (reference.at !== undefined && at < reference.at) return true
  const isSame = versionId === reference.versionId && isMarker === reference.isMarker
  return isSame && (reference.etag === undefined || etag === reference.etag)
}

interface Page {
  readonly Versions?: ObjectVersion[] | undefined
  readonly DeleteMarkers?: DeleteMarkerEntry[] | undefined
}

/**
 * The client tells versions from markers, and no longer which of them came first: that is seen by their times, which are
 * whole seconds.
 */
function entriesOf(key: string, { Versions = [], DeleteMarkers = [] }: Page): Entry[] {
  const entry = (isMarker: boolean) => (found: ObjectVersion | DeleteMarkerEntry) => {
    const { Key, VersionId: versionId, LastModified, IsLatest: isLatest = false } = found
    if (Key !== key || versionId === undefined || LastModified === undefined) return []
    return [
      { versionId, at: LastModified.getTime(), etag: 'ETag' in found ? found.ETag : undefined, isLatest, isMarker },
    ]
  }
  return [...Versions.flatMap(entry(false)), ...DeleteMarkers.flatMap(entry(true))].sort(
    (one, other) => Number(other.isLatest) - Number(one.isLatest) || other.at - one.at,
  )
}

/** A copy gets the bucket's own encryption unless it is told another one. */
function encryptionOf(object: GetObjectCommandOutput): Partial<CopyObjectCommandInput> {
  const { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled } = object
  return SSEKMSKeyId === undefined ? {} : { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled }
}

function tooMany(place: S3StateAddress): LockStoreError {
  const message = `the state has been written more than ${mostWrites} times since it was backed up.`
  return new LockStoreError('LockStoreRejected', stateText(place), message, 'Look at its versions by hand.')
}
