import { test } from 'vitest'
import { type TofuDriver, tofuFleet } from './tofu-driver.ts'

export type SetupTofu = () => Promise<TofuDriver>

/** A test with a driver of its own, and a fleet in its namespace. */
export function tofuTest(setup: SetupTofu) {
  return (
    test
      // vitest wants its context destructured.
      .extend('driver', async ({ task: _ }, { onCleanup }) => {
        const driver = await setup()
        onCleanup(() => driver.stop())
        return driver
      })
      .extend('fleet', ({ driver }) => tofuFleet(driver))
  )
}
