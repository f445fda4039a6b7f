/**
 * Plans that people approve, through Lockstep as it runs, on a real API server with tofu-controller and OpenTofu: what
 * people read is what OpenTofu wrote, and what is applied is what they agreed to.
 */
import { afterAll, beforeAll, describe, test } from 'vitest'
import { refKey } from '../../functions/lib/kubernetes/cluster.ts'
import type { RunningCluster } from './cluster/cluster.ts'
import { run, yaml } from './rollout/layered-fleet.ts'
import { RolloutWorld } from './rollout/rollout-world.ts'
import { conditionIn } from './rollout/timeline.ts'
import { clusterOfSuite } from './suite-cluster.ts'

let cluster: RunningCluster
beforeAll(async () => {
  cluster = await clusterOfSuite()
})
afterAll(() => cluster?.stop())

const it = test.extend('world', async ({ task: _ }, { onCleanup }) => {
  const world = await RolloutWorld.start(cluster)
  onCleanup(() => world.close())
  return world
})

/** A change of the network and of the database, and from now on people approve the plans of the database. */
function byHand({ fleet }: RolloutWorld, storeReadablePlan: 'json' | 'human', failing = false) {
  const manifest = JSON.parse(fleet.files['root/db.yaml'] ?? '')
  const { approvePlan: _, ...spec } = manifest.spec
  return {
    'root/db.yaml': yaml({ ...manifest, spec: { ...spec, storeReadablePlan } }),
    ...run('vpc', 1, 0),
    ...run('db', 1, 1, failing),
  }
}

const approvedMark = 'lockstep.dev/approved-plan'

describe.concurrent('a plan that people approve', () => {
  it.for(['json', 'human'] as const)(
    'is shown (%s), applied once they agree, and what comes after waits for that',
    async (how, { world, expect }) => {
      const { db, ingress } = world.fleet
      const pushed = await world.push(byHand(world, how))
      const asked = await world.lockstep.planAsked(pushed.id, refKey(db))
      expect(asked.plan).toBe(`plan-main-${pushed.after.slice(0, 10)}`)
      const page = await (await world.lockstep.page(asked, 'bob')).text()
      for (const text of [
        'terraform_data.this',
        '1 to add, 0 to change, 1 to destroy',
        'destroys or replaces 1 resource',
      ])
        expect(page).toContain(text)
      expect(world.startedAt(ingress, pushed)).toBeUndefined()

      expect((await world.lockstep.page(asked, 'bob', 'approve')).status).toBe(303)
      const rollout = await world.lockstep.ended(pushed.id)
      expect(rollout.status, [rollout.failure, ...rollout.notes].join('\n')).toBe('succeeded')
      expect(rollout.notes).toContain(`${refKey(db)}: bob approved ${asked.plan}.`)
      world.expectStrictOrder(pushed)
      expect(world.leftovers()).toEqual([])
      const { spec, metadata } = world.timeline.latest(db) ?? {}
      expect([spec?.approvePlan ?? '', metadata?.annotations?.[approvedMark]]).toEqual(['', undefined])
    },
  )

  it('is another one when it was made anew since: the link to the first is refused, and nothing of it is applied', async ({
    world,
    expect,
  }) => {
    const { db } = world.fleet
    const pushed = await world.push(byHand(world, 'json'))
    const first = await world.lockstep.planAsked(pushed.id, refKey(db))
    await world.patch(db, { spec: { parallelism: 5 } })
    const second = await world.lockstep.planAsked(pushed.id, refKey(db), first)
    expect(second.plan).toBe(first.plan)
    for (const decision of [undefined, 'approve'] as const)
      expect((await world.lockstep.page(first, 'bob', decision)).status).toBe(410)
    expect(world.timeline.of(db, pushed.version).some(({ object }) => object.spec?.approvePlan === first.plan)).toBe(
      false,
    )

    await world.lockstep.page(second, 'bob', 'approve')
    const rollout = await world.lockstep.ended(pushed.id)
    expect(rollout.status, [rollout.failure, ...rollout.notes].join('\n')).toBe('succeeded')
    const applies = world.timeline
      .of(db, pushed.version)
      .filter(({ object }) => conditionIn(object, 'Ready')?.message === 'Applying')
    expect(new Set(applies.map(({ object }) => object.spec?.approvePlan))).toEqual(new Set([second.plan]))
  })

  it('is approved for one apply: what is planned after it failed is asked about anew', async ({ world, expect }) => {
    const { db, ingress } = world.fleet
    const pushed = await world.push(byHand(world, 'json', true))
    const first = await world.lockstep.planAsked(pushed.id, refKey(db))
    await world.lockstep.page(first, 'bob', 'approve')
    const second = await world.lockstep.planAsked(pushed.id, refKey(db), first)
    expect(second.plan).toBe(first.plan)
    const applies = world.timeline.of(db, pushed.version).map(({ object }) => conditionIn(object, 'Apply')?.reason)
    const failures = applies.filter((reason, at) => reason === 'TerraformAppliedFail' && reason !== applies[at - 1])
    expect(failures).toHaveLength(1)
    expect(world.timeline.latest(db)?.spec?.approvePlan ?? '').toBe('')

    await world.lockstep.page(second, 'bob', 'deny')
    const held = await world.lockstep.until(pushed.id, ({ status }) => status === 'held')
    expect(held.notes.join('\n')).toContain(`bob denied ${second.plan}`)
    expect(world.timeline.latest(ingress)?.spec?.suspend).toBe(true)
  })
})
