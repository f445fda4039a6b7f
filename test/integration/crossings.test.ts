import { afterEach, describe, expect, test } from 'vitest'
import { branchOf } from '../../functions/lib/rollout/branch.ts'
import type { Rollout } from '../../functions/lib/rollout/rollout.ts'
import { simulatedKinds } from '../../infra/local/simulation/kinds.ts'
import {
  configMap,
  files,
  helmRelease,
  helmRepository,
  keys,
  kustomization,
  layered,
  roots,
  source,
  terraform,
} from './layered-fleet.ts'
import { World } from './world.ts'

let world: World
afterEach(() => world.close())

const objectOf = (rollout: Rollout, key: string) => rollout.objects.find((object) => object.key === key)
const later = (ms: number) => new Promise<void>((resolve) => void world.clock.after(ms, resolve))

describe('a person and a gate', () => {
  test('what a person resumed and suspends again later is theirs, not ours to open', async () => {
    world = await World.start(roots, files)
    world.simulation.faults.hang(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.until('database to run', () => world.runs().some(({ key }) => key === keys.db))
    world.edit(keys.app, ({ spec }) => {
      spec.suspend = false
    })
    await world.until('our mark to go', () => !world.object(keys.app).metadata.annotations?.['lockstep.dev/gate'])
    world.simulation.faults.release(keys.db)
    await world.ended(pushed)
    world.edit(keys.app, ({ spec }) => {
      spec.suspend = true
    })
    await world.push()
    expect(world.object(keys.app).spec.suspend).toBe(true)
  })
})

describe('a rollout that waits for its turn', () => {
  test('and is aborted meanwhile is not handed the claim and the gates', async () => {
    world = await World.start(roots, files)
    world.simulation.faults.hang(keys.vpc)
    const first = world.change()
    await world.deliver(first)
    await world.until('the gates', () => world.leftovers().length === 3)
    // The first one finds out about the second at its next look, two seconds later: the second is gone by then.
    world.cluster().api.faults.inject({ verb: 'PATCH' }, { do: 'hang' }, 1)
    const second = world.change()
    await world.deliver(second)
    const branch = branchOf((await world.rollout(first)).push)
    await world.until('the second to wait', async () => (await world.host.ledger.readClaim('staging', branch))?.next)
    world.host.interpreter.stop(world.executionArn(second))
    world.simulation.faults.release(keys.vpc)
    await world.ended(first)
    await later(5 * 60_000)
    expect(world.leftovers()).toEqual([])
    expect((await world.host.ledger.readClaim('staging', branch))?.holder).toBeUndefined()
  })
})

describe('a source', () => {
  test('that still serves what it served two pushes ago is not taken for newer', async () => {
    world = await World.start(roots, files)
    world.announce()
    const pushed = world.announce()
    await world.deliver(pushed)
    await world.reaches(pushed, 'Fetch')
    world.clock.after(10_000, () => world.land(pushed))
    const ended = await world.ended(pushed)
    expect(ended.rollout).toMatchObject({ outcome: 'succeeded', commit: pushed.after })
  })

  test('that moves on makes what was ready wait again, and what comes after it too', async () => {
    world = await World.start(roots, files, { deadlines: { layer: '10m' } })
    world.simulation.faults.hang(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.until('database to run', () => world.runs(pushed.after).some(({ key }) => key === keys.db))
    const next = world.change()
    world.simulation.faults.fail(keys.vpc, { reason: 'TFExecApplyFailed', message: 'no quota' })
    world.simulation.overwriteToken(keys.source, 'somebody else')
    await world.until('the source to move', () =>
      world.object(keys.source).status.artifact.revision.endsWith(next.after),
    )
    world.simulation.faults.release(keys.db)
    await world.reaches(pushed, 'WaitForRecovery')
    expect(objectOf(await world.rollout(pushed), keys.vpc)?.phase).toBe('failed')
    expect(world.runs(next.after).some(({ key }) => key === keys.app)).toBe(false)
    world.simulation.faults.clear(keys.vpc)
    expect((await world.ended(pushed)).rollout).toMatchObject({ outcome: 'succeeded', commit: next.after })
  })
})

test('what a layer applied is planned for even when another object of it takes longer than a slice', async () => {
  const aside = 'Kustomization/flux-system/aside'
  world = await World.start([...roots, kustomization('aside')], { ...files, 'aside/c.yaml': [configMap('aside')] })
  world.simulation.faults.delay(aside, 12 * 60_000)
  const cache = terraform('cache', { layer: 'database', spec: { dependsOn: [{ name: 'db' }] } })
  const ended = await world.push({ 'root/all.yaml': [helmRepository(), ...Object.values(layered), cache] })
  expect(ended.states).toContain('PlanAgain')
  expect(objectOf(ended.rollout, 'Terraform/flux-system/cache')?.phase).toBe('ready')
})

describe('a Kustomization that waits for the health of what it applies', () => {
  const waiting = (more: object = {}) => [source(), kustomization('root', { spec: { wait: true, ...more } })]

  test('has applied before its objects count as ready, and before what depends on them is opened', async () => {
    const manifests = (v: string) => ({
      'root/all.yaml': [
        helmRepository(),
        helmRelease('ingress', { spec: { values: { v } } }),
        kustomization('app', { annotations: { 'lockstep.dev/depends-on': keys.ingress } }),
      ],
      'app/config.yaml': [configMap('app', { v })],
    })
    world = await World.start(waiting(), manifests('1'))
    world.simulation.faults.delay(keys.root, 30_000)
    const from = world.clock.now()
    const ended = await world.push(manifests('2'))
    expect(ended.rollout.outcome).toBe('succeeded')
    const runs = world.simulation.reconciles.filter(({ startedAt }) => startedAt >= from)
    const upgraded = Math.max(
      ...runs.filter(({ key }) => key === keys.ingress).map(({ finishedAt }) => finishedAt ?? 0),
    )
    const app = Math.min(...runs.filter(({ key }) => key === keys.app).map(({ startedAt }) => startedAt))
    expect(app).toBeGreaterThanOrEqual(upgraded)
  })

  test('is passed only when its objects are, although Flux takes held ones that were Ready for healthy', async () => {
    const [first, slow, late] = [
      'Terraform/flux-system/first',
      'Terraform/flux-system/slow',
      'Kustomization/flux-system/late',
    ]
    const manifests = (v: string) => ({
      'root/all.yaml': [terraform('slow', { spec: { dependsOn: [{ name: 'first' }] } })],
      'late/config.yaml': [configMap('late', { v })],
    })
    const behind = kustomization('late', { spec: { dependsOn: [{ name: 'root' }] } })
    world = await World.start([...waiting(), terraform('first'), behind], manifests('1'))
    world.simulation.faults.delay(first, 60_000)
    world.simulation.faults.fail(slow, { reason: 'TFExecApplyFailed', message: 'no quota' })
    const pushed = world.change(manifests('2'))
    await world.deliver(pushed)
    await world.reaches(pushed, 'WaitForRecovery')
    const rollout = await world.rollout(pushed)
    expect([keys.root, slow, late].map((key) => objectOf(rollout, key)?.phase)).toEqual(['ready', 'failed', 'pending'])
    world.simulation.faults.clear(slow)
    expect((await world.ended(pushed)).rollout.outcome).toBe('succeeded')
  })

  test('is asked again when its check ran out while we held them, once they are ready', async () => {
    const impatient = waiting({ timeout: '1m', interval: '3h', retryInterval: '3h' })
    world = await World.start(impatient, { 'root/all.yaml': [layered.vpc, layered.db] })
    world.simulation.faults.delay(keys.vpc, 120_000)
    const ended = await world.push()
    expect(ended.rollout.outcome).toBe('succeeded')
    expect((ended.rollout.endedAt ?? 0) - ended.rollout.startedAt).toBeLessThan(10 * 60_000)
  })
})

test('a Stalled condition of an older revision does not fail the rollout that brings the cure', async () => {
  world = await World.start(roots, files)
  const condition = {
    status: 'False',
    reason: 'BuildFailed',
    message: 'old',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  }
  world.simulation.store.update(
    simulatedKinds.Kustomization,
    'flux-system',
    'app',
    ({ status }) => {
      status.conditions = [
        { ...condition, type: 'Stalled', status: 'True' },
        { ...condition, type: 'Ready' },
      ]
    },
    { manager: 'tests', subresource: 'status' },
  )
  expect((await world.push()).rollout.outcome).toBe('succeeded')
})

test('a mistake in the order stays one, and what it concerns is held and let go', async () => {
  world = await World.start(roots, files, { holdFor: '10m' })
  const bad = terraform('db', { layer: 'database', spec: { dependsOn: [{ name: 'nowhere' }] } })
  const born = terraform('born', { layer: 'database', spec: { dependsOn: [{ name: 'nowhere' }] } })
  const pushed = world.change({
    'root/all.yaml': [helmRepository(), layered.vpc, bad, born, layered.ingress, layered.app],
  })
  await world.deliver(pushed)
  await world.reaches(pushed, 'WaitForRecovery')
  expect(world.leftovers()).toEqual(['Terraform/flux-system/born', keys.db, keys.ingress, keys.app].sort())
  const ended = await world.ended(pushed)
  for (const key of [keys.db, 'Terraform/flux-system/born']) {
    expect(objectOf(ended.rollout, key)).toMatchObject({ reason: 'OrderInvalid' })
    expect(objectOf(ended.rollout, key)?.detail).toContain('nowhere')
  }
  expect(world.leftovers()).toEqual([])
})

test('two branches that share an object: the second rollout waits for the first to open it', async () => {
  const side = { ...source(), metadata: { ...source().metadata, name: 'side' } }
  side.spec = { ...side.spec, ref: { branch: 'side' } } as typeof side.spec
  const shared = { layer: 'apps', spec: { sourceRef: { kind: 'GitRepository', name: 'side' } } }
  world = await World.start(
    [...roots, side],
    {
      'root/all.yaml': [helmRepository(), layered.vpc, layered.db, layered.ingress, kustomization('app', shared)],
      'app/config.yaml': [configMap('app')],
    },
    { branches: ['main', 'side'] },
  )
  world.simulation.faults.hang(keys.db)
  const first = world.change()
  await world.deliver(first)
  await world.until('database to run', () => world.runs(first.after).some(({ key }) => key === keys.db))
  const other = world.announce()
  world.land(other, {}, [], 'side')
  await world.deliver(other, 'side')
  await world.reaches(other, 'WaitForLayer')
  await later(30_000)
  expect(world.state(other)).toBe('WaitForLayer')
  world.simulation.faults.release(keys.db)
  expect((await world.ended(first)).rollout.outcome).toBe('succeeded')
  expect((await world.ended(other)).rollout.outcome).toBe('succeeded')
  expect(world.leftovers()).toEqual([])
})

test('one object that refuses to be opened does not keep the others closed, nor the claim', async () => {
  world = await World.start(roots, files)
  world.simulation.faults.hang(keys.vpc)
  const pushed = world.change()
  await world.deliver(pushed)
  await world.until('the gates', () => world.leftovers().length === 3)
  await world.until('vpc to run', () => world.runs().some(({ key }) => key === keys.vpc))
  world.cluster().api.faults.inject({ verb: 'PATCH', name: 'app' }, { do: 'answer', status: 403 }, 100)
  world.host.interpreter.stop(world.executionArn(pushed))
  await world.until('the others', () => world.leftovers().length === 1)
  expect(world.leftovers()).toEqual([keys.app])
  await world.until(
    'the claim',
    async () => !(await world.host.ledger.listClaims('staging')).some(({ holder }) => holder),
  )
  // The next push takes over what was left.
  world.cluster().api.faults.clear()
  world.simulation.faults.release(keys.vpc)
  expect((await world.push()).rollout.outcome).toBe('succeeded')
  expect(world.leftovers()).toEqual([])
})
