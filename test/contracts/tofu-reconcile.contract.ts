import { describe, expect } from 'vitest'
import { conditionOf, ready, reason } from './controller-driver.ts'
import { appliedAt, handled } from './tofu-driver.ts'
import { type SetupTofu, tofuTest } from './tofu-test.ts'

/** What a run of tofu-controller shows, step by step, and what starts one. */
export function tofuReconcileContract(name: string, setup: SetupTofu, { concurrent = false } = {}): void {
  const it = tofuTest(setup)

  describe(`tofu-controller's behaviour: ${name}`, { concurrent }, () => {
    it('a new artifact triggers the object without a token: Initializing, Terraform Planning, Applying, applied', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied()
      const seen = await driver.observe(fleet.vpc)
      const revision = await fleet.pushed()
      await driver.until(fleet.vpc, appliedAt(revision))
      const phases = seen
        .map(({ object }) => conditionOf(object, 'Ready'))
        .filter((condition) => condition?.reason === 'Progressing')
      const messages = [...new Set(phases.map((condition) => condition?.message))]
      expect(messages).toEqual(['Reconciliation in progress', 'Initializing', 'Terraform Planning', 'Applying'])
      expect(phases.every((condition) => condition?.status === 'Unknown')).toBe(true)
    })

    it('lastAppliedRevision comes first, then Ready=True', async ({ driver, fleet }) => {
      await fleet.applied()
      const seen = await driver.observe(fleet.vpc)
      const revision = await fleet.pushed()
      await driver.until(fleet.vpc, appliedAt(revision))
      const first = seen.find(({ object }) => object.status?.lastAppliedRevision === revision)
      expect(ready(first?.object)).toBe('Unknown')
    })

    it('what a run has found is written in two steps: conditions first, what belongs to them a moment later', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied()
      await driver.breakApply(fleet.vpc)
      const seen = await driver.observe(fleet.vpc)
      await fleet.pushed()
      const { at } = await driver.until(fleet.vpc, (one) => one.status?.reconciliationFailures === 1)
      const first = seen.find(({ object }) => reason(object) === 'TFExecApplyFailed')
      expect(first?.object.status?.reconciliationFailures ?? 0).toBe(0)
      expect(at - (first?.at ?? 0)).toBeLessThan(2_000)
    })

    it('the token is recorded about 5 s after Ready=True, when the runner pod is gone', async ({ driver, fleet }) => {
      const before = await fleet.applied()
      await driver.request(fleet.vpc, 't1')
      const done = await driver.until(fleet.vpc, (object) => reason(object) === 'NoDrift')
      expect(done.object.status?.lastHandledReconcileAt).not.toBe('t1')
      const recorded = await driver.until(fleet.vpc, handled('t1'))
      expect(recorded.at - done.at).toBeGreaterThan(4_000)
      expect(recorded.object.status?.lastAppliedRevision).toBe(before)
    })

    it('with alwaysCleanupRunnerPod false the token is recorded at once', async ({ driver, fleet }) => {
      await fleet.applied({ alwaysCleanupRunnerPod: false })
      await driver.request(fleet.vpc, 't1')
      const done = await driver.until(fleet.vpc, (object) => reason(object) === 'NoDrift')
      const recorded = await driver.until(fleet.vpc, handled('t1'))
      expect(recorded.at - done.at).toBeLessThan(2_000)
    })

    it('a plan without changes moves lastPlannedRevision and not lastAppliedRevision', async ({ driver, fleet }) => {
      const before = await fleet.applied()
      const revision = await driver.pushWithoutChanges()
      await driver.request(fleet.source, 't1')
      const { object } = await driver.until(fleet.vpc, (one) => one.status?.lastPlannedRevision === revision)
      expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'True', reason: 'TerraformPlannedNoChanges' })
      expect(object.status).toMatchObject({ lastAppliedRevision: before, lastAttemptedRevision: revision })
    })

    it('without approvePlan a plan waits: Ready Unknown, an id made from the revision, nothing applied', async ({
      driver,
      fleet,
    }) => {
      const before = await fleet.applied()
      await driver.apply(fleet.terraform('vpc', { approvePlan: '' }))
      await driver.until(fleet.vpc, (object) => object.status?.observedGeneration === object.metadata.generation)
      await driver.wait(6_000)
      const revision = await fleet.pushed()
      const id = `plan-main-${revision.slice('main@sha1:'.length, 'main@sha1:'.length + 10)}`
      const { object } = await driver.until(fleet.vpc, (one) => one.status?.plan?.pending === id)
      expect(conditionOf(object, 'Ready')).toMatchObject({
        status: 'Unknown',
        reason: 'TerraformPlannedWithChanges',
        message: `Plan generated: set approvePlan: "${id}" to approve this plan.`,
      })
      expect(object.status).toMatchObject({ lastAppliedRevision: before })
    })

    it('a plan that waits is not made again for a token, and is applied when its exact id is approved', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied()
      await driver.apply(fleet.terraform('vpc', { approvePlan: '' }))
      await driver.wait(10_000)
      const revision = await fleet.pushed()
      const { object } = await driver.until(fleet.vpc, (one) => (one.status?.plan?.pending ?? '') !== '')
      await driver.wait(6_000)
      const planned = object.status?.lastPlanAt
      await driver.request(fleet.vpc, 't1')
      const waiting = await driver.until(fleet.vpc, handled('t1'))
      expect(waiting.object.status?.lastPlanAt).toBe(planned)
      await driver.apply(fleet.terraform('vpc', { approvePlan: object.status?.plan.pending }))
      const done = await driver.until(fleet.vpc, appliedAt(revision))
      expect(done.object.status?.plan.pending ?? '').toBe('')
    })

    it('a new revision drops a plan that waits, and plans afresh', async ({ driver, fleet }) => {
      await fleet.applied()
      await driver.apply(fleet.terraform('vpc', { approvePlan: '' }))
      await driver.wait(10_000)
      await fleet.pushed()
      await driver.until(fleet.vpc, (one) => (one.status?.plan?.pending ?? '') !== '')
      await driver.wait(6_000)
      const revision = await fleet.pushed()
      const { object } = await driver.until(fleet.vpc, (one) => one.status?.lastPlannedRevision === revision)
      expect(object.status?.plan.pending).toContain(revision.slice('main@sha1:'.length, 'main@sha1:'.length + 10))
    })

    it('approvePlan disable looks for drift only: NoDrift, lastAttemptedRevision', async ({ driver, fleet }) => {
      const before = await fleet.applied()
      await driver.apply(fleet.terraform('vpc', { approvePlan: 'disable' }))
      await driver.until(fleet.vpc, (object) => object.status?.observedGeneration === object.metadata.generation)
      await driver.wait(6_000)
      const revision = await driver.pushWithoutChanges()
      await driver.request(fleet.source, 't1')
      const { object } = await driver.until(fleet.vpc, (one) => one.status?.lastAttemptedRevision === revision)
      expect(reason(object)).toBe('NoDrift')
      expect(object.status).toMatchObject({ lastAppliedRevision: before, lastPlannedRevision: before })
    })

    it('a settled object looks for drift when it is asked again', async ({ driver, fleet }) => {
      await fleet.applied()
      await driver.request(fleet.vpc, 't1')
      const { object } = await driver.until(fleet.vpc, handled('t1'))
      expect(reason(object)).toBe('NoDrift')
    })

    it('a suspended object records the token and does not run', async ({ driver, fleet }) => {
      const before = await fleet.applied()
      await driver.suspend(fleet.vpc, true)
      await fleet.pushed()
      await driver.request(fleet.vpc, 't1')
      const { object } = await driver.until(fleet.vpc, handled('t1'))
      expect(object.status).toMatchObject({ lastAppliedRevision: before, lastAttemptedRevision: before })
    })

    it('a suspended object that is Ready gets its observedGeneration bumped without a run', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied()
      await driver.suspend(fleet.vpc, true)
      const { object } = await driver.until(
        fleet.vpc,
        (one) => one.status?.observedGeneration === one.metadata.generation,
      )
      expect(ready(object)).toBe('True')
    })

    it('an unmet dependency is DependencyNotReady, and lastAttemptedRevision is the new revision already', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied()
      await driver.apply(fleet.terraform('db', { dependsOn: [{ name: 'vpc' }] }))
      await driver.until(fleet.db, (object) => ready(object) === 'True')
      await driver.wait(6_000)
      const revision = await fleet.pushed()
      await driver.until(fleet.db, (one) => reason(one) === 'DependencyNotReady')
      const { object } = await driver.until(fleet.db, (one) => one.status?.lastAttemptedRevision === revision, 1_000)
      expect(object.status?.lastAppliedRevision).not.toBe(revision)
    })

    it("an unmet dependency is looked at again after the dependent's retryInterval, 15 s by default", async ({
      driver,
      fleet,
    }) => {
      await fleet.applied()
      await driver.apply(fleet.terraform('db', { dependsOn: [{ name: 'vpc' }] }))
      await driver.until(fleet.db, (object) => ready(object) === 'True')
      await driver.wait(6_000)
      const revision = await fleet.pushed()
      const refused = await driver.until(fleet.db, (one) => reason(one) === 'DependencyNotReady')
      const vpcDone = await driver.until(fleet.vpc, appliedAt(revision))
      const dbStarts = await driver.until(fleet.db, (one) => reason(one) === 'Progressing')
      expect(vpcDone.at - refused.at).toBeLessThan(10_000)
      expect(dbStarts.at - refused.at).toBeGreaterThan(14_000)
      expect(dbStarts.at - refused.at).toBeLessThan(20_000)
    })

    it('a failed apply is TFExecApplyFailed, counted, and tried again after retryInterval + 5 s', async ({
      driver,
      fleet,
    }) => {
      await fleet.applied()
      await driver.breakApply(fleet.vpc)
      const revision = await fleet.pushed()
      const failed = await driver.until(fleet.vpc, (one) => one.status?.reconciliationFailures === 1)
      expect(conditionOf(failed.object, 'Ready')).toMatchObject({ status: 'False', reason: 'TFExecApplyFailed' })
      expect(failed.object.status).toMatchObject({ lastAttemptedRevision: revision })
      const again = await driver.until(fleet.vpc, (one) => reason(one) === 'Progressing')
      expect(again.at - failed.at).toBeGreaterThan(19_000)
      await driver.mend(fleet.vpc)
      await driver.until(fleet.vpc, appliedAt(revision))
    })

    it('spent retries stall the object, and a token does not free it', async ({ driver, fleet }) => {
      await fleet.applied({ ...fleet.brisk, remediation: { retries: 1 } })
      await driver.breakApply(fleet.vpc)
      await fleet.pushed()
      const { object } = await driver.until(fleet.vpc, (one) => conditionOf(one, 'Stalled')?.status === 'True')
      expect(conditionOf(object, 'Stalled')?.reason).toBe('RetryLimitReached')
      await driver.mend(fleet.vpc)
      await driver.request(fleet.vpc, 't1')
      await driver.until(fleet.vpc, handled('t1'))
      await driver.wait(driver.longWaitMs)
      expect(conditionOf(await driver.get(fleet.vpc), 'Stalled')?.status).toBe('True')
    })

    it('a new revision frees a stalled object', async ({ driver, fleet }) => {
      await fleet.applied({ ...fleet.brisk, remediation: { retries: 1 } })
      await driver.breakApply(fleet.vpc)
      await fleet.pushed()
      await driver.until(fleet.vpc, (one) => conditionOf(one, 'Stalled')?.status === 'True')
      await driver.mend(fleet.vpc)
      const revision = await fleet.pushed()
      await driver.until(fleet.vpc, appliedAt(revision))
    })
  })
}
