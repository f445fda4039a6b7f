import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LockedWorld, minute, onS3, table } from './locked-world.ts'

let directory: string
let locked: LockedWorld

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lockstep-unlock-'))
})
afterEach(async () => {
  await locked.close()
  rmSync(directory, { recursive: true })
})

/** A silent ghost whose unlock has come to a state, and then the host is gone. Answers how all was before. */
async function endedAt(state: string) {
  locked = await LockedWorld.start([onS3('vpc', [table]), onS3('other', [table])], { directory })
  await locked.silentGhost('vpc')
  const before = locked.fields()
  const unlock = await locked.enters(state)
  await locked.world.stopHost()
  return { unlock, before }
}

describe('a host that ends in the middle and is started again over the same data', () => {
  test.each(['WriteIntent', 'StopController', 'DeleteLock', 'PutBack', 'Conclude'])(
    'goes on with the unlock, from %s',
    async (state) => {
      const { unlock, before } = await endedAt(state)
      await locked.pass(minute)
      await locked.world.startHost()
      const { status, run } = await locked.ended(unlock)
      expect([status, run.outcome, run.why]).toEqual(['SUCCEEDED', 'unlocked', undefined])
      expect(locked.fields()).toEqual(before)
      await locked.until('Ready', () => locked.ready('vpc')?.status === 'True' || undefined)
    },
  )

  test('puts back at once what an unlock has left whose execution is lost', async () => {
    const { unlock, before } = await endedAt('StopController')
    rmSync(join(directory, 'executions'), { recursive: true })
    await locked.world.startHost()
    await locked.pass(6 * minute)
    expect(locked.fields()).toEqual(before)
    expect((await locked.run(unlock)).outcome).toBe('failed')
    const turn = await locked.read(() => locked.world.host.ledger.readUnlock('staging'))
    expect(turn?.intent).toBeUndefined()
  })
})
