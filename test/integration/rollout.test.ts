import { afterEach, describe, expect, test } from 'vitest'
import { requestRelease } from '../../functions/lib/rollout/request-release.ts'
import { configMap, files, helmRepository, keys, kustomization, layered, roots, terraform } from './layered-fleet.ts'
import { type Ended, World, type WorldOptions } from './world.ts'

let world: World

const start = async (options: WorldOptions = {}) => {
  world = await World.start(roots, files, options)
  return world
}

afterEach(() => world.close())

const phases = ({ rollout }: Ended) => Object.fromEntries(rollout.objects.map(({ key, phase }) => [key, phase]))
const order = [keys.root, keys.vpc, keys.db, keys.ingress, keys.app]

/** Asserts on what the controllers did, not on what Lockstep says: no run began before those before it were over. */
function expectStrictOrder(sequence: readonly string[], commit = world.commit) {
  let over = 0
  for (const key of sequence) {
    // A HelmRelease's revision is its chart version: it is found by time alone.
    const runs = world.simulation.reconciles.filter(
      (run) =>
        run.key === key && (key.startsWith('HelmRelease') ? run.startedAt >= over : run.revision.endsWith(commit)),
    )
    expect(runs.length, `runs of ${key}`).toBeGreaterThan(0)
    expect(runs[0]?.startedAt, `start of ${key}`).toBeGreaterThanOrEqual(over)
    over = Math.max(...runs.filter(({ outcome }) => outcome === 'succeeded').map(({ finishedAt }) => finishedAt ?? 0))
  }
}

describe('a push', () => {
  test('is rolled out layer after layer, and leaves nothing suspended', async () => {
    await start()
    const ended = await world.push({ 'app/config.yaml': [configMap('app', { version: '2' })] })
    expect(ended).toMatchObject({ status: 'SUCCEEDED', rollout: { outcome: 'succeeded', commit: world.commit } })
    expect(phases(ended)).toEqual(Object.fromEntries(order.map((key) => [key, 'ready'])))
    expect(ended.rollout.layers.map(({ name }) => name)).toEqual(['layer 1', 'network', 'database', 'addons', 'apps'])
    expectStrictOrder(order)
    expect(world.leftovers()).toEqual([])
  })

  test('goes through the states that a person expects', async () => {
    await start()
    const ended = await world.push()
    const layer = ['OpenLayer', 'WaitForLayer', 'ChooseNext']
    expect(ended.states).toEqual([
      ...['Claim', 'Plan', 'Gate', 'Fetch'],
      ...[...layer, 'PlanAgain', ...layer, ...layer, ...layer, ...layer],
      ...['Report', 'Release', 'Outcome', 'Done'],
    ])
  })

  test('costs two patches an object, and a LIST and a WATCH per kind and slice', async () => {
    await start()
    world.cluster().api.resetCounters()
    await world.push()
    const requests = world.cluster().api.requests()
    const total = (verb: string) => Object.values(requests[verb] ?? {}).reduce((sum, count) => sum + count, 0)
    // Five objects, of which the first is not held and starts with the artifact; one for the source.
    expect(total('PATCH')).toBeLessThanOrEqual(2 * 5 + 1)
    expect(total('GET')).toBe(0)
    // Five waits and the fetch; plan, gate, plan again and release list once more.
    expect(requests.WATCH?.Terraform).toBe(5)
    expect(requests.LIST?.Terraform).toBe(5 + 4)
  })

  test('that was delivered twice is rolled out once', async () => {
    await start()
    const pushed = world.change()
    expect(await world.deliver(pushed)).toBe(202)
    // Step Functions answers the same start of an open execution as a success, and of a closed one as an error.
    expect(await world.deliver(pushed)).toBe(202)
    await world.ended(pushed)
    expect(await world.deliver(pushed)).toBe(200)
    expect(world.host.interpreter.list({ machine: 'rollout' })).toHaveLength(1)
  })

  test('does not start a second run of what the artifact has started', async () => {
    await start()
    await world.push()
    expect(world.runs().filter(({ key }) => key === keys.vpc)).toHaveLength(1)
    expect(world.runs().filter(({ key }) => key === keys.root)).toHaveLength(1)
  })
})

