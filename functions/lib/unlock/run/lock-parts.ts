import type { Cluster } from '../../kubernetes/cluster.ts'
import { joinedLock } from '../../locks/evidence/joined-lock.ts'
import { type LockAccess, storeName } from '../../locks/scan/lock-access.ts'
import { LeaseLockStore } from '../../locks/stores/lease-lock-store.ts'
import { addressText, type FoundLock, type LockAddress, type LockStore } from '../../locks/stores/lock-store.ts'
import type { Judged } from './unlock-run.ts'
import { UnlockStopped } from './unlock-stopped.ts'

/** OpenTofu takes the lock file first and the item of the table second: they are released the other way round. */
const order = ['dynamodb', 'kubernetes', 's3'] as const

/** Where the parts of one lock are kept, in the order in which they are deleted. */
export class LockParts {
  private readonly stores: readonly LockStore[]
  private readonly addresses: readonly LockAddress[]

  constructor(addresses: readonly LockAddress[], { stores }: Pick<LockAccess, 'stores'>, cluster: Cluster) {
    this.stores = [...stores, new LeaseLockStore(cluster)]
    this.addresses = addresses.toSorted((a, b) => order.indexOf(a.store) - order.indexOf(b.store))
  }

  /** The parts that anybody holds now. Throws LockStoreError. */
  async readAll(): Promise<FoundLock[]> {
    const found = await Promise.all(this.addresses.map((address) => this.storeOf(address).read(address)))
    return found.flatMap((each) => each ?? [])
  }

  /** Deletes one part if it is exactly this one. Throws LockStoreError; LockChanged where it is not. */
  async delete(found: FoundLock): Promise<'deleted' | 'gone'> {
    const outcome = await this.storeOf(found.address).deleteIfUnchanged(found)
    if (outcome === 'changed') throw changed(found.address)
    return outcome
  }

  private storeOf(address: LockAddress): LockStore {
    const name = storeName(address)
    const store = this.stores.find((each) => each.name === name)
    if (store) return store
    throw new UnlockStopped('UnlockRefused', `${name} is not in the fleet.`, 'Add it to its section "locks".')
  }
}

/** Throws LockChanged where what was found is not exactly what was judged, or was not there then. */
export function checkUnchanged(found: FoundLock, judged: Pick<Judged, 'parts'>): void {
  if (!isUnchanged(found, judged)) throw changed(found.address)
}

/** Whether what was found is exactly what was judged. */
export function isUnchanged(found: FoundLock, { parts }: Pick<Judged, 'parts'>): boolean {
  const [now] = joinedLock([found]).parts
  const before = parts.find(({ address }) => address === addressText(found.address))
  return now?.version !== undefined && now.version === before?.version
}

function changed(address: LockAddress): UnlockStopped {
  return new UnlockStopped(
    'LockChanged',
    `The lock at ${addressText(address)} is not the one that was judged any more: somebody has taken it, or written to it.`,
    'It is left alone, and looked at by the next scan.',
  )
}
