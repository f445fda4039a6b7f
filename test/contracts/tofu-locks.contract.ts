import { describe, expect } from 'vitest'
import { lockHeldMessage } from '../../infra/local/simulation/tofu/lock-record.ts'
import { conditionOf, ready, reason } from './controller-driver.ts'
import { appliedAt, handled, lockedBy } from './tofu-driver.ts'
import { type SetupTofu, tofuTest } from './tofu-test.ts'

/** The lock round plans and applies: its record, what an object shows that cannot have it, and forced unlocks. */
export function tofuLocksContract(name: string, setup: SetupTofu, { concurrent = false } = {}): void {
  const it = tofuTest(setup)

  describe(`tofu-controller and state locks: ${name}`, { concurrent }, () => {
    it('an apply holds the lock, with a record of who and since when, until its state is written', async ({
      driver,
      fleet,
    }) => {
      const { revision, lock } = await fleet.applying(3)
      const before = await driver.state(fleet.vpc)
      expect(lock).toMatchObject({ Operation: 'OperationTypeApply', Info: '', Path: '' })
      expect(lock.ID).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      expect(lock.Who).toMatch(/^[a-z]+@vpc-tf-runner$/)
      expect(lock.Created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z$/)
      expect(Math.abs(Date.parse(lock.Created) - driver.now())).toBeLessThan(30_000)
      await driver.until(fleet.vpc, appliedAt(revision))
      expect(await driver.lock(fleet.vpc)).toBeUndefined()
      const after = await driver.state(fleet.vpc)
      expect(after).toEqual({ lineage: before?.lineage, serial: expect.any(Number), tainted: false })
      expect(after?.serial).toBeGreaterThan(before?.serial ?? 0)
    })

    it('a settled object that meets a lock is DriftDetectionFailed, and says whose lock it is', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied(fleet.brisk)
      const lock = await driver.takeLock(fleet.vpc)
      await driver.request(fleet.vpc, 't1')
      const { object } = await driver.until(fleet.vpc, lockedBy(lock.ID))
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'False', reason: 'DriftDetectionFailed' })
      expect(conditionOf(object, 'Ready')?.message).toBe(
        `error running Plan: rpc error: code = Internal desc = ${lockHeldMessage(lock)}`,
      )
      expect(conditionOf(object, 'StateLocked')).toMatchObject({
        status: 'True',
        reason: 'LockHeld',
        message: `Terraform Locked with Lock Identifier: ${lock.ID}`,
      })
      expect(object.status).toMatchObject({ reconciliationFailures: 1 })
    })

    it('is tried again and again: Unknown "Initializing" in between, lock.lastApplied repeats, and nothing is unlocked', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied(fleet.brisk)
      const lock = await driver.takeLock(fleet.vpc)
      await driver.request(fleet.vpc, 't1')
      await driver.until(fleet.vpc, lockedBy(lock.ID))
      const seen = await driver.observe(fleet.vpc)
      const { object } = await driver.until(fleet.vpc, (one) => one.status?.lock?.lastApplied === lock.ID)
      expect(object.status).toMatchObject({ reconciliationFailures: 2, lock: { pending: lock.ID } })
      const between = seen.map((one) => conditionOf(one.object, 'Ready')).filter((one) => one?.status === 'Unknown')
      expect(between.map((one) => one?.message)).toContain('Initializing')
      expect(seen.every((one) => conditionOf(one.object, 'StateLocked')?.status === 'True')).toBe(true)
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
    })

    it('a new revision that meets a lock is TFExecPlanFailed', async ({ driver, fleet }) => {
      await fleet.applied(fleet.brisk)
      const lock = await driver.takeLock(fleet.vpc)
      const revision = await fleet.pushed()
      const { object } = await driver.until(fleet.vpc, lockedBy(lock.ID))
      expect(reason(object)).toBe('TFExecPlanFailed')
      expect(object.status?.lastAttemptedRevision).toBe(revision)
    })

    it('goes on by itself when the lock is free, and forgets it', async ({ driver, fleet }) => {
      await fleet.applied(fleet.brisk)
      const lock = await driver.takeLock(fleet.vpc)
      const revision = await fleet.pushed()
      await driver.until(fleet.vpc, lockedBy(lock.ID))
      await driver.breakLock(fleet.vpc)
      await driver.until(fleet.vpc, appliedAt(revision))
      const { object } = await driver.until(fleet.vpc, (one) => (one.status?.reconciliationFailures ?? 0) === 0, 1_000)
      expect(conditionOf(object, 'StateLocked')).toBeUndefined()
      expect(object.status?.lock ?? {}).toEqual({})
    })

    it('forceUnlock auto unlocks what is pending, whoever holds it', async ({ driver, fleet }) => {
      await fleet.applied(fleet.brisk)
      const lock = await driver.takeLock(fleet.vpc)
      const revision = await fleet.pushed()
      await driver.until(fleet.vpc, lockedBy(lock.ID))
      const seen = await driver.observe(fleet.vpc)
      await driver.apply(fleet.briskly({ tfstate: { forceUnlock: 'auto' } }))
      await driver.until(fleet.vpc, appliedAt(revision))
      const unlocked = seen.map((one) => one.object).find((one) => one.status?.lock?.lastApplied === lock.ID)
      expect(conditionOf(unlocked, 'StateLocked')).toMatchObject({
        status: 'False',
        reason: 'ForceUnlock',
        message: `Terraform Force Unlock with Lock Identifier: ${lock.ID}`,
      })
      expect(unlocked?.status?.lock).toEqual({ lastApplied: lock.ID })
      expect(await driver.lock(fleet.vpc)).toBeUndefined()
    })

    it('forceUnlock yes unlocks the lock that it names, and no other', async ({ driver, fleet }) => {
      await fleet.applied(fleet.brisk)
      const lock = await driver.takeLock(fleet.vpc)
      const revision = await fleet.pushed()
      await driver.until(fleet.vpc, lockedBy(lock.ID))
      const another = '11111111-2222-3333-4444-555555555555'
      await driver.apply(fleet.briskly({ tfstate: { forceUnlock: 'yes', lockIdentifier: another } }))
      await driver.until(fleet.vpc, (one) => one.status?.observedGeneration === one.metadata.generation)
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
      await driver.apply(fleet.briskly({ tfstate: { forceUnlock: 'yes', lockIdentifier: lock.ID } }))
      await driver.until(fleet.vpc, appliedAt(revision))
      expect(await driver.lock(fleet.vpc)).toBeUndefined()
    })

    it('forceUnlock auto on a lock that is free by now: Unknown "Initializing" for ever, until lock.pending is cleared', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied(fleet.brisk)
      const lock = await driver.takeLock(fleet.vpc)
      const revision = await fleet.pushed()
      await driver.until(fleet.vpc, lockedBy(lock.ID))
      await driver.suspend(fleet.vpc, true)
      await driver.breakLock(fleet.vpc)
      await driver.apply(fleet.briskly({ tfstate: { forceUnlock: 'auto' }, suspend: false }))
      await driver.until(fleet.vpc, (one) => conditionOf(one, 'Ready')?.message === 'Initializing')
      const { object, seen } = await fleet.afterLong()
      expect(seen.map((one) => ready(one.object)).filter((status) => status !== 'Unknown')).toEqual([])
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'Unknown', message: 'Initializing' })
      expect(lockedBy(lock.ID)(object ?? { metadata: { name: '' } })).toBe(true)
      expect(await driver.lock(fleet.vpc)).toBeUndefined()
      await driver.patchStatus(fleet.vpc, { lock: { pending: '' } })
      await driver.until(fleet.vpc, appliedAt(revision))
    })

    it('a lock that is broken in the middle of an apply: the state is written all the same, and the apply has failed', async ({
      driver,
      fleet,
    }) => {
      const { revision } = await fleet.applying(4)
      const before = await driver.state(fleet.vpc)
      await driver.breakLock(fleet.vpc)
      const { object } = await driver.until(fleet.vpc, (one) => one.status?.reconciliationFailures === 1)
      expect(reason(object)).toBe('TFExecApplyFailed')
      expect(conditionOf(object, 'StateLocked')).toBeUndefined()
      const after = await driver.state(fleet.vpc)
      expect(after?.serial).toBeGreaterThan(before?.serial ?? 0)
      expect(after?.tainted).toBe(false)
      const next = await driver.until(fleet.vpc, (one) => ready(one) === 'True')
      expect(reason(next.object)).toBe('NoDrift')
      expect(next.object.status?.lastAttemptedRevision).toBe(revision)
    })

    it('a lock that is met by init, where there is no state yet, is not unlocked by forceUnlock', async ({
      driver,
      fleet,
    }) => {
      await fleet.begin()
      const lock = await driver.takeLock(fleet.vpc)
      await driver.apply(fleet.briskly({ tfstate: { forceUnlock: 'auto' } }))
      const { object } = await driver.until(fleet.vpc, lockedBy(lock.ID))
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'False', reason: 'TFExecInitFailed' })
      const again = await driver.until(fleet.vpc, (one) => one.status?.reconciliationFailures === 2)
      expect(reason(again.object)).toBe('TFExecInitFailed')
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
    })

    it('a replan is a status patch and a token: a plan that waits is made afresh', async ({ driver, fleet }) => {
      await fleet.begin()
      await driver.apply(fleet.briskly({ approvePlan: '' }))
      await driver.until(fleet.vpc, (one) => (one.status?.plan?.pending ?? '') !== '')
      await driver.wait(6_000)
      const before = await driver.get(fleet.vpc)
      await driver.patchStatus(fleet.vpc, { plan: { pending: '' }, lastPlannedRevision: '', lastAttemptedRevision: '' })
      await driver.request(fleet.vpc, 't1')
      const { object } = await driver.until(fleet.vpc, handled('t1'))
      expect(object.status?.plan.pending).toBe(before?.status?.plan.pending)
      expect(object.status?.lastPlanAt).not.toBe(before?.status?.lastPlanAt)
    })
  })
}