describe('the push changes what there is to order', () => {
  test('objects that it creates are ordered from then on, and named', async () => {
    await start()
    const cache = terraform('cache', { layer: 'database', spec: { dependsOn: [{ name: 'db' }] } })
    const ended = await world.push({ 'root/all.yaml': [helmRepository(), ...Object.values(layered), cache] })
    expect(ended.status).toBe('SUCCEEDED')
    expect(phases(ended)['Terraform/flux-system/cache']).toBe('ready')
    expect(ended.rollout.notes.join()).toContain('Terraform/flux-system/cache was created during the rollout')
    expectStrictOrder([keys.root, keys.vpc, keys.db, keys.ingress, keys.app])
    expect(world.leftovers()).toEqual([])
  })

  test('a Kustomization that applies its first objects of ours is followed by a new plan', async () => {
    world = await World.start(roots, { 'root/all.yaml': [configMap('nothing')], 'app/config.yaml': [configMap('app')] })
    const ended = await world.push({ 'root/all.yaml': [helmRepository(), ...Object.values(layered)] })
    expect(ended.status).toBe('SUCCEEDED')
    expect(ended.states).toContain('PlanAgain')
    expect(phases(ended)).toEqual(Object.fromEntries(order.map((key) => [key, 'ready'])))
    expect(world.leftovers()).toEqual([])
  })

  test('objects that it deletes leave the rollout', async () => {
    await start()
    const { db: _, ...rest } = layered
    const ended = await world.push({ 'root/all.yaml': [helmRepository(), ...Object.values(rest)] })
    expect(ended.status).toBe('SUCCEEDED')
    expect(Object.keys(phases(ended))).not.toContain(keys.db)
    expect(ended.rollout.notes.join()).toContain(`${keys.db} was deleted`)
  })

  test('an object whose manifest owns spec.suspend is named, not passed over', async () => {
    await start()
    const owned = terraform('owned', { layer: 'apps', spec: { suspend: false } })
    const manifests = { 'root/all.yaml': [helmRepository(), ...Object.values(layered), owned] }
    await world.push(manifests)
    const ended = await world.push({ 'app/config.yaml': [configMap('app', { version: '3' })] })
    expect(ended.status).toBe('SUCCEEDED')
    expect(ended.rollout.notes.join()).toContain('Terraform/flux-system/owned has spec.suspend in its manifest')
  })
})

describe('the newest push wins', () => {
  test('a newer push stops the running rollout and takes over its gates', async () => {
    await start()
    world.simulation.faults.hang(keys.db)
    const first = world.change()
    await world.deliver(first)
    await world.until('database to run', () => world.runs().some(({ key }) => key === keys.db))
    const second = world.change()
    await world.deliver(second)
    world.simulation.faults.release(keys.db)
    const [older, newer] = [await world.ended(first), await world.ended(second)]
    expect(older.rollout.outcome).toBe('superseded')
    expect(newer.rollout).toMatchObject({ outcome: 'succeeded', commit: second.after })
    expectStrictOrder(order, second.after)
    expect(world.leftovers()).toEqual([])
  })

  test('gates are handed over closed: what was held is not opened in between', async () => {
    await start()
    world.simulation.faults.hang(keys.vpc)
    const first = world.change()
    await world.deliver(first)
    await world.reaches(first, 'WaitForLayer')
    await world.until('the gates', () => world.leftovers().includes(keys.app))
    let opened = false
    world.simulation.store.subscribe(
      { group: 'kustomize.toolkit.fluxcd.io', version: 'v1', kind: 'Kustomization', plural: 'kustomizations' },
      ({ object }) => {
        if (object.metadata.name === 'app' && !object.spec?.suspend && world.state(second) !== 'Done') opened = true
        if (world.runs(second.after).some(({ key }) => key === keys.ingress)) opened = false
      },
    )
    const second = world.change()
    await world.deliver(second)
    await world.reaches(second, 'Fetch')
    expect(opened).toBe(false)
    world.simulation.faults.release(keys.vpc)
    expect((await world.ended(second)).rollout.outcome).toBe('succeeded')
  })

  test('an older push that arrives late is superseded', async () => {
    await start()
    const older = world.change()
    const newer = world.change()
    await world.deliver(newer)
    await world.ended(newer)
    await world.deliver(older)
    const late = await world.ended(older)
    expect(late).toMatchObject({ status: 'SUCCEEDED', rollout: { outcome: 'superseded' } })
    expect(late.states).toEqual(['Claim', 'Superseded'])
  })

  test('a source that moves on in the middle, ahead of its webhook, is followed', async () => {
    await start()
    world.simulation.faults.hang(keys.vpc)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.until('vpc to run', () => world.runs(pushed.after).some(({ key }) => key === keys.vpc))
    const next = world.change()
    world.simulation.overwriteToken(keys.source, 'somebody else')
    await world.until('the source to move', () =>
      world.object(keys.source).status.artifact.revision.endsWith(next.after),
    )
    world.simulation.faults.release(keys.vpc)
    const ended = await world.ended(pushed)
    expect(ended.rollout).toMatchObject({ outcome: 'succeeded', commit: next.after })
    expect(ended.rollout.notes.join()).toContain('The source moved on to')
    await world.deliver(next)
    expect((await world.ended(next)).rollout.outcome).toBe('succeeded')
    expect(world.leftovers()).toEqual([])
  })

  test('a push whose source serves a newer commit already goes on with that, and says so', async () => {
    await start()
    const pushed = world.change()
    const webhookOnItsWay = world.change()
    await world.deliver(pushed)
    const ended = await world.ended(pushed)
    expect(ended.rollout).toMatchObject({ outcome: 'succeeded', commit: webhookOnItsWay.after })
    expect(ended.rollout.notes.join()).toContain('which is newer than the pushed')
  })
})

