import { join } from 'node:path'
import type { Clock } from '../../../functions/lib/clock.ts'
import { Bucket } from './bucket.ts'
import { DirectoryVersions } from './directory-versions.ts'
import { S3Error } from './s3-error.ts'

/** Where S3 makes buckets that name no region, and where making one again is no error. */
export const defaultRegion = 'us-east-1'

export class Buckets {
  private readonly byName = new Map<string, Bucket>()
  private readonly clock: Clock
  private readonly directory: string | undefined

  /** `directory` keeps what the buckets hold. */
  constructor(clock: Clock, directory?: string) {
    this.clock = clock
    this.directory = directory
  }

  list(): readonly Bucket[] {
    return [...this.byName.values()].toSorted((one, other) => (one.name < other.name ? -1 : 1))
  }

  /** Throws S3Error `NoSuchBucket`. */
  get(name: string): Bucket {
    const bucket = this.byName.get(name)
    if (bucket) return bucket
    throw new S3Error('NoSuchBucket', 'The specified bucket does not exist.', { details: { BucketName: name } })
  }

  /** Throws S3Error `InvalidBucketName`, `BucketAlreadyOwnedByYou`. */
  create(name: string, region: string): void {
    const details = { BucketName: name }
    if (!isBucketName(name)) throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.', { details })
    const existing = this.byName.get(name)
    if (!existing) this.byName.set(name, this.opened(name, region))
    else if (existing.region !== defaultRegion || region !== defaultRegion) {
      throw new S3Error('BucketAlreadyOwnedByYou', 'You own a bucket of this name already.', { details })
    }
  }

  private opened(name: string, region: string): Bucket {
    const kept = this.directory === undefined ? undefined : new DirectoryVersions(join(this.directory, name))
    return new Bucket({ name, region, clock: this.clock, ...(kept && { kept }) })
  }
}

function isBucketName(name: string): boolean {
  const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(name)
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..') && !isAddress
}
