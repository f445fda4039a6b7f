import { afterEach, expect, test } from 'vitest'
import { PushWaves } from '../../../infra/local/views/push-waves.ts'
import { FleetMachine, fleetOfWaves, newPush, type Rollout } from '../statemachines/fleet-machine.ts'
import { failing } from '../states/machines.ts'

let machine: FleetMachine

async function fleetOf(waves: string[][], rollout: Rollout): Promise<PushWaves> {
  machine = await FleetMachine.start({ fleet: fleetOfWaves(waves), rollout })
  return new PushWaves({ interpreter: machine.interpreter, fleet: machine.fleet })
}

afterEach(() => machine.close())

test('what each wave does and waits for is told at every moment', async () => {
  const seen: string[] = []
  const waves: PushWaves = await fleetOf([['staging'], ['one', 'two']], async (cluster) => {
    const [line] = waves.list()
    seen.push(`${cluster}: ${line?.waves.map(({ phase }) => phase).join(', ')}`)
    return 'succeeded'
  })
  await machine.push()
  expect(seen).toEqual(['staging: running, waits', 'one: done, running', 'two: done, running'])
  expect(waves.list()[0]?.waves).toMatchObject([
    { number: 1, clusters: ['staging'], after: [], phase: 'done', succeeded: 1 },
    { number: 2, clusters: ['one', 'two'], after: ['staging'], phase: 'done', succeeded: 2 },
  ])
})

test('a cluster that fails leaves its wave incomplete, and the next one not begun', async () => {
  const waves = await fleetOf([['a', 'b'], ['production']], async (cluster) => {
    if (cluster === 'b') throw failing('RolloutFailed')
    return 'succeeded'
  })
  await machine.push()
  expect(waves.list()).toMatchObject([
    {
      status: 'FAILED',
      waves: [
        { phase: 'incomplete', succeeded: 1, message: expect.stringContaining('1 failed (b)') },
        { phase: 'not begun', after: ['a', 'b'] },
      ],
    },
  ])
})

test('an execution that is stopped leaves nothing running', async () => {
  const waves = await fleetOf([['a'], ['b']], async () => {
    for (const { executionArn } of machine.interpreter.list({ machine: 'fleet' }))
      machine.interpreter.stop(executionArn)
    return 'succeeded'
  })
  await machine.push()
  expect(waves.list()[0]?.waves.map(({ phase }) => phase)).toEqual(['incomplete', 'not begun'])
})

test('the newest push is told, and older ones while they are under way; none with a single wave', async () => {
  const waves = await fleetOf([['a'], ['b']], async () => 'succeeded')
  const [older, newer] = [newPush(), newPush()]
  await machine.push(older)
  await machine.push(newer)
  expect(waves.list().map(({ delivery }) => delivery)).toEqual([newer.delivery])
  await machine.close()
  const single = await fleetOf([['a']], async () => 'succeeded')
  await machine.push()
  expect(single.list()).toEqual([])
})
