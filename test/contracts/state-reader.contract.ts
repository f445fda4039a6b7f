import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { StateAddress } from '../../functions/lib/locks/backends/lock-place.ts'
import type { StateEvidence } from '../../functions/lib/locks/evidence.ts'
import type { StateReader } from '../../functions/lib/locks/states/state-reader.ts'
import { LockStoreError } from '../../functions/lib/locks/stores/lock-store.ts'

export interface StateReaderUnderTest {
  readonly reader: StateReader
  /** Reads the same states, and is not let in. */
  readonly denied: StateReader
  /** Where the state of that name is. A name is letters, digits and dashes, and unique. */
  address(name: string): StateAddress
  /** The store's time, in milliseconds since the epoch. */
  now(): number
  /** Writes a state as OpenTofu does, over one that is there. */
  write(name: string, state: string): Promise<void>
  remove(name: string): Promise<void>
  close(): Promise<void>
}

/** What every reader of states does, whatever keeps them. */
export function stateReaderContract(title: string, setup: () => Promise<StateReaderUnderTest>): void {
  describe(`state reader: ${title}`, () => {
    let under: StateReaderUnderTest
    let name: string
    let count = 0

    beforeAll(async () => {
      under = await setup()
    })
    afterAll(() => under.close())
    beforeEach(() => {
      name = `vpc-${++count}`
    })

    const lineage = '8f4b0d4e-4f0a-4d0e-9e54-2f6f0d6e2a11'
    const state = (serial: number, more: object = {}) =>
      JSON.stringify({ version: 4, terraform_version: '1.12.6', serial, lineage, outputs: {}, resources: [], ...more })
    const read = async (of = name) => {
      const found = await under.reader.read(under.address(of))
      if (!found.exists) throw new Error(`there is no state of ${of}`)
      return found
    }
    const failure = async (work: Promise<StateEvidence>): Promise<LockStoreError> => {
      const error = await work.catch((reason: unknown) => reason)
      if (error instanceof LockStoreError) return error
      throw new Error(`no LockStoreError: ${error}`)
    }
    const md5 = (text: string) => createHash('md5').update(text).digest('hex')

    test('a state tells its serial, lineage, MD5 and size', async () => {
      const before = under.now()
      await under.write(name, state(3))
      const found = await read()
      expect(found).toEqual({
        ...{ exists: true, version: expect.any(String), serial: 3, lineage },
        ...{ md5: md5(state(3)), sizeBytes: state(3).length, modifiedAt: expect.any(Number) },
      })
      // Whole seconds, and clocks of two machines.
      expect(Math.abs((found.modifiedAt ?? 0) - before)).toBeLessThan(10_000)
    })

    test('its version changes with what is written, and with nothing else', async () => {
      await under.write(name, state(1))
      const first = await read()
      expect(await read()).toEqual(first)
      await under.write(name, state(2))
      expect((await read()).version).not.toBe(first.version)
    })

    test('a state that is not there does not exist', async () => {
      expect(await under.reader.read(under.address(name))).toEqual({ exists: false })
      await under.write(name, state(1))
      await under.remove(name)
      expect(await under.reader.read(under.address(name))).toEqual({ exists: false })
    })

    test('a state of several MB is read', async () => {
      const large = state(7, {
        resources: Array.from({ length: 50_000 }, (_, n) => ({ name: `n${n}`, type: 'null_resource' })),
      })
      await under.write(name, large)
      expect(large.length).toBeGreaterThan(2_000_000)
      expect(await read()).toMatchObject({ serial: 7, lineage, md5: md5(large), sizeBytes: large.length })
    })

    test('a state that is too large is told without a look into it', async () => {
      await under.write(name, state(7, { outputs: 'x'.repeat(17 * 1024 * 1024) }))
      const found = await read()
      expect(found).not.toHaveProperty('md5')
      expect(found).not.toHaveProperty('serial')
      expect(found.sizeBytes).toBeGreaterThan(0)
    })

    test('an encrypted state tells what it tells', async () => {
      await under.write(
        name,
        `{"serial":5,"lineage":"${lineage}","meta":{},"encrypted_data":"x","encryption_version":"v0"}`,
      )
      expect(await read()).toMatchObject({ serial: 5, lineage })
    })

    test.each([
      ['empty', ''],
      ['no JSON', 'state'],
      ['a list', '[]'],
      ['of another shape', '{"serial":"3","lineage":7}'],
      ['of a strange shape', `{"serial":-1.5,"lineage":"${'x'.repeat(1000)}"}`],
    ])('a state that is %s has an MD5 and a size', async (_, text) => {
      await under.write(name, text)
      const found = await read()
      expect(found).toMatchObject({ md5: md5(text), sizeBytes: text.length })
      expect(found).not.toHaveProperty('serial')
      expect(found).not.toHaveProperty('lineage')
    })

    test('who is not let in is told what it takes', async () => {
      await under.write(name, state(1))
      const { name: named, next, store } = await failure(under.denied.read(under.address(name)))
      expect(named).toBe('LockStoreForbidden')
      expect(store).toContain(name)
      expect(next).toMatch(/s3:GetObject|get on secrets/)
    })

    test('a state of another store is refused', async () => {
      const others: StateAddress[] = [
        { store: 'kubernetes', cluster: 'others', namespace: 'infra', name: 'tfstate-default-vpc' },
        { store: 's3', region: 'us-east-1', bucket: 'others', key: 'vpc' },
      ]
      const address = others.find(({ store }) => store !== under.address(name).store)
      if (!address) throw new Error('there is no other store')
      expect((await failure(under.reader.read(address))).name).toBe('NoLockOfThisStore')
    })
  })
}
