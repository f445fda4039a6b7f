import { LockstepError } from '../../errors.ts'
import type { LockPart } from '../evidence.ts'
import type { LockRecord } from './lock-info.ts'

/** Where one lock is. Unique in a fleet, as long as its clusters have names of their own. */
export type LockAddress = DynamoDbLockAddress | S3LockAddress | LeaseLockAddress

/** An item of a lock table. */
export interface DynamoDbLockAddress {
  readonly store: 'dynamodb'
  readonly region: string
  readonly table: string
  /** `bucket/key`. */
  readonly lockId: string
}

/** A lock file beside a state. */
export interface S3LockAddress {
  readonly store: 's3'
  readonly bucket: string
  /** The state's key and `.tflock`. */
  readonly key: string
}

/** A Lease in a cluster of the fleet. */
export interface LeaseLockAddress {
  readonly store: 'kubernetes'
  readonly cluster: string
  readonly namespace: string
  readonly name: string
}

/** A lock as it was read. It never expires, and nobody renews it. */
export interface FoundLock<Address extends LockAddress = LockAddress> {
  readonly address: Address
  readonly record: LockRecord
  /** A Lease's holder, which it names beside the record too. */
  readonly holderIdentity?: string
  /** When the lock was taken by the store's own clock, in milliseconds since the epoch. DynamoDB knows no such time. */
  readonly takenAt?: number
  /**
   * What a conditional delete compares: the raw Info of an item, the ETag of an object, the resourceVersion of a Lease.
   * Undefined where there is nothing to compare: such a lock is shown, and never deleted.
   */
  readonly version?: string
}

/** `changed`: somebody else holds it, or wrote to it. `gone`: also after a delete of ours whose answer was lost. */
export type DeleteOutcome = 'deleted' | 'changed' | 'gone'

/**
 * One place where state locks are kept: a DynamoDB table, a bucket, the Leases of a cluster. Implementations are beside
 * this file. All methods throw LockStoreError.
 */
export interface LockStore<Address extends LockAddress = LockAddress> {
  /** For people: `DynamoDB table locks in us-east-1`. */
  readonly name: string
  /** Every lock that is held, in no order. One that is released meanwhile may be missing or not. */
  list(): Promise<FoundLock<Address>[]>
  /** The lock at an address of this store; undefined when nobody holds it. */
  read(address: LockAddress): Promise<FoundLock<Address> | undefined>
  /** Deletes a lock of this store only if it is still exactly what was read, and nothing else in any case. */
  deleteIfUnchanged(lock: FoundLock): Promise<DeleteOutcome>
}

export type LockStoreErrorName =
  | 'LockStoreThrottled' // passes
  | 'LockStoreUnavailable' // passes
  | 'LockStoreForbidden'
  | 'LockStoreMissing' // no such table or bucket here
  | 'LockStoreRejected' // whatever else was refused
  | 'NoLockOfThisStore' // an address of another store, or of what is no lock
  | 'LockNotComparable' // a lock without a version

/** A lock store that could not be asked. Names the store; never carries a record, a token or an answer's body. */
export class LockStoreError extends LockstepError {
  declare readonly name: LockStoreErrorName
  readonly store: string

  constructor(name: LockStoreErrorName, store: string, message: string, next: string) {
    super(name, `${store}: ${message}`, next)
    this.store = store
  }
}

/** A lock’s address for people: `s3://bucket/app/terraform.tfstate.tflock`. */
export function addressText(address: LockAddress): string {
  switch (address.store) {
    case 'dynamodb':
      return `${address.lockId} in table ${address.table} (${address.region})`
    case 's3':
      return `s3://${address.bucket}/${address.key}`
    case 'kubernetes':
      return `Lease/${address.namespace}/${address.name} in ${address.cluster}`
  }
}

/**
 * The address that `addressText` made the text of a part from; undefined for a text that is no address there. The
 * names of tables, regions, buckets, namespaces and Leases have no spaces in them, so every text can be read in one way.
 */
export function addressOf({ store, address }: Pick<LockPart, 'store' | 'address'>): LockAddress | undefined {
  switch (store) {
    case 'dynamodb': {
      const [, lockId, table, region] = /^(.+) in table ([^\s()]+) \(([^\s()]+)\)$/s.exec(address) ?? []
      return lockId && table && region ? { store, region, table, lockId } : undefined
    }
    case 's3': {
      const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/s.exec(address) ?? []
      return bucket && key ? { store, bucket, key } : undefined
    }
    case 'kubernetes': {
      const [, namespace, name, cluster] = /^Lease\/([^/\s]+)\/([^/\s]+) in (.+)$/s.exec(address) ?? []
      return namespace && name && cluster ? { store, cluster, namespace, name } : undefined
    }
  }
}

/** The error for an address that is of another store, or of something there that is no lock. */
export function noLockOf(store: string, address: LockAddress): LockStoreError {
  const message = `${addressText(address)} is not the address of a lock in this store.`
  return new LockStoreError('NoLockOfThisStore', store, message, 'Ask the store that the lock was found in.')
}

/** The version to delete a lock by. Throws LockNotComparable. */
export function versionOf(store: string, { address, version }: FoundLock): string {
  if (version !== undefined) return version
  const message = `${addressText(address)} has nothing to compare, so it cannot be deleted safely.`
  const next = 'It was not written by OpenTofu or Terraform: find out what it is, and remove it by hand.'
  throw new LockStoreError('LockNotComparable', store, message, next)
}
