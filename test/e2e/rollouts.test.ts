import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ObjectRef } from '../../functions/lib/kubernetes/cluster.ts'
import type { RolloutView } from '../../infra/local/views/rollout-view.ts'
import type { RunningCluster } from './cluster/cluster.ts'
import { run, yaml } from './rollout/layered-fleet.ts'
import { RolloutWorld } from './rollout/rollout-world.ts'
import { conditionIn, isReadyAt } from './rollout/timeline.ts'
import { clusterOfSuite } from './suite-cluster.ts'

let cluster: RunningCluster
beforeAll(async () => {
  cluster = await clusterOfSuite()
})
afterAll(() => cluster?.stop())

/** A world of its own for each test (what asks for `task` is made anew), so that they run side by side. */
const it = test.extend('world', async ({ task: _ }, { onCleanup }) => {
  const world = await RolloutWorld.start(cluster)
  onCleanup(() => world.close())
  return world
})

/** Says what the rollout itself says where that is not how it ended. */
function expectOutcome({ status, failure, notes }: RolloutView, wanted: RolloutView['status']): void {
  expect(status, [failure, ...notes].join('\n')).toBe(wanted)
}

/** New content for all four layers; the applies take these seconds. */
const change = (number: number, seconds = 1) => ({
  ...run('vpc', number, seconds),
  ...run('db', number, seconds),
  'charts/ingress/templates/config.yaml': yaml({
    ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ingress' }, data: { version: `${number}` } },
  }),
})

// Side by side, and with time for machines that have other work as well.
describe.concurrent('a push to a real cluster', () => {
  it('goes through five layers in strict order, and leaves nothing suspended', async ({ world, expect }) => {
    const { pushed, rollout } = await world.pushToTheEnd(change(1, 2))
    expectOutcome(rollout, 'succeeded')
    expect(rollout.commit).toBe(pushed.after)
    expect(rollout.layers.map(({ name }) => name)).toEqual(['layer 1', 'network', 'database', 'addons', 'apps'])
    world.expectStrictOrder(pushed)
    expect(world.leftovers()).toEqual([])
  })

  it('that changes nothing in a layer goes through all of them', async ({ world, expect }) => {
    const { pushed, rollout } = await world.pushToTheEnd({ 'notes.txt': 'nothing that OpenTofu reads' })
    expectOutcome(rollout, 'succeeded')
    expect(isReadyAt(world.timeline.latest(world.fleet.app) ?? never(), pushed.after)).toBe(true)
    const vpc = world.timeline.latest(world.fleet.vpc)
    expect(conditionIn(vpc ?? never(), 'Ready')?.reason).toBe('TerraformPlannedNoChanges')
    expect(world.leftovers()).toEqual([])
  })

  it('waits for an object that is born during the rollout, and names it', async ({ world, expect }) => {
    const cache: ObjectRef = { kind: 'Terraform', namespace: world.namespace, name: 'cache' }
    const manifest = JSON.parse(
      (world.fleet.files['root/db.yaml'] ?? '').replaceAll('"db"', '"cache"').replaceAll('./db', './cache'),
    )
    const { pushed, rollout } = await world.pushToTheEnd({
      ...change(1),
      ...run('cache', 1, 1),
      'root/cache.yaml': yaml(manifest),
      'cache/main.tf': world.fleet.files['db/main.tf'] ?? '',
    })
    expectOutcome(rollout, 'succeeded')
    expect(rollout.notes.join('\n')).toContain(`Terraform/${world.namespace}/cache`)
    const born = world.readyAt(cache, pushed)?.version
    expect(born).toBeDefined()
    expect(world.startedAt(world.fleet.ingress, pushed)?.version).toBeGreaterThan(born ?? Number.POSITIVE_INFINITY)
    world.expectStrictOrder(pushed)
  })

  it('is superseded by a newer push in the middle, whose rollout takes its gates over', async ({ world, expect }) => {
    const { app, db, ingress } = world.fleet
    const first = await world.push(change(1, 4))
    await world.timeline.until('the database at work', () => world.startedAt(db, first))
    const second = await world.push(change(2))
    expectOutcome(await world.lockstep.ended(first.id), 'superseded')
    expectOutcome(await world.lockstep.ended(second.id), 'succeeded')
    for (const ref of [ingress, app]) {
      expect(world.readyAt(ref, first), `${ref.name} at the first push`).toBeUndefined()
    }
    world.expectStrictOrder({ ...second, version: first.version }, [db, ingress, app].slice(1))
    expect(world.leftovers()).toEqual([])
  })

  it('is held behind an apply that fails, and goes on when it recovers', async ({ world, expect }) => {
    const { vpc, db } = world.fleet
    const pushed = await world.push({ ...change(1), ...run('vpc', 1, 0, true) })
    await world.lockstep.until(pushed.id, ({ status }) => status === 'held')
    expect(world.timeline.latest(db)?.spec?.suspend).toBe(true)
    expect(world.startedAt(db, pushed)).toBeUndefined()
    // Mended by the commit that follows: it takes the held gates over.
    const mending = await world.push(run('vpc', 2, 0))
    expectOutcome(await world.lockstep.ended(mending.id), 'succeeded')
    expectOutcome(await world.lockstep.ended(pushed.id), 'superseded')
    expect(world.readyAt(vpc, mending)).toBeDefined()
    world.expectStrictOrder(mending, [vpc, db])
    expect(world.leftovers()).toEqual([])
  })

  it('leaves alone what a person suspends in the middle', async ({ world, expect }) => {
    const { app, db } = world.fleet
    const pushed = await world.push(change(1, 3))
    await world.timeline.until('the database at work', () => world.startedAt(db, pushed))
    // Out of the gate, and shut again by hand: what is suspended now is not ours.
    await world.patch(app, { spec: { suspend: true }, metadata: { annotations: { 'lockstep.dev/gate': null } } })
    const rollout = await world.lockstep.ended(pushed.id)
    expect(rollout.notes.join('\n')).toContain(`Kustomization/${world.namespace}/app`)
    expect(world.timeline.latest(app)?.spec?.suspend).toBe(true)
    expect(world.readyAt(app, pushed)).toBeUndefined()
  })

  it('goes on without an object that a person deletes in the middle', async ({ world, expect }) => {
    const { app, db, ingress } = world.fleet
    const pushed = await world.push(change(1, 3))
    await world.timeline.until('the database at work', () => world.startedAt(db, pushed))
    await world.delete(ingress)
    const rollout = await world.lockstep.ended(pushed.id)
    expectOutcome(rollout, 'succeeded')
    expect(rollout.notes.join('\n')).toContain(`HelmRelease/${world.namespace}/ingress`)
    expect(world.readyAt(app, pushed)).toBeDefined()
    expect(world.leftovers()).toEqual([])
  })

  it('survives Lockstep being killed and started again at each of its steps', async ({ world, expect }) => {
    const steps = ['Claim', 'Plan', 'Gate', 'Fetch', 'OpenLayer', 'WaitForLayer', 'PlanAgain', 'Report', 'Release']
    const killed: string[] = []
    const pushed = await world.push(change(1))
    for (;;) {
      const step = await stepOrEnd(world, pushed.id, (state) => steps.includes(state) && !killed.includes(state))
      if (step === undefined) break
      killed.push(step)
      await world.lockstep.kill()
      await world.lockstep.start()
    }
    expectOutcome(await world.lockstep.ended(pushed.id), 'succeeded')
    // What is over within milliseconds may be missed; these are not.
    for (const step of ['Fetch', 'WaitForLayer', 'OpenLayer']) expect(killed).toContain(step)
    expect(killed.length).toBeGreaterThanOrEqual(6)
    world.expectStrictOrder(pushed)
    expect(world.leftovers()).toEqual([])
  })
})