describe('a failed layer', () => {
  const independent = {
    ...files,
    'root/all.yaml': [...files['root/all.yaml'], kustomization('aside')],
    'aside/c.yaml': [configMap('aside')],
  }

  test('holds what is downstream and lets independent branches finish', async () => {
    world = await World.start(roots, independent)
    world.simulation.faults.fail(keys.db, { reason: 'TFExecApplyFailed', message: 'no quota' })
    const pushed = world.change()
    await world.deliver(pushed)
    await world.reaches(pushed, 'WaitForRecovery')
    const rollout = await world.rollout(pushed)
    const phase = (key: string) => rollout.objects.find((object) => object.key === key)?.phase
    expect(phase(keys.db)).toBe('failed')
    expect(phase('Kustomization/flux-system/aside')).toBe('ready')
    expect(world.leftovers()).toEqual([keys.app, keys.ingress].sort())
    expect(world.runs().some(({ key }) => key === keys.app)).toBe(false)
  })

  test('recovers, and the rollout goes on', async () => {
    await start()
    world.simulation.faults.fail(keys.db, { reason: 'TFExecApplyFailed', message: 'no quota' })
    const pushed = world.change()
    await world.deliver(pushed)
    await world.reaches(pushed, 'WaitForRecovery')
    world.simulation.faults.clear(keys.db)
    const ended = await world.ended(pushed)
    expect(ended).toMatchObject({ status: 'SUCCEEDED', rollout: { outcome: 'succeeded' } })
    expectStrictOrder(order)
    expect(world.leftovers()).toEqual([])
  })

  test('is cured by a newer push, which takes the gates over', async () => {
    await start()
    world.simulation.faults.fail(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.reaches(pushed, 'WaitForRecovery')
    world.simulation.faults.clear(keys.db)
    const cure = await world.push()
    expect((await world.ended(pushed)).rollout.outcome).toMatch(/superseded|succeeded/)
    expect(cure.rollout.outcome).toBe('succeeded')
    expect(world.leftovers()).toEqual([])
  })

  test('keeps its gates until a person releases them', async () => {
    await start({ deadlines: { layer: '5m' } })
    world.simulation.faults.hang(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.reaches(pushed, 'WaitForRecovery')
    const resume = (key: string) =>
      world.edit(key, ({ spec }) => {
        spec.suspend = false
      })
    resume(keys.ingress)
    await world.until('what was resumed to be ready', async () =>
      (await world.rollout(pushed)).objects.some(({ key, phase }) => key === keys.ingress && phase === 'ready'),
    )
    // Only that one was let go.
    expect(world.object(keys.app).spec.suspend).toBe(true)
    expect(world.runs().some(({ key }) => key === keys.app)).toBe(false)
    resume(keys.app)
    const ended = await world.ended(pushed)
    expect(ended).toMatchObject({ status: 'FAILED', rollout: { outcome: 'failed' } })
    expect(ended.rollout.notes.join()).toContain(`${keys.app} was released by a person`)
    expect(world.leftovers()).toEqual([])
  })

  test('opens all gates when a person asks for that', async () => {
    await start()
    world.simulation.faults.fail(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.reaches(pushed, 'WaitForRecovery')
    await requestRelease(await world.rollout(pushed), 'ana', { ledger: world.host.ledger, clock: world.clock })
    const ended = await world.ended(pushed)
    expect(ended).toMatchObject({ status: 'SUCCEEDED', rollout: { outcome: 'released' } })
    expect(world.leftovers()).toEqual([])
    await world.until('the app to run', () => world.runs().some(({ key }) => key === keys.app))
  })

  test('opens its gates and tells a person when holdFor runs out', async () => {
    await start({ deadlines: { layer: '5m' }, holdFor: '30m' })
    world.simulation.faults.fail(keys.db, { reason: 'TFExecApplyFailed', message: 'no quota' })
    const pushed = world.change()
    const before = world.clock.now()
    await world.deliver(pushed)
    const ended = await world.ended(pushed)
    expect(world.clock.now() - before).toBeGreaterThan(30 * 60_000)
    expect(ended).toMatchObject({ status: 'FAILED', error: 'RolloutFailed', rollout: { outcome: 'failed' } })
    expect(ended.rollout.failure).toContain(`Gates were held for 30 minutes behind ${keys.db}`)
    expect(world.leftovers()).toEqual([])
  })

  test('is one that has not come to an end by its deadline', async () => {
    await start({ deadlines: { layer: '10m', layers: { database: '20m' } }, holdFor: '1h' })
    world.simulation.faults.hang(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.reaches(pushed, 'WaitForRecovery')
    const { objects, layers } = await world.rollout(pushed)
    const db = objects.find(({ key }) => key === keys.db)
    expect(db).toMatchObject({ phase: 'failed', reason: 'DeadlineExceeded' })
    const took = (db?.settledAt ?? 0) - (layers.find(({ name }) => name === 'database')?.openedAt ?? 0)
    expect(took).toBeGreaterThanOrEqual(20 * 60_000)
    expect(took).toBeLessThan(21 * 60_000)
  })
})

describe('a person', () => {
  test('who has suspended an object finds it suspended, and the rest of it held', async () => {
    await start({ holdFor: '10m' })
    world.edit(keys.db, ({ spec }) => {
      spec.suspend = true
    })
    const ended = await world.push()
    expect(ended.rollout.outcome).toBe('failed')
    expect(ended.rollout.notes.join()).toContain(`${keys.db} was suspended by a person`)
    expect(world.leftovers()).toEqual([keys.db])
    expect(world.runs().some(({ key }) => key === keys.db)).toBe(false)
  })

  test('who suspends an object in the middle stops what depends on it, until it is resumed', async () => {
    await start()
    world.simulation.faults.hang(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.until('database to run', () => world.runs().some(({ key }) => key === keys.db))
    world.edit(keys.db, ({ spec }) => {
      spec.suspend = true
    })
    await world.reaches(pushed, 'WaitForRecovery')
    world.simulation.faults.release(keys.db)
    world.edit(keys.db, ({ spec }) => {
      spec.suspend = false
    })
    expect((await world.ended(pushed)).rollout.outcome).toBe('succeeded')
    expectStrictOrder([keys.root, keys.vpc, keys.db, keys.ingress, keys.app])
  })

  test('who deletes an object in the middle is named; what does not need it goes on', async () => {
    await start({ holdFor: '5m' })
    world.simulation.faults.hang(keys.ingress)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.until('the release to run', () =>
      world.simulation.reconciles.some(({ key, outcome }) => key === keys.ingress && !outcome),
    )
    world.remove(keys.ingress)
    const ended = await world.ended(pushed)
    expect(ended.rollout.notes.join()).toContain(`${keys.ingress} was deleted`)
    expect(phases(ended)[keys.app]).toBe('ready')
    expect(world.leftovers()).toEqual([])
  })
})

describe('advisory ordering', () => {
  test('suspends nothing', async () => {
    await start({ ordering: 'advisory' })
    let suspended = false
    for (const kind of ['kustomizations', 'terraforms'] as const) {
      const group = kind === 'terraforms' ? 'infra.contrib.fluxcd.io' : 'kustomize.toolkit.fluxcd.io'
      const version = kind === 'terraforms' ? 'v1alpha2' : 'v1'
      world.simulation.store.subscribe({ group, version, plural: kind, kind: '' }, ({ object }) => {
        suspended ||= object.spec?.suspend === true
      })
    }
    expect((await world.push()).rollout.outcome).toBe('succeeded')
    expect(suspended).toBe(false)
  })
})
