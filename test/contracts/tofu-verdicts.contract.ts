import { describe, expect } from 'vitest'
import type { Observation } from '../../functions/lib/locks/scan/observation.ts'
import { LeaseLockStore } from '../../functions/lib/locks/stores/lease-lock-store.ts'
import { renderLockRecord } from '../../infra/local/simulation/tofu/lock-record.ts'
import { LockWatch } from './lock-watch.ts'
import { appliedAt, lockedBy, type TofuDriver } from './tofu-driver.ts'
import { type SetupTofu, tofuTest } from './tofu-test.ts'

const verdictsOf = (seen: readonly (Observation | undefined)[]) => [
  ...new Set(seen.map((one) => one?.judgement.verdict)),
]

/**
 * Other tests leave runners of the same name without an object behind, side by side: for as long as one is there, a lock
 * may be its.
 */
const beyondSuspect = (seen: readonly (Observation | undefined)[]) =>
  verdictsOf(seen).filter((verdict) => verdict !== 'live' && verdict !== 'suspect')

function watched(setup: SetupTofu) {
  return tofuTest(setup).extend('watch', ({ driver }: { driver: TofuDriver }) => new LockWatch(driver))
}

/** What Lockstep thinks of a lock whose runner works, or dies in the middle of an apply. */
export function tofuVerdictsContract(name: string, setup: SetupTofu, { concurrent = false } = {}): void {
  const it = watched(setup)

  describe(`verdicts on locks of runners: ${name}`, { concurrent }, () => {
    it('a slow apply is live, however much older it gets than locks usually do', async ({ driver, fleet, watch }) => {
      const { lock, revision } = await fleet.applying(40)
      expect(beyondSuspect(await watch.overTime(fleet.vpc))).toEqual([])
      const last = await watch.until(fleet.vpc, 'live')
      expect(last.judgement).toMatchObject({ rule: 'holder-runs' })
      expect(last.judgement.scene).toBeUndefined()
      expect(last.evidence).toMatchObject({
        lock: { record: { id: lock.ID, operation: 'OperationTypeApply', host: 'vpc-tf-runner' } },
        holder: { runner: 'vpc-tf-runner' },
      })
      const leases = await new LeaseLockStore(driver.lockstep).list()
      const own = leases.find(({ holderIdentity }) => holderIdentity === lock.ID)
      expect(own?.record.raw).toBe(renderLockRecord(lock))
      await driver.until(fleet.vpc, appliedAt(revision))
      expect(await watch.until(fleet.vpc, 'free')).toMatchObject({ offences: [] })
      const told = watch.told(fleet.vpc)
      expect([told[0], told.at(-1)]).toEqual(['live', 'free'])
      expect(told).not.toContain('stale')
    })

    it('a runner that was killed and restarted in its pod leaves a loud ghost, which is stale', async ({
      driver,
      fleet,
      watch,
    }) => {
      const { lock } = await fleet.applying(60)
      await watch.scan(fleet.vpc)
      await driver.killRunner(fleet.vpc, 'restart')
      await driver.until(fleet.vpc, lockedBy(lock.ID))
      const { judgement, evidence } = await watch.until(fleet.vpc, 'stale')
      expect(judgement).toMatchObject({ rule: 'holder-dead', scene: 'loud ghost' })
      expect(evidence.lock.record?.id).toBe(lock.ID)
    })

    it('the same without anybody having looked before it died', async ({ driver, fleet, watch }) => {
      const { lock } = await fleet.applying(60)
      // A container's times are whole seconds: one that is started in the second of the lock may be the holder.
      await driver.wait(2_000)
      await driver.killRunner(fleet.vpc, 'restart')
      await driver.until(fleet.vpc, lockedBy(lock.ID))
      expect((await watch.until(fleet.vpc, 'stale')).judgement).toMatchObject({ scene: 'loud ghost' })
    })

    it.for([
      ['failed', (driver, ref) => driver.killRunner(ref, 'fail')],
      ['was deleted by force', (driver, ref) => driver.forceDeleteRunner(ref)],
    ] as [string, (driver: TofuDriver, ref: Parameters<TofuDriver['pod']>[0]) => Promise<void>][])(
      'a runner whose pod %s leaves a silent ghost, which is stale',
      async ([, end], { driver, fleet, watch }) => {
        const { lock } = await fleet.applying(60)
        await watch.scan(fleet.vpc)
        await end(driver, fleet.vpc)
        const { judgement, evidence } = await watch.until(fleet.vpc, 'stale')
        expect(judgement).toMatchObject({ rule: 'holder-dead', scene: 'silent ghost' })
        expect(evidence.lock.record?.id).toBe(lock.ID)
        expect(evidence.object.reading).toMatchObject({ value: { stateLocked: false, message: 'Applying' } })
        const told = watch.told(fleet.vpc)
        expect([told[0], told.at(-1)]).toEqual(['live', 'stale'])
      },
    )

    it('a runner that was deleted gracefully leaves nothing behind', async ({ driver, fleet, watch }) => {
      await fleet.applying(12, { runnerTerminationGracePeriodSeconds: 30 })
      await watch.scan(fleet.vpc)
      await driver.deleteRunner(fleet.vpc)
      await fleet.lockUntil((lock) => lock === undefined)
      expect(await watch.until(fleet.vpc, 'free')).toMatchObject({ offences: [] })
    })

    it("a laptop's lock is live, then suspect, and never more", async ({ driver, fleet, watch }) => {
      await fleet.applied()
      await driver.takeLock(fleet.vpc)
      const seen = await watch.overTime(fleet.vpc)
      expect(verdictsOf(seen)).toEqual(['live', 'suspect'])
      expect(seen.at(-1)?.judgement.rule).toBe('not-a-runner')
      await driver.breakLock(fleet.vpc)
    })
  })
}

