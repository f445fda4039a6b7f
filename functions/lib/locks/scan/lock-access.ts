import { each } from '../../each.ts'
import { LockstepError } from '../../errors.ts'
import type { StateKeeper } from '../../unlock/state/state-backup.ts'
import type { LockPart } from '../evidence.ts'
import type { StateReader } from '../states/state-reader.ts'
import { locksAt } from '../stores/known-keys.ts'
import { addressOf, addressText, type FoundLock, type LockAddress, type LockStore } from '../stores/lock-store.ts'

/** The fleet's tables and buckets. What is in clusters, Leases and Secrets, comes from the clusters. */
export interface LockAccess {
  readonly stores: readonly LockStore[]
  readonly states: StateReader
  /** Of the states in buckets. */
  readonly keeper: StateKeeper
  /**
   * Endpoints at which the stores are, where they are not on AWS. An object whose backend names other ones keeps its
   * state elsewhere, in a bucket that only has the same name.
   */
  readonly endpoints?: readonly string[]
}

/** What was read of several places at once. */
export interface ReadLocks {
  /** By `addressText`. An address that is in neither holds no lock. */
  readonly found: ReadonlyMap<string, FoundLock>
  /** Why nothing is known about an address, by `addressText`. */
  readonly unread: ReadonlyMap<string, string>
  /** Why a store could not be asked, by its name. */
  readonly failed: ReadonlyMap<string, string>
}

/** Stores asked at a time. */
const width = 8

/** Reads the locks at addresses of the fleet's stores. A store that cannot be asked is named, the others are read. */
export async function readLocks(stores: readonly LockStore[], addresses: readonly LockAddress[]): Promise<ReadLocks> {
  const found = new Map<string, FoundLock>()
  const unread = new Map<string, string>()
  const failed = new Map<string, string>()
  const byStore = Map.groupBy(addresses, storeName)
  await each([...byStore], width, async ([name, wanted]) => {
    const fail = (why: string) => {
      failed.set(name, why)
      for (const address of wanted) unread.set(addressText(address), why)
    }
    const store = stores.find((candidate) => candidate.name === name)
    if (!store) return fail(`${name} is not in the fleet: add it to its section "locks".`)
    try {
      for (const lock of await locksAt(store, wanted)) found.set(addressText(lock.address), lock)
    } catch (error) {
      fail(whyFailed(error))
    }
  })
  return { found, unread, failed }
}

/** The message of an error of ours; of others only their name, as their text may carry what was read. */
export function whyFailed(error: unknown): string {
  if (error instanceof LockstepError) return error.message
  return `It failed with ${error instanceof Error ? error.name : 'an unknown error'}.`
}

/** The name of the store in which an address is, as the store gives it to itself. */
export function storeName(address: LockAddress): string {
  switch (address.store) {
    case 'dynamodb':
      return `DynamoDB table ${address.table} in ${address.region}`
    case 's3':
      return `S3 bucket ${address.bucket}`
    case 'kubernetes':
      return `Leases of cluster ${address.cluster}`
  }
}

/** The name of the store in which a part of a lock was found, by its `addressText`. */
export function storeNameOf(part: LockPart): string | undefined {
  const address = addressOf(part)
  return address && storeName(address)
}
