import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { StateAddress } from '../../functions/lib/locks/backends/lock-place.ts'
import type { StateReader } from '../../functions/lib/locks/states/state-reader.ts'
import { LockStoreError } from '../../functions/lib/locks/stores/lock-store.ts'
import {
  type StateBackup,
  type StateKeeper,
  stateBackupSchema,
  versionOf,
} from '../../functions/lib/unlock/state/state-backup.ts'

export interface StateKeeperUnderTest {
  readonly keeper: StateKeeper
  /** Keeps the same states, and is not let in. */
  readonly denied: StateKeeper
  readonly reader: StateReader
  /** Whether every write stays readable. */
  readonly keepsVersions: boolean
  /** Whether it can be seen that a state was deleted. */
  readonly keepsDeletes: boolean
  /** A name that is as odd as one may be. */
  readonly oddName: string
  /** Where the state of that name is. A name that is not odd is letters, digits and dashes, and unique. */
  address(name: string): StateAddress
  /** Writes a state as OpenTofu does, over one that is there. */
  write(name: string, state: string): Promise<void>
  remove(name: string): Promise<void>
  /** Resolves when what is written next has a later time than what is there: times may be whole seconds. */
  tick(): Promise<void>
  /** Makes objects whose names begin with the one of the state. */
  clutter(name: string): Promise<void>
  /** The state that can be had again by a backup. */
  kept(backup: StateBackup): Promise<string | undefined>
  close(): Promise<void>
}

