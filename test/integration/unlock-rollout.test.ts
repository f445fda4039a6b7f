import { afterEach, expect, test } from 'vitest'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { keyOf, LockedWorld, onS3, table } from './locked-world.ts'

const { configMap, kustomization } = fleetObjects('flux-system')
const dependsOn = { 'lockstep.dev/depends-on': keyOf('db') }
const app = kustomization('app', {}, dependsOn)

let locked: LockedWorld
afterEach(() => locked.close())

async function start(): Promise<void> {
  const objects = [onS3('vpc', [table]), onS3('db', [table], { dependsOn: [{ name: 'vpc' }] }), app]
  locked = await LockedWorld.start(objects, { files: { 'app/config.yaml': [configMap('app')] } })
}

test('a rollout waits for the lock of a dead runner; it is unlocked, and the rollout goes on by itself', async () => {
  await start()
  const { world } = locked
  world.simulation.faults.hang(keyOf('vpc'))
  const pushed = world.change()
  await world.deliver(pushed)
  await world.until('the apply', () => locked.message('vpc') === 'Applying')
  world.simulation.killRunner(keyOf('vpc'), 'fail')
  world.simulation.faults.release(keyOf('vpc'))

  const unlock = await locked.enters('StopController')
  await locked.pass(30_000)
  // Both are closed: the one by the unlock, the other one by the gate of the rollout, as before.
  expect(locked.fields()).toMatchObject({
    'Terraform/vpc': { suspend: true, marks: [] },
    'Terraform/db': { suspend: true, marks: [['lockstep.dev/gate', expect.anything()]] },
  })
  expect((await locked.ended(unlock)).run).toMatchObject({ outcome: 'unlocked', rung: 'quiesce' })
  const { status, rollout } = await world.ended(pushed)
  expect([status, rollout.outcome, rollout.notes]).toEqual(['SUCCEEDED', 'succeeded', []])
  expect(rollout.objects.map(({ phase }) => phase)).toEqual(['ready', 'ready', 'ready'])
  expect(world.leftovers()).toEqual([])
})

test('a rollout that begins during an unlock gates what that holds, and opens it in its turn', async () => {
  await start()
  const { world } = locked
  await locked.silentGhost('vpc')
  const unlock = await locked.enters('StopController')
  const pushed = world.change()
  await world.deliver(pushed)
  await world.until('the gates', () => world.object(keyOf('db')).metadata.annotations?.['lockstep.dev/gate'])
  const { run } = await locked.ended(unlock)
  expect(run.outcome).toBe('unlocked')

  const { status, rollout } = await world.ended(pushed)
  expect([status, rollout.outcome, rollout.notes]).toEqual(['SUCCEEDED', 'succeeded', []])
  const ends = new Map(world.runs().map(({ key, finishedAt = 0 }) => [key, finishedAt]))
  const begins = new Map(world.runs().map(({ key, startedAt }) => [key, startedAt]))
  expect(begins.get(keyOf('db'))).toBeGreaterThan(ends.get(keyOf('vpc')) ?? Number.NaN)
  expect(world.leftovers()).toEqual([])
})
