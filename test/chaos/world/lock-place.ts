import { storeName } from '../../../functions/lib/locks/scan/lock-access.ts'
import { readLockRecord } from '../../../functions/lib/locks/stores/lock-info.ts'
import {
  addressText,
  type DeleteOutcome,
  type FoundLock,
  type LockAddress,
  type LockStore,
} from '../../../functions/lib/locks/stores/lock-store.ts'
import type { Api } from './api.ts'
import { vpc } from './names.ts'

/** A lock table or a bucket, as everybody sees it. */
export class ChaosLockStore implements LockStore {
  readonly name: string
  private readonly locks = new Map<string, FoundLock>()
  private readonly onDelete: (id: string) => void

  /** `onDelete`: only Lockstep deletes by comparing. */
  constructor(address: LockAddress, onDelete: (id: string) => void) {
    this.name = storeName(address)
    this.onDelete = onDelete
  }

  /** False where somebody has it. */
  take(address: LockAddress, raw: string, takenAt: number): boolean {
    if (this.locks.has(addressText(address))) return false
    // A table keeps no time, and its items are compared whole.
    const kept = address.store === 'dynamodb' ? { version: raw } : { version: `"${raw.length}-${raw}"`, takenAt }
    this.locks.set(addressText(address), { address, record: readLockRecord(raw), ...kept })
    return true
  }

  at(address: LockAddress): FoundLock | undefined {
    return this.locks.get(addressText(address))
  }

  release(address: LockAddress): void {
    this.locks.delete(addressText(address))
  }

  async list(): Promise<FoundLock[]> {
    return [...this.locks.values()]
  }

  async read(address: LockAddress): Promise<FoundLock | undefined> {
    return this.at(address)
  }

  async deleteIfUnchanged({ address, version }: FoundLock): Promise<DeleteOutcome> {
    const found = this.at(address)
    if (!found) return 'gone'
    if (found.version !== version) return 'changed'
    this.release(address)
    this.onDelete(found.record.info?.id ?? '')
    return 'deleted'
  }
}

/** Where the lock of the state is. */
export type Backend = 'dynamodb' | 's3' | 'both' | 'kubernetes'

const bucket = 'states'
const key = 'vpc.tfstate'
const file = { store: 's3', bucket, key: `${key}.tflock` } as const
const item = { store: 'dynamodb', region: 'us-east-1', table: 'locks', lockId: `${bucket}/${key}` } as const
const leaseName = 'lock-tfstate-default-vpc'
const lease = { store: 'kubernetes', cluster: 'staging', namespace: 'flux-system', name: leaseName } as const
const leaseKey = `Lease/${lease.namespace}/${lease.name}`
const recordAnnotation = 'app.terraform.io/lock-info'

export const stateKey = key
export const stateBucket = bucket

const partsOf: Readonly<Record<Backend, readonly LockAddress[]>> = {
  dynamodb: [item],
  s3: [file],
  both: [file, item],
  kubernetes: [lease],
}

/** The lock of the state as OpenTofu takes and releases it. */
export class LockPlace {
  readonly backend: Backend
  readonly table: ChaosLockStore
  readonly files: ChaosLockStore
  private readonly api: Api

  /** `onDelete` is told of every part that Lockstep deletes. */
  constructor(backend: Backend, api: Api, onDelete: (id: string) => void) {
    this.backend = backend
    this.api = api
    this.table = new ChaosLockStore(item, onDelete)
    this.files = new ChaosLockStore(file, onDelete)
    api.follow((key, { object, previous }) => {
      const before = key === leaseKey ? previous?.spec?.holderIdentity : undefined
      if (before !== undefined && object.spec?.holderIdentity === undefined && api.isLockstep) onDelete(before)
    })
    if (backend === 'kubernetes') api.create(leaseKey, 'OpenTofu', { spec: {} })
  }

  /** The places of other objects are nobody else's business. */
  of(object: string): Pick<LockPlace, 'take' | 'release'> {
    return object === vpc ? this : { take: () => undefined, release: () => {} }
  }

  /** The id of whoever is in the way; undefined once it is taken. `until`: after how many parts its taker dies. */
  take(id: string, raw: string, at: number, until = Number.POSITIVE_INFINITY): string | undefined {
    for (const [index, address] of partsOf[this.backend].entries()) {
      if (index >= until) return undefined
      const other = this.idAt(address)
      if (other !== undefined) {
        this.release(id)
        return other
      }
      if (address.store === 'kubernetes') this.holdLease(id, raw)
      else this.storeOf(address).take(address, raw, at)
    }
    return undefined
  }

  /** Of each part that this lock has. */
  release(id: string): void {
    for (const address of [...partsOf[this.backend]].reverse()) {
      if (this.idAt(address) !== id) continue
      if (address.store === 'kubernetes') this.freeLease()
      else this.storeOf(address).release(address)
    }
  }

  /** Ids of the locks that stand, in one part or in all of them. */
  ids(): string[] {
    return [...new Set(partsOf[this.backend].flatMap((address) => this.idAt(address) ?? []))]
  }

  private idAt(address: LockAddress): string | undefined {
    if (address.store === 'kubernetes') return this.api.get(leaseKey)?.spec?.holderIdentity
    return this.storeOf(address).at(address)?.record.info?.id
  }

  private storeOf(address: LockAddress): ChaosLockStore {
    return address.store === 'dynamodb' ? this.table : this.files
  }

  private holdLease(id: string, raw: string): void {
    this.api.edit(leaseKey, 'OpenTofu', (object) => {
      object.metadata.annotations = { ...object.metadata.annotations, [recordAnnotation]: raw }
      object.spec = { ...object.spec, holderIdentity: id }
    })
  }

  private freeLease(): void {
    this.api.edit(leaseKey, 'OpenTofu', (object) => {
      delete object.metadata.annotations?.[recordAnnotation]
      object.spec = {}
    })
  }
}
