import { describe, expect, test } from 'vitest'
import { joinedLock } from '../../../functions/lib/locks/evidence/joined-lock.ts'
import { storeName, storeNameOf } from '../../../functions/lib/locks/scan/lock-access.ts'
import { placeKey, placeKeyOf } from '../../../functions/lib/locks/scan/observation.ts'
import { DynamoDbLockStore } from '../../../functions/lib/locks/stores/dynamodb-lock-store.ts'
import { LeaseLockStore } from '../../../functions/lib/locks/stores/lease-lock-store.ts'
import { readLockRecord } from '../../../functions/lib/locks/stores/lock-info.ts'
import { addressText, type FoundLock, type LockAddress } from '../../../functions/lib/locks/stores/lock-store.ts'
import { S3LockStore } from '../../../functions/lib/locks/stores/s3-lock-store.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'

const file: LockAddress = { store: 's3', bucket: 'states', key: 'a/vpc.tfstate.tflock' }
const item: LockAddress = { store: 'dynamodb', region: 'eu-west-1', table: 'locks', lockId: 'states/a/vpc.tfstate' }
const lease: LockAddress = { store: 'kubernetes', cluster: 'staging', namespace: 'a', name: 'lock-tfstate-default-vpc' }

const raw = (fields: object = {}) => JSON.stringify({ ID: 'a', Operation: 'init', Who: 'ana@laptop', ...fields })
const found = (address: LockAddress, text: string, more: Partial<FoundLock> = {}): FoundLock => ({
  ...{ address, record: readLockRecord(text), version: text, ...more },
})

describe('the parts of a lock', () => {
  test('are one lock, where they tell of the same', () => {
    const lock = joinedLock([found(file, raw(), { takenAt: 5 }), found(item, raw())])
    expect(lock).toMatchObject({
      parts: [{ store: 's3', address: addressText(file), takenAt: 5 }, { store: 'dynamodb' }],
      record: { id: 'a', operation: 'init', user: 'ana', host: 'laptop' },
    })
    expect(lock.problem).toBeUndefined()
  })

  test.each([
    ['tell of different locks', [found(file, raw()), found(item, raw({ ID: 'b' }))], /^tells of one lock/],
    ['are garbage in one place', [found(file, raw()), found(item, '{')], /^is not JSON$/],
    ['have no ID', [found(item, raw({ ID: '' }))], /no ID/],
    ['have an ID that is none', [found(item, raw({ ID: 'x'.repeat(501) }))], /no ID/],
    ['name another lock than their Lease', [found(lease, raw(), { holderIdentity: 'b' })], /its Lease/],
  ])('that %s are a problem, and no record to go by', (_, parts, problem) => {
    expect(joinedLock(parts)).toEqual({ parts: expect.any(Array), problem: expect.stringMatching(problem) })
    expect(joinedLock(parts).parts).toHaveLength(parts.length)
  })

  test('keep nothing of what anybody wrote, but for the words of the record and those short', () => {
    const lock = joinedLock([found(item, raw({ Info: 'password', Path: 'p'.repeat(60_000) }))])
    expect(JSON.stringify(lock)).not.toContain('password')
    expect(JSON.stringify(lock).length).toBeLessThan(1_500)
    expect(joinedLock([found(item, 'secret')]).parts[0]?.version).not.toContain('secret')
  })

  test('change their version with every change', () => {
    const version = (text: string) => joinedLock([found(item, text)]).parts[0]?.version
    expect(version(raw())).toBe(version(raw()))
    expect(version(raw())).not.toBe(version(raw({ Version: '2' })))
    const [{ version: _, ...bare }] = [found(item, raw())]
    expect(joinedLock([bare]).parts[0]).not.toHaveProperty('version')
  })
})

test.each([file, item, lease])('the store of a part is known by its address', (address) => {
  const [part] = joinedLock([found(address, raw())]).parts
  expect(part && storeNameOf(part)).toBe(storeName(address))
})

test('a place has one key, in whatever order its parts come', () => {
  expect(placeKey([file, item])).toBe(placeKey([item, file]))
  expect(placeKeyOf([addressText(file)])).toBe(placeKey([file]))
  expect(placeKey([file])).not.toBe(placeKey([item]))
})

test('stores call themselves what they are looked up by', () => {
  const table = new DynamoDbLockStore({ client: {} as never, region: 'eu-west-1', table: 'locks' })
  const bucket = new S3LockStore({ client: {} as never, bucket: 'states' })
  const leases = new LeaseLockStore(new MemoryCluster('staging'))
  expect([table.name, bucket.name, leases.name]).toEqual([item, file, lease].map(storeName))
})
