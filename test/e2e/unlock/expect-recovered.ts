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
  const { object } = await planWithoutChanges(world)
  expect(conditionOf(object, 'StateLocked')?.status ?? 'False').toBe('False')
  expect([object.status?.plan?.pending ?? '', object.status?.lock?.pending ?? '']).toEqual(['', ''])
  expect(await world.state()).toEqual(state)
}

/** A plan that was asked for and finds nothing to do. A run that is under way handles the token as well: then it is asked again. */
async function planWithoutChanges({ driver, vpc }: UnlockWorld) {
  for (let tries = 0; ; tries++) {
    const token = `check-${Date.now()}`
    await driver.request(vpc, token)
    const seen = await driver.until(vpc, handled(token))
    const found = reason(seen.object)
    if (found === 'NoDrift' || found === 'TerraformPlannedNoChanges') return seen
    if (tries === 10) throw new Error(`The plan after the unlock ends as ${found}.`)
  }
}
