import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Claim, type Ledger, RolloutMoved } from '../../functions/lib/ledger/ledger.ts'
import type { Rollout } from '../../functions/lib/rollout/rollout.ts'
import { begunRollout } from '../fixtures/snapshot-of.ts'

/** What every implementation of the ledger does. `setup` gives one with an empty table. */
export function ledgerContract(name: string, setup: () => Promise<{ ledger: Ledger; close(): Promise<void> }>): void {
  describe(`ledger: ${name}`, () => {
    let ledger: Ledger
    let close = async () => {}

    beforeAll(async () => {
      const made = await setup()
      ledger = made.ledger
      close = () => made.close()
    })
    afterAll(() => close())

    const claim = (branch: string, version: number, rollout = 'a'): Claim => ({
      cluster: 'staging',
      branch,
      version,
      leaseUntil: 5,
      holder: { rollout, execution: 'arn', before: 'x', after: 'y', pushedAt: 1 },
    })

    test('a claim that was never written is undefined', async () => {
      expect(await ledger.readClaim('staging', 'nowhere')).toBeUndefined()
    })

    test('a claim is read back as it was written', async () => {
      expect(await ledger.writeClaim(claim('b1', 1))).toBe(true)
      expect(await ledger.readClaim('staging', 'b1')).toEqual(claim('b1', 1))
    })

    test('of writers that have seen the same version, one wins', async () => {
      await ledger.writeClaim(claim('b2', 1))
      const rivals = Array.from({ length: 20 }, (_, index) => ledger.writeClaim(claim('b2', 2, `r${index}`)))
      const won = (await Promise.all(rivals)).flatMap((written, index) => (written ? [index] : []))
      expect(won).toHaveLength(1)
      expect((await ledger.readClaim('staging', 'b2'))?.holder?.rollout).toBe(`r${won[0]}`)
    })

    test('of writers that have seen no claim, one wins', async () => {
      const written = await Promise.all(['x', 'y', 'z'].map((id) => ledger.writeClaim(claim('b3', 1, id))))
      expect(written.filter(Boolean)).toHaveLength(1)
    })

    test('the claims of a cluster are listed, and only those', async () => {
      await ledger.writeClaim({ ...claim('b4', 1), cluster: 'production' })
      await ledger.writeClaim({ ...claim('b5', 1), cluster: 'production' })
      expect((await ledger.listClaims('production')).map(({ branch }) => branch)).toEqual(['b4', 'b5'])
    })

    test('a rollout is read back as it was written, with its version', async () => {
      const rollout = begunRollout({ id: 'r1', notes: ['ünï'] })
      expect(await ledger.writeRollout(rollout, 0)).toBe(1)
      expect(await ledger.readRollout('r1')).toEqual({ value: rollout, version: 1 })
      expect(await ledger.readRollout('nobody')).toBeUndefined()
    })

    test('a rollout that moved on is not overwritten', async () => {
      const rollout = begunRollout({ id: 'r2' })
      await ledger.writeRollout(rollout, 0)
      await ledger.writeRollout({ ...rollout, notes: ['first'] }, 1)
      await expect(ledger.writeRollout({ ...rollout, notes: ['second'] }, 1)).rejects.toThrow(RolloutMoved)
      await expect(ledger.writeRollout(rollout, 0)).rejects.toThrow(RolloutMoved)
      expect((await ledger.readRollout('r2'))?.value.notes).toEqual(['first'])
    })

    test('a rollout that is larger than an item is read back whole', async () => {
      const rollout = begunRollout({ id: 'r3', objects: incompressible(4_000) })
      await ledger.writeRollout(rollout, 0)
      expect((await ledger.readRollout('r3'))?.value.objects).toEqual(rollout.objects)
    })

    test('history is the newest first, with outcomes', async () => {
      for (const [id, startedAt] of Object.entries({ h1: 1_000, h2: 3_000, h3: 2_000 })) {
        const begun = begunRollout({ id, startedAt, cluster: 'history' })
        await ledger.writeRollout(begun, 0)
        await ledger.writeRollout({ ...begun, endedAt: startedAt + 1, outcome: 'succeeded' }, 1)
      }
      const listed = await ledger.listRollouts('history', 2)
      expect(listed.map(({ id, outcome }) => [id, outcome])).toEqual([
        ['h2', 'succeeded'],
        ['h3', 'succeeded'],
      ])
    })
  })
}

/** Objects that gzip cannot make small. */
function incompressible(count: number): Rollout['objects'] {
  return Array.from({ length: count }, (_, index) => ({
    key: `Terraform/ns/o${index}`,
    uid: randomBytes(100).toString('base64'),
    layer: 0,
    after: [],
    follows: 'revision',
    appliesWorkloads: false,
    gated: false,
    phase: 'pending',
    detail: randomBytes(60).toString('base64'),
    asked: 0,
  }))
}
