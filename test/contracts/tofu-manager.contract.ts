import { describe, expect } from 'vitest'
import { conditionOf, ready, reason, type Sighting } from './controller-driver.ts'
import { appliedAt, lockedBy } from './tofu-driver.ts'
import { type SetupTofu, tofuTest } from './tofu-test.ts'

/**
 * What becomes of runs, runners and locks when the controller itself ends. One test at a time: there is one controller
 * in a cluster.
 */
export function tofuManagerContract(name: string, setup: SetupTofu): void {
  const it = tofuTest(setup)

  describe(`tofu-controller that ends: ${name}`, () => {
    it('restarted: no healthy object is reconciled', async ({ driver, fleet }) => {
      await fleet.applied()
      const seen = await driver.observe(fleet.vpc)
      await driver.killManager({ connections: 'closed' })
      await driver.startManager()
      await driver.wait(driver.longWaitMs)
      expect(seen.filter(({ object }) => ready(object) !== 'True')).toEqual([])
    })

    it('killed: tofu is interrupted and the lock released; its successor applies the stored plan, which is stale, and plans afresh', async ({
      driver,
      fleet,
    }) => {
      const { revision } = await fleet.applying(12)
      const before = { state: await driver.state(fleet.vpc), pod: await driver.pod(fleet.vpc) }
      await driver.killManager({ connections: 'closed' })
      await fleet.lockUntil((lock) => lock === undefined, 10_000)
      const state = await driver.state(fleet.vpc)
      expect(state?.tainted).toBe(true)
      expect(state?.serial).toBeGreaterThan(before.state?.serial ?? 0)
      const { object } = await fleet.afterLong()
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'Unknown', message: 'Applying' })
      expect(object?.status?.plan.pending).toMatch(/^plan-main-/)
      expect(await driver.pod(fleet.vpc)).toMatchObject({ uid: before.pod?.uid, phase: 'Running', ready: true })
      const seen = await driver.observe(fleet.vpc)
      await driver.startManager()
      const failed = await driver.until(fleet.vpc, (one) => reason(one) === 'TFExecApplyFailed')
      expect(conditionOf(failed.object, 'Ready')?.message).toContain('Saved plan is stale')
      expect(messages(seen)).not.toContain('Terraform Planning')
      await driver.until(fleet.vpc, appliedAt(revision))
      expect(messages(seen)).toContain('Terraform Planning')
    })

    it('killed with its connections black-holed (the live orphan): tofu goes on and holds the lock, until a successor deletes the runner', async ({
      driver,
      fleet,
    }) => {
      const { lock } = await fleet.applying(driver.longWaitMs / 1_000 + 60)
      const before = await driver.get(fleet.vpc)
      await driver.killManager({ connections: 'black-holed' })
      const { object } = await fleet.afterLong()
      expect(object?.status).toEqual(before?.status)
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'Unknown', message: 'Applying' })
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
      const pod = await driver.pod(fleet.vpc)
      expect(pod).toMatchObject({ phase: 'Running', ready: true, restarts: 0, terminating: false })
      expect(pod?.startedAt).toBeLessThan(Date.parse(lock.Created))
      await driver.startManager()
      await fleet.lockUntil((held) => held?.ID !== lock.ID, 20_000)
      expect((await driver.state(fleet.vpc))?.tainted).toBe(true)
    })

    it('killed with its connections black-holed, tofu ends its apply by itself, and nobody is told', async ({
      driver,
      fleet,
    }) => {
      const { revision } = await fleet.applying(6)
      const before = await driver.state(fleet.vpc)
      await driver.killManager({ connections: 'black-holed' })
      await fleet.lockUntil((lock) => lock === undefined)
      const state = await driver.state(fleet.vpc)
      expect(state?.serial).toBeGreaterThan(before?.serial ?? 0)
      expect(state?.tainted).toBe(false)
      expect(conditionOf(await driver.get(fleet.vpc), 'Ready')?.message).toBe('Applying')
      await driver.startManager()
      // The stored plan is stale, and then there is nothing left to do.
      const { object } = await driver.until(fleet.vpc, (one) => reason(one) === 'NoDrift')
      expect(object.status).toMatchObject({ lastPlannedRevision: revision, lastAttemptedRevision: revision })
      expect(object.status?.lastAppliedRevision).not.toBe(revision)
    })

    it('scaled to 0 while nothing hangs: it waits for the run, and its runner pods are tidied up', async ({
      driver,
      fleet,
    }) => {
      const { revision } = await fleet.applying(2)
      await driver.scale(0)
      await driver.until(fleet.vpc, appliedAt(revision))
      await gone(driver)
      expect(await driver.lock(fleet.vpc)).toBeUndefined()
      await driver.scale(1)
    })

    it('scaled to 0 for longer than it waits: tofu is interrupted, and the runner stays, idle', async ({
      driver,
      fleet,
    }) => {
      const { lock } = await fleet.applying(60)
      const scaledAt = driver.now()
      await driver.scale(0)
      await fleet.lockUntil((held) => held === undefined, driver.gracefulShutdownMs + 20_000)
      expect(driver.now() - scaledAt).toBeGreaterThan(driver.gracefulShutdownMs - 1_000)
      await gone(driver)
      expect((await driver.state(fleet.vpc))?.tainted).toBe(true)
      expect(conditionOf(await driver.get(fleet.vpc), 'Ready')).toMatchObject({
        status: 'Unknown',
        message: 'Applying',
      })
      expect(await driver.pod(fleet.vpc)).toMatchObject({ phase: 'Running', ready: true })
      await driver.scale(1)
      const { object } = await driver.until(fleet.vpc, (one) => reason(one) === 'TFExecApplyFailed')
      expect(conditionOf(object, 'Ready')?.message).toContain('Saved plan is stale')
      expect(object.status?.lock?.pending ?? '').not.toBe(lock.ID)
    })

    it('a silent ghost takes the whole shutdown, and is loud under a successor: the stored plan meets the lock', async ({
      driver,
      fleet,
    }) => {
      const { lock } = await fleet.applying(60)
      await driver.killRunner(fleet.vpc, 'fail')
      const scaledAt = driver.now()
      await driver.scale(0)
      await gone(driver)
      expect(driver.now() - scaledAt).toBeGreaterThan(driver.gracefulShutdownMs - 1_000)
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
      await driver.scale(1)
      const { object } = await driver.until(fleet.vpc, lockedBy(lock.ID))
      expect(reason(object)).toBe('TFExecApplyFailed')
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
    })

    it('after a lock was broken a successor applies the stored plan without a fresh one', async ({ driver, fleet }) => {
      const { revision } = await fleet.applying(5)
      await driver.killRunner(fleet.vpc, 'fail')
      await driver.killManager({ connections: 'closed' })
      await driver.breakLock(fleet.vpc)
      const seen = await driver.observe(fleet.vpc)
      await driver.startManager()
      await driver.until(fleet.vpc, appliedAt(revision))
      expect(messages(seen)).not.toContain('Terraform Planning')
    })
  })
}

function messages(seen: readonly Sighting[]): (string | undefined)[] {
  return seen.map(({ object }) => conditionOf(object, 'Ready')?.message)
}

/** Waits until no pod of the controller is left. */
async function gone(driver: { managers(): Promise<number>; wait(ms: number): Promise<void>; now(): number }) {
  const deadline = driver.now() + 60_000
  while ((await driver.managers()) > 0) {
    if (driver.now() > deadline) throw new Error('the controller is still there')
    await driver.wait(100)
  }
}
