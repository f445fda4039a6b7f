import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { describe, expect } from 'vitest'
import { parseWorkload } from '../../functions/lib/flux/workload.ts'
import { getIfThere } from '../../functions/lib/kubernetes/get-if-there.ts'
import { approvePlan, handBackApproval } from '../../functions/lib/plans/approve-plan.ts'
import { readStoredPlan } from '../../functions/lib/plans/stored-plan.ts'
import { planApprovalOf } from '../fixtures/plan-approvals.ts'
import { conditionOf, type DrivenObject, reason } from './controller-driver.ts'
import { appliedAt, handled, type TofuDriver, type TofuFleet } from './tofu-driver.ts'
import { type SetupTofu, tofuTest } from './tofu-test.ts'

const label = 'infra.contrib.fluxcd.io'

/** A plan of the object as it is waits for a person. */
const waits = ({ status, metadata }: DrivenObject) =>
  (status?.plan?.pending ?? '') !== '' && status?.lastPlannedGeneration === metadata.generation

/** How tofu-controller keeps plans that wait for people, and when it makes them anew: read, and approved, as Lockstep does it. */
export function tofuPlansContract(name: string, setup: SetupTofu, { concurrent = false } = {}): void {
  const it = tofuTest(setup).extend('plans', ({ driver, fleet }) => new Plans(driver, fleet))

  describe(`tofu-controller's plans: ${name}`, { concurrent }, () => {
    it('a plan is kept in a Secret of the object, with its id and the hash of the plan file', async ({
      fleet,
      plans,
    }) => {
      await fleet.begin()
      const object = await plans.waiting()
      const { metadata, data, type } = await plans.stored('Secret')
      const content = gunzipSync(Buffer.from(data.tfplan, 'base64'))
      expect(type).toBe('Opaque')
      expect(metadata).toMatchObject({
        annotations: {
          encoding: 'gzip',
          savedPlan: object.status?.plan.pending,
          [`${label}/plan-hash`]: createHash('sha256').update(content).digest('hex'),
          [`${label}/plan-full-name`]: 'vpc',
          [`${label}/plan-full-workspace`]: 'default',
        },
        labels: { [`${label}/plan-name`]: 'vpc', [`${label}/plan-workspace`]: 'default' },
        ownerReferences: [{ apiVersion: `${label}/v1alpha2`, kind: 'Terraform', name: 'vpc' }],
      })
      expect((await plans.read(object)).shown.missing).toContain('spec.storeReadablePlan')
      expect(await plans.find('Secret', '.json')).toBeUndefined()
      expect(await plans.find('ConfigMap')).toBeUndefined()
    })

    it.for(['json', 'human'] as const)(
      'a plan in %s tells what is created, replaced, and destroyed',
      async (how, { driver, fleet, plans }) => {
        const shown = async (object: DrivenObject) => {
          const { counts, changes, destroysAll, missing, cut } = (await plans.read(object)).shown
          expect([missing, cut]).toEqual([undefined, false])
          return { counts, changes: changes.map(({ address, action }) => `${action} ${address}`), destroysAll }
        }
        const revision = await fleet.begin()
        const created = await plans.waiting({ storeReadablePlan: how })
        expect(await shown(created)).toEqual({
          ...{ counts: { add: 1, change: 0, destroy: 0 }, changes: ['create terraform_data.main'], destroysAll: false },
        })
        const readable = await (how === 'json' ? plans.stored('Secret', '.json') : plans.stored('ConfigMap'))
        expect(readable.metadata.annotations).toMatchObject({
          savedPlan: created.status?.plan.pending,
          [`${label}/plan-hash`]: expect.stringMatching(/^[\da-f]{64}$/),
          [`${label}/plan-full-name`]: how === 'json' ? 'vpc.json' : 'vpc',
        })
        expect(readable.metadata.annotations.encoding).toBe(how === 'json' ? 'gzip' : undefined)

        await plans.approve(created)
        await driver.until(fleet.vpc, appliedAt(revision))
        await driver.wait(6_000)
        await fleet.pushed()
        const { object: replaced } = await driver.until(fleet.vpc, waits)
        expect(await shown(replaced)).toEqual({
          ...{
            counts: { add: 1, change: 0, destroy: 1 },
            changes: ['replace terraform_data.main'],
            destroysAll: false,
          },
        })

        const destroyed = await plans.waiting({ storeReadablePlan: how, destroy: true })
        expect(await shown(destroyed)).toEqual({
          ...{ counts: { add: 0, change: 0, destroy: 1 }, changes: ['delete terraform_data.main'], destroysAll: true },
        })
      },
    )

    it('a destroy plan that is approved destroys, and the status goes on saying so', async ({
      driver,
      fleet,
      plans,
    }) => {
      await fleet.applied()
      const object = await plans.waiting({ destroy: true })
      expect(object.status?.plan).toMatchObject({ isDestroyPlan: true })
      await plans.approve(object)
      const done = await driver.until(fleet.vpc, (one) => conditionOf(one, 'Ready')?.status === 'True' && !waits(one))
      expect(conditionOf(done.object, 'Ready')?.message).toContain('Destroy applied successfully')
      expect(done.object.status?.plan).toEqual({ isDestroyPlan: true, lastApplied: object.status?.plan.pending })
    })

    it('every change of the spec has the same commit planned anew: the same id, and another plan', async ({
      fleet,
      plans,
    }) => {
      await fleet.begin()
      const first = await plans.waiting({ storeReadablePlan: 'json' })
      const before = await plans.read(first)
      const second = await plans.waiting({ storeReadablePlan: 'json', parallelism: 5 })
      const after = await plans.read(second)
      expect(second.status?.plan.pending).toBe(first.status?.plan.pending)
      expect(after.fingerprint).not.toBe(before.fingerprint)
      expect(after.shown).toEqual(before.shown)
    })

    it('an id that is not that of the plan approves nothing: the commit is planned anew, and waits', async ({
      driver,
      fleet,
      plans,
    }) => {
      await fleet.begin()
      const before = await plans.read(await plans.waiting())
      const unapplied = await driver.state(fleet.vpc)
      const after = await plans.waiting({ approvePlan: 'plan-main-0123456789' })
      expect((await plans.read(after)).fingerprint).not.toBe(before.fingerprint)
      await driver.wait(driver.longWaitMs)
      expect(reason(await driver.get(fleet.vpc))).toBe('TerraformPlannedWithChanges')
      expect((await driver.state(fleet.vpc))?.serial).toBe(unapplied?.serial)
    })

    it('the beginning of its id approves nothing, and has every run plan anew', async ({ driver, fleet, plans }) => {
      await fleet.begin()
      const { plan } = (await plans.waiting()).status ?? {}
      const unapplied = await driver.state(fleet.vpc)
      const first = await plans.read(await plans.waiting({ approvePlan: plan.pending.slice(0, -1) }))
      await driver.wait(6_000)
      await driver.request(fleet.vpc, 't1')
      const { object } = await driver.until(fleet.vpc, handled('t1'))
      expect((await plans.read(object)).fingerprint).not.toBe(first.fingerprint)
      expect([reason(object), object.status?.plan.pending]).toEqual(['TerraformPlannedWithChanges', plan.pending])
      expect((await driver.state(fleet.vpc))?.serial).toBe(unapplied?.serial)
    })

    it('a readable plan that is not asked for any more stays, of the same id', async ({ fleet, plans }) => {
      await fleet.begin()
      await plans.waiting({ storeReadablePlan: 'json' })
      const before = await plans.stored('Secret', '.json')
      const object = await plans.waiting({ storeReadablePlan: 'human' })
      expect(before.metadata.annotations.savedPlan).toBe(object.status?.plan.pending)
      expect(await plans.stored('Secret', '.json')).toEqual(before)
      expect((await plans.read(object)).shown.text).toContain('terraform_data.main will be created')
    })

    it('an approved plan is made once more before it is applied, and taking the approval back leaves no plan', async ({
      driver,
      fleet,
      plans,
    }) => {
      const revision = await fleet.begin()
      const object = await plans.waiting()
      const before = await plans.stored('Secret')
      expect(await plans.approve(object)).toBe('approved')
      await driver.until(fleet.vpc, appliedAt(revision))
      const after = await plans.stored('Secret')
      expect(after.metadata.annotations.savedPlan).toBe(before.metadata.annotations.savedPlan)
      expect(after.metadata.annotations[`${label}/plan-hash`]).not.toBe(
        before.metadata.annotations[`${label}/plan-hash`],
      )
      await driver.wait(6_000)
      await handBackApproval(driver.lockstep, plans.key)
      const settled = await driver.until(fleet.vpc, (one) => reason(one) === 'TerraformPlannedNoChanges')
      expect(settled.object.spec.approvePlan ?? '').toBe('')
      expect(settled.object.status?.plan.pending ?? '').toBe('')
    })

    it('a plan that was made anew after it was read is not approved', async ({ driver, fleet, plans }) => {
      await fleet.begin()
      const object = await plans.waiting({ storeReadablePlan: 'json' })
      const { fingerprint } = await plans.read(object)
      const unapplied = await driver.state(fleet.vpc)
      await plans.waiting({ storeReadablePlan: 'json', parallelism: 5 })
      expect(await plans.approve(object, fingerprint)).toBe('changed')
      await driver.wait(driver.longWaitMs)
      expect((await driver.state(fleet.vpc))?.serial).toBe(unapplied?.serial)
    })
  })
}

