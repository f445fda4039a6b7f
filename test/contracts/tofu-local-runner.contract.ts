import { describe, expect } from 'vitest'
import { conditionOf, reason } from './controller-driver.ts'
import { lockedBy } from './tofu-driver.ts'
import { type SetupTofu, tofuTest } from './tofu-test.ts'

/** A tofu-controller that runs tofu in its own process (INSECURE_LOCAL_RUNNER=1), which `setup` has to start so. */
export function tofuLocalRunnerContract(name: string, setup: SetupTofu): void {
  const it = tofuTest(setup)

  describe(`tofu-controller with a local runner: ${name}`, () => {
    it('killed: tofu dies with it and its lock is left; the successor applies the stored plan first', async ({
      driver,
      fleet,
    }) => {
      const { lock } = await fleet.applying(60)
      expect(lock.Who).not.toContain('tf-runner')
      expect(await driver.pod(fleet.vpc)).toBeUndefined()
      await driver.killManager({ connections: 'closed' })
      const { object } = await fleet.afterLong()
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'Unknown', message: 'Applying' })
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
      const seen = await driver.observe(fleet.vpc)
      await driver.startManager()
      const locked = await driver.until(fleet.vpc, lockedBy(lock.ID))
      expect(reason(locked.object)).toBe('TFExecApplyFailed')
      expect(seen.map((one) => conditionOf(one.object, 'Ready')?.message)).not.toContain('Terraform Planning')
    })
  })
}
