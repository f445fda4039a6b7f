import { describe, expect } from 'vitest'
import { lockHeldMessage } from '../../infra/local/simulation/tofu/lock-record.ts'
import { conditionOf, reason } from './controller-driver.ts'
import { appliedAt, handled, lockedBy } from './tofu-driver.ts'
import { type SetupTofu, tofuTest } from './tofu-test.ts'

/** What becomes of a run, and of its lock, when its runner dies in the middle of an apply. */
export function tofuRunnersContract(name: string, setup: SetupTofu, { concurrent = false } = {}): void {
  const it = tofuTest(setup)

  describe(`tofu-controller and runners that die: ${name}`, { concurrent }, () => {
    it('killed and restarted in the same pod (the loud ghost): the session is lost, the lock is left, and every retry meets it', async ({
      driver,
      fleet,
    }) => {
      const { lock, revision } = await fleet.applying(60)
      const before = await driver.pod(fleet.vpc)
      await driver.killRunner(fleet.vpc, 'restart')
      const { object } = await driver.until(fleet.vpc, (one) => one.status?.reconciliationFailures === 1)
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'False', reason: 'TFExecApplyFailed' })
      expect(conditionOf(object, 'Ready')?.message).toContain('terraform session error: instance id is empty')
      expect(conditionOf(object, 'Apply')).toMatchObject({ status: 'False', reason: 'TerraformAppliedFail' })
      expect(conditionOf(object, 'StateLocked')).toBeUndefined()
      expect(object.status).toMatchObject({ lastAttemptedRevision: revision })
      expect(object.status?.plan.pending ?? '').toBe('')
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
      // The pod's age would say that its lock is younger: only the container's start tells.
      const after = await driver.pod(fleet.vpc)
      if (after?.uid === before?.uid) expect(after).toMatchObject({ restarts: 1 })
      const held = await driver.until(fleet.vpc, lockedBy(lock.ID))
      expect(conditionOf(held.object, 'Ready')).toMatchObject({
        status: 'False',
        reason: 'DriftDetectionFailed',
        message: `error running Plan: rpc error: code = Internal desc = ${lockHeldMessage(lock)}`,
      })
      expect(conditionOf(held.object, 'Apply')?.reason).toBe('TerraformAppliedFail')
      await driver.until(fleet.vpc, (one) => one.status?.lock?.lastApplied === lock.ID)
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
    })

    it('killed, its pod Failed (the silent ghost): nothing in the API tells, and no token, commit or deleted pod changes it', async ({
      driver,
      fleet,
    }) => {
      const { lock } = await fleet.applying(60)
      await driver.killRunner(fleet.vpc, 'fail')
      expect(await driver.pod(fleet.vpc)).toMatchObject({ phase: 'Failed', ready: false })
      const before = await driver.get(fleet.vpc)
      await driver.request(fleet.vpc, 't1')
      await fleet.pushed()
      await driver.deleteRunner(fleet.vpc)
      const { object } = await fleet.afterLong()
      expect(await driver.pod(fleet.vpc)).toBeUndefined()
      expect(object?.status).toEqual(before?.status)
      expect(conditionOf(object, 'Ready')).toMatchObject({
        status: 'Unknown',
        reason: 'Progressing',
        message: 'Applying',
      })
      expect(conditionOf(object, 'Reconciling')?.status).toBe('True')
      expect(conditionOf(object, 'StateLocked')).toBeUndefined()
      expect(object?.status?.lock?.pending ?? '').toBe('')
      expect(object?.status?.lastHandledReconcileAt).not.toBe('t1')
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
    })

    it('force-deleted: the same silence, and no pod at all', async ({ driver, fleet }) => {
      const { lock } = await fleet.applying(60)
      await driver.forceDeleteRunner(fleet.vpc)
      const before = await driver.get(fleet.vpc)
      await driver.request(fleet.vpc, 't1')
      const { object } = await fleet.afterLong()
      expect(await driver.pod(fleet.vpc)).toBeUndefined()
      expect(object?.status).toEqual(before?.status)
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'Unknown', message: 'Applying' })
      expect(await driver.lock(fleet.vpc)).toEqual(lock)
    })

    it('deleted gracefully: tofu is interrupted, releases the lock, taints what it worked on, and the run is tried again', async ({
      driver,
      fleet,
    }) => {
      const { revision } = await fleet.applying(12, { runnerTerminationGracePeriodSeconds: 30 })
      const before = await driver.state(fleet.vpc)
      const failing = driver.until(fleet.vpc, (one) => reason(one) === 'TFExecApplyFailed')
      await driver.deleteRunner(fleet.vpc)
      await fleet.lockUntil((lock) => lock === undefined, 10_000)
      const { object } = await failing
      expect(conditionOf(object, 'StateLocked')).toBeUndefined()
      const after = await driver.state(fleet.vpc)
      expect(after?.tainted).toBe(true)
      expect(after?.serial).toBeGreaterThan(before?.serial ?? 0)
      await driver.until(fleet.vpc, appliedAt(revision))
      expect((await driver.state(fleet.vpc))?.tainted).toBe(false)
    })

    it('an idle runner does not end when it is told to: it takes its whole grace', async ({ driver, fleet }) => {
      await fleet.applied({ ...fleet.brisk, alwaysCleanupRunnerPod: false, runnerTerminationGracePeriodSeconds: 5 })
      expect(await driver.pod(fleet.vpc)).toMatchObject({ phase: 'Running', ready: true })
      await driver.deleteRunner(fleet.vpc)
      await driver.wait(3_500)
      expect(await driver.pod(fleet.vpc)).toMatchObject({ phase: 'Running', terminating: true })
      await driver.wait(4_000)
      expect(await driver.pod(fleet.vpc)).toBeUndefined()
    })

    it('a runner that gets no address: the token is recorded, nothing is counted, and only another token helps', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied(fleet.brisk)
      await driver.loseRunner(fleet.vpc)
      await driver.request(fleet.vpc, 't1')
      const { object } = await driver.until(fleet.vpc, handled('t1'), 180_000)
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'Unknown', message: 'Reconciliation in progress' })
      expect(object.status?.reconciliationFailures ?? 0).toBe(0)
      expect(await driver.pod(fleet.vpc)).toMatchObject({ phase: 'Pending' })
      const later = await fleet.afterLong()
      expect(conditionOf(later.object, 'Ready')).toEqual(conditionOf(object, 'Ready'))
      await driver.findRunner(fleet.vpc)
      await driver.request(fleet.vpc, 't2')
      await driver.until(fleet.vpc, (one) => reason(one) === 'NoDrift')
    })
  })
}