interface Stored {
  readonly type?: string
  readonly metadata: { readonly namespace: string; readonly annotations: Readonly<Record<string, string>> }
  readonly data: { readonly tfplan: string }
}

/** The plans of vpc. */
class Plans {
  readonly key: string
  private readonly driver: TofuDriver
  private readonly fleet: TofuFleet

  constructor(driver: TofuDriver, fleet: TofuFleet) {
    this.driver = driver
    this.fleet = fleet
    this.key = `Terraform/${driver.namespace}/vpc`
  }

  /** The object as soon as a plan of it waits. */
  async waiting(spec: object = {}): Promise<DrivenObject> {
    await this.driver.apply(this.fleet.briskly({ approvePlan: '', ...spec }))
    return (await this.driver.until(this.fleet.vpc, waits)).object
  }

  read(object: DrivenObject) {
    return readStoredPlan(parseWorkload('Terraform', object), this.driver.lockstep)
  }

  /** As Lockstep, once people have agreed to it. Without a fingerprint to what is there now. */
  async approve(object: DrivenObject, fingerprint?: string) {
    const { uid, pendingPlan: plan = '' } = parseWorkload('Terraform', object)
    const judged = fingerprint ?? (await this.read(object)).fingerprint
    const approval = planApprovalOf({ object: this.key, uid, plan, judged })
    return approvePlan(approval, this.driver.lockstep, async () => {})
  }

  async stored(kind: 'Secret' | 'ConfigMap', suffix = ''): Promise<Stored> {
    const found = await this.find(kind, suffix)
    if (found === undefined) throw new Error(`there is no ${kind} tfplan-default-vpc${suffix}`)
    return found as Stored
  }

  async find(kind: 'Secret' | 'ConfigMap', suffix = ''): Promise<unknown> {
    const { driver } = this
    return getIfThere(driver.lockstep, { kind, namespace: driver.namespace, name: `tfplan-default-vpc${suffix}` })
  }
}