/** The same where the controller ends. One test at a time: there is one controller in a cluster. */
export function tofuManagerVerdictsContract(name: string, setup: SetupTofu): void {
  const it = watched(setup)

  describe(`verdicts on locks while tofu-controller ends: ${name}`, () => {
    it('killed, and its runner works on without it: a live orphan, which is live', async ({ driver, fleet, watch }) => {
      await fleet.applying(60)
      await driver.killManager({ connections: 'black-holed' })
      expect(beyondSuspect(await watch.overTime(fleet.vpc))).toEqual([])
      const { judgement } = await watch.until(fleet.vpc, 'live')
      expect(judgement).toMatchObject({ rule: 'holder-runs', scene: 'live orphan' })
      await driver.startManager()
    })

    it('killed, and its runner hears of it: nothing is left behind', async ({ driver, fleet, watch }) => {
      await fleet.applying(12)
      await watch.scan(fleet.vpc)
      await driver.killManager({ connections: 'closed' })
      await fleet.lockUntil((lock) => lock === undefined)
      await watch.until(fleet.vpc, 'free')
      await driver.startManager()
    })

    it('scaled to 0 behind a silent ghost: it is stale, and stays so', async ({ driver, fleet, watch }) => {
      const { lock } = await fleet.applying(60)
      await driver.killRunner(fleet.vpc, 'fail')
      await driver.scale(0)
      const { evidence } = await watch.until(fleet.vpc, 'stale')
      expect(evidence.lock.record?.id).toBe(lock.ID)
      await driver.scale(1)
    })
  })
}

/** And where tofu runs in the controller's own process: its holder is no runner pod, and at most suspect. */
export function tofuLocalRunnerVerdictsContract(name: string, setup: SetupTofu): void {
  const it = watched(setup)

  describe(`verdicts on locks of a local runner: ${name}`, () => {
    it('killed with its controller: suspect, and no more', async ({ driver, fleet, watch }) => {
      await fleet.applying(60)
      await watch.scan(fleet.vpc)
      await driver.killManager({ connections: 'closed' })
      const seen = await watch.overTime(fleet.vpc)
      expect(verdictsOf(seen)).toEqual(['live', 'suspect'])
      await driver.startManager()
    })
  })
}
