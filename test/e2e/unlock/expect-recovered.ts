import { expect } from 'vitest'
import { conditionOf, reason } from '../../contracts/controller-driver.ts'
import { appliedAt, handled } from '../../contracts/tofu-driver.ts'
import type { Looks, UnlockWorld } from './unlock-world.ts'

/**
 * The object goes on as if there had been no lock: applied at the revision, with nothing left of its unlock, and the next
 * plan has nothing to do.
 */
export async function expectRecovered(world: UnlockWorld, revision: string, before: Looks): Promise<void> {
  const { driver, vpc } = world
  await driver.until(vpc, appliedAt(revision))
  const { standing, state, lock } = await world.looks()
  expect({ standing, lock }).toEqual({ standing: before.standing, lock: undefined })
  expect(state).toMatchObject({ lineage: before.state?.lineage, tainted: false })
  // A replacement writes the state once, at its end: nobody else has.
  expect(state?.serial).toBe((before.state?.serial ?? 0) + 1)
  const token = `check-${Date.now()}`
  await driver.request(vpc, token)
  // The run that was under way when it was asked for handles the token as well: one that has met it begins after that.
  const { object } = await driver.until(vpc, (each) => handled(token)(each) && reason(each) === 'NoDrift')
  expect(conditionOf(object, 'StateLocked')?.status ?? 'False').toBe('False')
  expect([object.status?.plan?.pending ?? '', object.status?.lock?.pending ?? '']).toEqual(['', ''])
  expect(await world.state()).toEqual(state)
}