/** What every keeper of states does, whatever keeps them. */
export function stateKeeperContract(title: string, setup: () => Promise<StateKeeperUnderTest>): void {
  describe(`state keeper: ${title}`, () => {
    let under: StateKeeperUnderTest
    let name: string
    let count = 0

    beforeAll(async () => {
      under = await setup()
    })
    afterAll(() => under?.close())
    beforeEach(() => {
      name = `vpc-${++count}`
    })

    const unlock = 'vpc_Apply-41f02d46'
    const lineage = '8f4b0d4e-4f0a-4d0e-9e54-2f6f0d6e2a11'
    const state = (serial: number, more = '') => JSON.stringify({ version: 4, serial, lineage, more })
    const md5 = (text: string) => createHash('md5').update(text).digest('hex')
    const told = (text: string, serial: number) => ({ serial, lineage, md5: md5(text), sizeBytes: text.length })

    const version = async (of = name) => {
      const found = await under.reader.read(under.address(of))
      return found.exists ? found.version : undefined
    }
    const backUp = async (of = name, by = unlock) => under.keeper.backUp(under.address(of), by, await version(of))
    const writesSince = (backup: StateBackup, of = name) => under.keeper.writesSince(under.address(of), backup)
    const failure = async (work: Promise<unknown>): Promise<Error> => {
      const error = await work.catch((reason: unknown) => reason)
      if (error instanceof Error) return error
      throw new Error('it did not fail')
    }
    const timeless = ({ at: _, ...backup }: StateBackup) => backup

    describe('a backup', () => {
      test('tells what the state told of itself, and can be written down', async () => {
        await under.write(name, state(3))
        const backup = await backUp()
        expect(backup).toMatchObject(told(state(3), 3))
        expect(versionOf(backup)).toBe(await version())
        expect(stateBackupSchema.parse(JSON.parse(JSON.stringify(backup)))).toEqual(backup)
      })

      test('has the state as it was, whatever is written later', async () => {
        await under.write(name, state(3))
        const backup = await backUp()
        for (const serial of [4, 5]) await under.write(name, state(serial))
        expect(await under.kept(backup)).toBe(state(3))
      })

      test('leaves the state as it is', async () => {
        await under.write(name, state(3))
        const before = await under.reader.read(under.address(name))
        await backUp()
        expect(await under.reader.read(under.address(name))).toEqual(before)
      })

      test('that is made twice for one unlock is the same', async () => {
        await under.write(name, state(3))
        const first = await backUp()
        const second = await backUp()
        expect(timeless(second)).toEqual(timeless(first))
        expect(await under.kept(first)).toBe(state(3))
      })

      test('of each unlock is its own', async () => {
        await under.write(name, state(3))
        const first = await backUp()
        await under.write(name, state(4))
        const second = await backUp(name, 'another')
        expect([await under.kept(first), await under.kept(second)]).toEqual([state(3), state(4)])
      })

      test('of each state is its own', async () => {
        await under.write(name, state(3))
        await under.write(`${name}-other`, state(7))
        const [backup, other] = [await backUp(), await backUp(`${name}-other`)]
        expect([await under.kept(backup), await under.kept(other)]).toEqual([state(3), state(7)])
      })

      test('is made of a state with an odd name', async () => {
        await under.write(under.oddName, state(3))
        const backup = await backUp(under.oddName)
        await under.write(under.oddName, state(4))
        expect(await under.kept(backup)).toBe(state(3))
        expect(await writesSince(backup, under.oddName)).toMatchObject([told(state(4), 4)])
      })

      test('is made of a state that is too large to be looked into', async () => {
        const large = state(3, 'x'.repeat(17 * 1024 * 1024))
        await under.write(name, large)
        const backup = await backUp()
        expect(backup).not.toHaveProperty('md5')
        await under.write(name, state(4))
        expect((await under.kept(backup))?.length).toBe(large.length)
        expect(await writesSince(backup)).toMatchObject([told(state(4), 4)])
      })
    })

    describe('a state that has moved since it was judged is refused', () => {
      test('when it was written', async () => {
        await under.write(name, state(3))
        const judged = await version()
        await under.write(name, state(4))
        expect((await failure(under.keeper.backUp(under.address(name), unlock, judged))).name).toBe('StateMoved')
      })

      test('when it was born', async () => {
        await under.write(name, state(1))
        expect((await failure(under.keeper.backUp(under.address(name), unlock, undefined))).name).toBe('StateMoved')
      })

      test('when it was deleted', async () => {
        await under.write(name, state(3))
        const judged = await version()
        await under.remove(name)
        expect((await failure(under.keeper.backUp(under.address(name), unlock, judged))).name).toBe('StateMoved')
      })
    })

    describe('where there is no state', () => {
      test('there is nothing to keep, and its birth is a write', async () => {
        const backup = await backUp()
        expect(backup).toMatchObject({ kind: 'none' })
        expect(versionOf(backup)).toBeUndefined()
        expect(await writesSince(backup)).toEqual([])
        await under.write(name, state(1))
        expect(await writesSince(backup)).toMatchObject([{ ...told(state(1), 1), deleted: false }])
      })

      test('any more, what was there before is no write', async () => {
        for (const serial of [1, 2]) await under.write(name, state(serial))
        await under.tick()
        await under.remove(name)
        await under.tick()
        const backup = await backUp()
        expect(backup).toMatchObject({ kind: 'none' })
        expect(stateBackupSchema.parse(JSON.parse(JSON.stringify(backup)))).toEqual(backup)
        expect(await writesSince(backup)).toEqual([])
        await under.write(name, state(3))
        expect(await writesSince(backup)).toMatchObject([told(state(3), 3)])
      })
    })

    describe('the writes since', () => {
      test('are none while nothing is written, whatever was before', async () => {
        for (const serial of [1, 2, 3]) await under.write(name, state(serial))
        const backup = await backUp()
        expect(await writesSince(backup)).toEqual([])
        await backUp(name, 'another')
        expect(await writesSince(backup)).toEqual([])
      })

      test('are all of them in their order, or the last one', async () => {
        await under.write(name, state(3))
        const backup = await backUp()
        const serials = [4, 5, 6, 7, 8, 9, 10]
        for (const serial of serials) await under.write(name, state(serial))
        const writes = await writesSince(backup)
        const expected = under.keepsVersions ? serials : [10]
        expect(writes).toMatchObject(expected.map((serial) => ({ ...told(state(serial), serial), deleted: false })))
        expect(writes.at(-1)?.version).toBe(await version())
        expect(new Set(writes.map(({ version }) => version)).size).toBe(writes.length)
        // Whole seconds.
        for (const { at = 0 } of writes)
          expect(at).toBeGreaterThanOrEqual(('modifiedAt' in backup && backup.modifiedAt) || 0)
      })

      test('are of this state alone', async () => {
        await under.write(name, state(3))
        const backup = await backUp()
        await under.clutter(name)
        expect(await writesSince(backup)).toEqual([])
        await under.write(name, state(4))
        await under.clutter(name)
        expect(await writesSince(backup)).toMatchObject([told(state(4), 4)])
      })

      test('tell that the state was deleted, where that leaves a trace', async () => {
        await under.write(name, state(3))
        const backup = await backUp()
        await under.remove(name)
        const writes = await writesSince(backup)
        expect(writes.map(({ deleted }) => deleted)).toEqual(under.keepsDeletes ? [true] : [])
      })

      test('tell of what is no JSON by its MD5', async () => {
        await under.write(name, state(3))
        const backup = await backUp()
        await under.write(name, 'state')
        const [write] = await writesSince(backup)
        expect(write).toMatchObject({ md5: md5('state'), sizeBytes: 5 })
        expect(write).not.toHaveProperty('serial')
      })
    })

    test('who is not let in is told what it takes', async () => {
      await under.write(name, state(3))
      const backup = await backUp()
      const read = await failure(under.denied.writesSince(under.address(name), backup))
      expect(read).toBeInstanceOf(LockStoreError)
      expect(read).toMatchObject({
        name: 'LockStoreForbidden',
        next: expect.stringMatching(/s3:ListBucketVersions|get on/),
      })
      const written = await failure(under.denied.backUp(under.address(name), unlock, versionOf(backup)))
      expect(written).toMatchObject({ name: 'LockStoreForbidden', next: expect.stringMatching(/s3:GetObject|get on/) })
    })

    test('a state of another store is refused, and so is the backup of another state', async () => {
      const others: StateAddress[] = [
        { store: 'kubernetes', cluster: 'others', namespace: 'infra', name: 'tfstate-default-vpc' },
        { store: 's3', region: 'us-east-1', bucket: 'others', key: 'vpc' },
      ]
      const address = others.find(({ store }) => store !== under.address(name).store)
      if (!address) throw new Error('there is no other store')
      expect((await failure(under.keeper.backUp(address, unlock, undefined))).name).toBe('NoLockOfThisStore')
      await under.write(name, state(3))
      const backup = await backUp()
      expect((await failure(under.keeper.writesSince(address, backup))).name).toBe('NoLockOfThisStore')
      const elsewhere = under.keeper.writesSince(under.address(`${name}-other`), backup)
      expect((await failure(elsewhere)).name).toBe('LockStoreRejected')
    })
  })
}
