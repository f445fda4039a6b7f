import { afterEach, expect, it } from 'vitest'
import { builtinResources } from '../../infra/local/kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { LockViews } from '../../infra/local/views/lock-view.ts'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { World } from './world.ts'

const { gitRepository, terraform } = fleetObjects('flux-system')
const minute = 60_000
const url = 'https://github.com/my-org/fleet-infra'

const onS3 = (name: string, ...lines: readonly string[]) => {
  const place = `bucket = "states"\n key = "${name}/terraform.tfstate"\n region = "us-east-1"`
  // Retried seldom: time passes faster.
  return terraform(name, {
    retryInterval: '5m',
    backendConfig: { customConfiguration: `backend "s3" { ${[place, ...lines].join('\n')} }` },
  })
}
const table = 'dynamodb_table = "locks"'
const lockfile = 'use_lockfile = true'

let world: World
afterEach(() => world.close())

async function start(objects: readonly object[]): Promise<void> {
  const locks = { dynamodb: ['locks'], s3: ['states'], every: '4m' }
  world = await World.start([gitRepository(url), ...objects], {}, { locks })
}

const key = (name: string) => `Terraform/flux-system/${name}`

/** Lets an apply of each object begin, and none of them end. */
async function applying(...names: readonly string[]): Promise<void> {
  for (const name of names) world.simulation.faults.hang(key(name))
  world.change()
  world.simulation.overwriteToken('GitRepository/flux-system/fleet', 'go')
  for (const name of names) {
    await world.until(`the apply of ${name}`, () => message(name) === 'Applying')
  }
}

const message = (name: string) =>
  world.object(key(name)).status?.conditions.find(({ type }: { type: string }) => type === 'Ready')?.message

/** With its lock in the table. */
const stateOf = (name: string) =>
  world.states?.openBackend({
    ...{ type: 'custom', name: 's3', workspace: 'default' },
    attributes: { bucket: 'states', key: `${name}/terraform.tfstate`, dynamodb_table: 'locks' },
  })

/** The latest verdict on each object's lock. */
async function verdicts(): Promise<Record<string, string>> {
  const { host, fleet, clock } = world
  const { locks } = await world.busy(() => new LockViews({ ledger: host.ledger, fleet, clock }).list())
  const entries = locks.map(({ object, addresses, verdict, scene }) => {
    return [object?.split('/').at(-1) ?? addresses[0], [verdict, scene].filter(Boolean).join(', ')] as const
  })
  return Object.fromEntries(entries.sort())
}

/** Verdicts that were told of an object, in the order in which they were. */
const told = (name: string) =>
  world.host.events
    .of('Lock Verdict Changed')
    .filter(({ object }) => object === key(name))
    .map(({ verdict }) => verdict)

it('tells apart what looks alike, on every backend', async () => {
  await start([
    onS3('silent', table),
    onS3('loud', lockfile),
    onS3('works', table, lockfile),
    terraform('lease'),
    onS3('laptop', table),
    onS3('future', lockfile),
    onS3('garbage', table),
  ])
  await applying('silent', 'loud', 'works', 'lease')
  world.simulation.killRunner(key('silent'), 'fail')
  await world.pass(2_000)
  world.simulation.killRunner(key('loud'), 'restart')
  world.simulation.killRunner(key('lease'), 'fail')
  await world.simulation.takeLock(key('laptop'), { who: 'ana@laptop' })
  await world.simulation.takeLock(key('future'), { who: 'ana@laptop', createdAt: world.clock.now() + 30 * minute })
  await world.simulation.takeLock(key('garbage'), { who: 'x', written: '{"ID":' })

  await world.pass(20 * minute)
  expect(await verdicts()).toEqual({
    ...{ silent: 'suspect, silent ghost', loud: 'suspect, loud ghost', lease: 'suspect, silent ghost' },
    ...{ works: 'live', laptop: 'live', future: 'live', garbage: 'unknown' },
  })

  await world.pass(70 * minute)
  expect(await verdicts()).toEqual({
    ...{ silent: 'stale, silent ghost', loud: 'stale, loud ghost', lease: 'stale, silent ghost' },
    ...{ works: 'live', laptop: 'suspect', future: 'suspect', garbage: 'unknown' },
  })
  expect(told('silent')).toEqual(['suspect', 'stale'])
  expect(told('works')).toEqual(['live'])

  world.simulation.faults.release(key('works'))
  await world.pass(10 * minute)
  expect(await verdicts()).not.toHaveProperty('works')
  expect(told('works')).toEqual(['live', 'free'])
})

it('a runner that outlives its controller is live, however long it takes', async () => {
  await start([onS3('orphan', table)])
  await applying('orphan')
  world.simulation.tofu.killManager('black-holed')
  const scaleToZero = (deployment: KubernetesObject) => {
    deployment.spec = { ...deployment.spec, replicas: 0 }
  }
  world.simulation.store.update(builtinResources.Deployment, 'flux-system', 'tofu-controller', scaleToZero, {
    manager: 'kubectl',
  })
  for (let hours = 0; hours < 3; hours++) {
    await world.pass(60 * minute)
    expect(await verdicts()).toEqual({ orphan: 'live, live orphan' })
  }
})

it('what is dead by all signs is no more than suspect while a node does not answer', async () => {
  await start([onS3('vpc', table)])
  await applying('vpc')
  world.simulation.killRunner(key('vpc'), 'fail')
  world.simulation.tofu.kubelet.silence()
  await world.pass(120 * minute)
  expect(await verdicts()).toEqual({ vpc: 'suspect' })
  world.simulation.tofu.kubelet.answers()
  await world.pass(20 * minute)
  expect(await verdicts()).toEqual({ vpc: 'stale, silent ghost' })
})

it('locks in the fleet of nobody are shown, and are never more than suspect', async () => {
  await start([onS3('mine', table)])
  const state = stateOf('other')
  const record = { ID: 'a-lock', Operation: 'OperationTypeApply', Info: '', Version: '1.12.1', Path: '' }
  const Created = new Date(world.clock.now()).toISOString()
  await state?.acquire({ ...record, Who: 'runner@mine-tf-runner', Created })
  await world.pass(120 * minute)
  expect(await verdicts()).toEqual({ 'states/other/terraform.tfstate in table locks (us-east-1)': 'suspect' })
})

it('a rollout waits for a lock, says whose it is, and goes on when it is gone', async () => {
  await start([onS3('vpc', table)])
  const lock = await world.simulation.takeLock(key('vpc'), { who: 'ana@laptop' })
  const pushed = world.change()
  await world.deliver(pushed)
  const waiting = await world.until('waiting for the lock', async () => {
    const { objects } = await world.rollout(pushed).catch(() => ({ objects: [] }))
    return objects.find(({ detail }) => detail.includes('ana@laptop'))
  })
  expect(waiting).toMatchObject({ phase: 'open', waitsForLock: true })
  expect(waiting.detail).toMatch(/^waits for the state lock of ana@laptop \(apply\) since .*; it is live: /)
  await stateOf('vpc')?.release(lock?.ID ?? '')
  const ended = await world.ended(pushed)
  expect(ended.rollout.objects.map(({ phase }) => phase)).toEqual(['ready'])
  expect(ended.status).toBe('SUCCEEDED')
})
