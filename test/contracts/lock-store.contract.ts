import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type FoundLock,
  type LockAddress,
  type LockStore,
  LockStoreError,
} from '../../functions/lib/locks/stores/lock-store.ts'

export interface LockStoreUnderTest {
  /** Lists in pages of 3, where the store has pages. Used by these tests alone. */
  readonly store: LockStore
  /** A store of the same kind in a place that does not exist. A cluster's Leases always exist. */
  readonly nowhere?: LockStore
  /** Where the lock of that name is. A name is letters, digits and dashes, and unique. */
  address(name: string): LockAddress
  /** Where a lock can be that has slashes, spaces and more than ASCII in its name, if one can. */
  readonly oddName?: string
  /** Whether the store says when a lock was taken. */
  readonly tellsTime: boolean
  /** The store's time, in milliseconds since the epoch. */
  now(): number
  /** Takes a lock as OpenTofu does, whatever the record is. */
  take(name: string, raw: string): Promise<void>
  /** Releases it as OpenTofu does. */
  release(name: string): Promise<void>
  /** Puts what belongs to a state and is no lock beside the lock of that name. Answers its address, and how it is now. */
  clutter(name: string): Promise<{ address: LockAddress; read(): Promise<unknown> }>
  close(): Promise<void>
}

/** What every store of state locks does, real or stand-in: nothing is asserted that only a stand-in does. */
export function lockStoreContract(title: string, setup: () => Promise<LockStoreUnderTest>): void {
  describe(`lock store: ${title}`, () => {
    let under: LockStoreUnderTest
    let store: LockStore
    let name: string
    let count = 0

    beforeAll(async () => {
      under = await setup()
      store = under.store
    })
    afterAll(() => under.close())
    beforeEach(() => {
      name = `vpc-${++count}`
    })

    const id = (holder: string) => `41f02d46-56c1-f301-2a82-${holder.padStart(12, '0')}`
    /** With escapes that are lost when it is parsed and written again. */
    const record = (holder = '1') =>
      `{"ID":"${id(holder)}","Operation":"OperationTypeApply","Info":"\\u003ctest\\u003e","Who":"ünï@vpc-tf-runner","Version":"1.12.6","Created":"2026-11-21T06:26:54.888086471Z","Path":"b/vpc"}`
    const info = (holder = '1') => ({
      id: id(holder),
      operation: 'OperationTypeApply',
      info: '<test>',
      user: 'ünï',
      host: 'vpc-tf-runner',
      version: '1.12.6',
      created: '2026-11-21T06:26:54.888086471Z',
      createdAt: Date.UTC(2026, 10, 21, 6, 26, 54, 888),
      path: 'b/vpc',
    })
    const read = async (of = name): Promise<FoundLock> => {
      const lock = await store.read(under.address(of))
      if (!lock) throw new Error(`${of} is not locked`)
      return lock
    }
    const listed = async (of = name) => {
      const key = JSON.stringify(under.address(of))
      return (await store.list()).filter(({ address }) => JSON.stringify(address) === key)
    }
    const failure = async (work: Promise<unknown>): Promise<string> => {
      const error = await work.catch((reason: unknown) => reason)
      if (!(error instanceof LockStoreError)) throw new Error(`no LockStoreError: ${error}`)
      return error.name
    }

    test('a lock is found, with its record byte for byte and what it says', async () => {
      await under.take(name, record())
      const lock = await read()
      expect(lock).toMatchObject({ address: under.address(name), record: { raw: record(), info: info() } })
      expect(lock.version).toEqual(expect.any(String))
      expect(await listed()).toEqual([lock])
    })

    test('the store’s own time is told where it has one', async () => {
      const before = under.now()
      await under.take(name, record())
      const { takenAt } = await read()
      if (!under.tellsTime) return expect(takenAt).toBeUndefined()
      // Whole seconds, and clocks of two machines.
      expect(Math.abs((takenAt ?? 0) - before)).toBeLessThan(10_000)
    })

    test('what nobody holds is not found', async () => {
      expect(await store.read(under.address(name))).toBeUndefined()
      await under.take(name, record())
      await under.release(name)
      expect(await store.read(under.address(name))).toBeUndefined()
      expect(await listed()).toEqual([])
    })

    test('all locks are listed, page by page, and nothing else', async () => {
      const names = Array.from({ length: 7 }, (_, index) => `${name}-${index}`)
      for (const [index, one] of names.entries()) {
        await under.clutter(one)
        await under.take(one, record(`${index}`))
      }
      const found = (await store.list()).filter(({ address }) => JSON.stringify(address).includes(`${name}-`))
      const key = ({ address }: { address: LockAddress }) => JSON.stringify(address)
      expect(found.map(key).toSorted()).toEqual(names.map((one) => JSON.stringify(under.address(one))).toSorted())
      expect(found.map((lock) => lock.record.info?.id).toSorted()).toEqual(names.map((_, index) => id(`${index}`)))
    })

    test.each([
      ['empty', ''],
      ['cut off', '{"ID":"41f02d46","Operation":"OperationTy'],
      ['no JSON', 'locked by me'],
      ['JSON of another shape', '{"Who":"somebody","ID":7}'],
      ['a list', '[]'],
    ])('a record that is %s is a lock all the same', async (_, raw) => {
      await under.take(name, raw)
      const lock = await read()
      expect(lock.record).toEqual({ raw, problem: expect.any(String) })
      expect(await listed()).toEqual([lock])
      expect(await store.deleteIfUnchanged(lock)).toBe('deleted')
      expect(await store.read(under.address(name))).toBeUndefined()
    })

    test('a record that is far too large is a lock all the same, and is not kept', async () => {
      await under.take(name, `{"ID":"${'x'.repeat(100_000)}"}`)
      const lock = await read()
      expect(lock.record).toEqual({ problem: expect.stringContaining('too long') })
      expect(await listed()).toEqual([lock])
      await under.release(name)
    })

    test('a name may be odd', async () => {
      if (under.oddName === undefined) return
      await under.take(under.oddName, record())
      const [lock] = await listed(under.oddName)
      expect(lock).toEqual(await read(under.oddName))
      expect(await store.deleteIfUnchanged(lock as FoundLock)).toBe('deleted')
    })

    test('a lock that is what was read is deleted, and can be taken again', async () => {
      await under.take(name, record())
      expect(await store.deleteIfUnchanged(await read())).toBe('deleted')
      expect(await store.read(under.address(name))).toBeUndefined()
      expect(await listed()).toEqual([])
      await under.take(name, record('2'))
      expect((await read()).record).toEqual({ raw: record('2'), info: info('2') })
    })

    test('a lock that somebody else has taken since is not deleted', async () => {
      await under.take(name, record())
      const lock = await read()
      await under.release(name)
      await under.take(name, record('2'))
      expect(await store.deleteIfUnchanged(lock)).toBe('changed')
      expect((await read()).record.raw).toBe(record('2'))
    })

    test('a lock that was released since is gone', async () => {
      await under.take(name, record())
      const lock = await read()
      await under.release(name)
      expect(await store.deleteIfUnchanged(lock)).toBe('gone')
      expect(await store.deleteIfUnchanged(lock)).toBe('gone')
    })

    test('a lock is deleted by one of many that race', async () => {
      await under.take(name, record())
      const lock = await read()
      const outcomes = await Promise.all(Array.from({ length: 10 }, () => store.deleteIfUnchanged(lock)))
      expect(outcomes.filter((outcome) => outcome === 'deleted')).toHaveLength(1)
      expect(await store.read(under.address(name))).toBeUndefined()
    })

    test('what is no lock is refused, and stays when the lock is deleted', async () => {
      const clutter = await under.clutter(name)
      const before = await clutter.read()
      await under.take(name, record())
      const lock = await read()
      expect(await failure(store.read(clutter.address))).toBe('NoLockOfThisStore')
      expect(await failure(store.deleteIfUnchanged({ ...lock, address: clutter.address }))).toBe('NoLockOfThisStore')
      expect(await store.deleteIfUnchanged(lock)).toBe('deleted')
      expect(await clutter.read()).toEqual(before)
    })

    test('a lock of another store is refused', async () => {
      await under.take(name, record())
      const lock = await read()
      const others: LockAddress[] = [
        { store: 'dynamodb', region: 'us-east-1', table: 'others', lockId: 'b/vpc' },
        { store: 's3', bucket: 'others', key: 'vpc.tflock' },
        { store: 'kubernetes', cluster: 'others', namespace: 'flux-system', name: 'lock-tfstate-default-vpc' },
      ]
      for (const address of others) {
        expect(await failure(store.read(address))).toBe('NoLockOfThisStore')
        expect(await failure(store.deleteIfUnchanged({ ...lock, address }))).toBe('NoLockOfThisStore')
      }
    })

    test('a lock without a version is not deleted', async () => {
      await under.take(name, record())
      const { version: _, ...lock } = await read()
      expect(await failure(store.deleteIfUnchanged(lock))).toBe('LockNotComparable')
      expect((await read()).record.raw).toBe(record())
    })

    test('a place that does not exist is missing', async () => {
      const { nowhere } = under
      if (!nowhere) return
      expect(await failure(nowhere.list())).toBe('LockStoreMissing')
    })
  })
}