describe('an API server that is away for a minute', () => {
  let world: RolloutWorld
  beforeEach(async () => {
    world = await RolloutWorld.start(cluster)
  })
  afterEach(() => world.close())

  test('delays the rollout, and does not fail it', async () => {
    const { db } = world.fleet
    const pushed = await world.push(change(1, 2))
    await world.timeline.until('the database at work', () => world.startedAt(db, pushed))
    await cluster.stopProcess('kube-apiserver')
    await pause(60_000)
    await cluster.startProcess('kube-apiserver')
    expectOutcome(await world.lockstep.ended(pushed.id), 'succeeded')
    world.expectStrictOrder(pushed)
    expect(world.leftovers()).toEqual([])
  })
})

function never(): never {
  throw new Error('there is no such object')
}

/** The first state of the rollout's execution that satisfies `wanted`, as soon as it is entered; undefined at the end. */
async function stepOrEnd(
  { lockstep }: RolloutWorld,
  id: string,
  wanted: (state: string) => boolean,
): Promise<string | undefined> {
  for (;;) {
    const states = statesIn(lockstep.executions, id)
    const current = states.at(-1)
    if (current === undefined) await pause(5)
    else if (current === 'Outcome' || current === 'Done') return undefined
    else if (wanted(current)) return current
    else await pause(5)
  }
}

/** The states that an execution has entered so far, from the file that it is kept in. */
function statesIn(directory: string, id: string): string[] {
  for (const file of readdirSync(directory)) {
    if (!file.endsWith('.ndjson')) continue
    const text = readFileSync(join(directory, file), 'utf8')
    if (!text.includes(`:rollout:${id}"`)) continue
    const entered = text.matchAll(/"stateEnteredEventDetails":\{"name":"(\w+)"/g)
    return [...entered].flatMap(([, name]) => name ?? [])
  }
  return []
}
