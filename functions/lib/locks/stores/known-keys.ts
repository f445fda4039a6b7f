import { each } from '../../each.ts'
import { addressText, type FoundLock, type LockAddress, type LockStore } from './lock-store.ts'

/** What a store may add, so that what is known of it is read in the cheaper way. */
export interface KeyReads {
  /** About how many locks can be read by key for what one list takes. */
  listCost(): Promise<number>
  /** The locks at these addresses, each given once. Throws LockStoreError. */
  readMany(addresses: readonly LockAddress[]): Promise<FoundLock[]>
}

/** For a store that does not say what a list takes. */
const usualListCost = 50
/** How many locks are read by key at a time. */
const width = 8

/**
 * The locks that are held at these addresses of a store, in no order: by key, or out of a list where that takes the
 * store less. Throws LockStoreError.
 */
export async function locksAt(
  store: LockStore & Partial<KeyReads>,
  addresses: readonly LockAddress[],
): Promise<FoundLock[]> {
  const known = new Map(addresses.map((address) => [addressText(address), address]))
  if (known.size === 0) return []
  const listCost = (await store.listCost?.()) ?? usualListCost
  if (known.size > listCost) return (await store.list()).filter(({ address }) => known.has(addressText(address)))
  return store.readMany?.([...known.values()]) ?? oneByOne(store, [...known.values()])
}

async function oneByOne(store: LockStore, addresses: readonly LockAddress[]): Promise<FoundLock[]> {
  const found: FoundLock[] = []
  await each(addresses, width, async (address) => {
    const lock = await store.read(address)
    if (lock) found.push(lock)
  })
  return found
}
