import { afterEach, beforeEach, expect, test } from 'vitest'
import { statesEntered } from '../../infra/local/states/history.ts'
import type { WaveApprovalLine } from '../../infra/local/views/approval-view.ts'
import { configMap, layered, roots } from './layered-fleet.ts'
import { type Pushed, World } from './world.ts'

/** A fleet that asks before production: nothing of a push gets there before somebody has agreed. */
let world: World
let pushed: Pushed
afterEach(() => world.close())

const cluster = (name: string, more: object = {}) => ({
  ...{ name, eks: `${name}-eks`, region: 'us-east-1', environment: name },
  ...more,
})

beforeEach(async () => {
  world = await World.start(
    roots,
    { 'root/all.yaml': [layered.app], 'app/config.yaml': [configMap('app', { version: '1' })] },
    {
      clusters: [cluster('staging'), cluster('production', { after: ['staging'], approval: 'before' })],
      waves: { approvers: ['ana', 'bob'], approvalFor: '4h' },
    },
  )
  pushed = world.change()
  await world.deliver(pushed)
})

const asked = () =>
  world.until('people to be asked before the wave', async () => {
    const lines = await world.busy(() => world.host.unlockRoutes.approvals.list())
    return lines.find((line): line is WaveApprovalLine => line.kind === 'wave')
  })

const decide = ({ people }: WaveApprovalLine, by: string, decision: 'approve' | 'deny') => {
  const address = people.find(({ name }) => name === by)?.page ?? ''
  return world.busy(() =>
    world.host.unlockRoutes.approve({
      ...{ method: 'POST', token: address.slice(address.lastIndexOf('/') + 1), body: `decision=${decision}` },
      ...{ headers: {}, isBase64Encoded: false },
    }),
  )
}

const fleetArn = () => `arn:aws:states:us-east-1:000000000000:execution:fleet:${pushed.delivery}`

/** How the execution of the fleet ended, once it has. */
const fleetEnded = () =>
  world.until('the end of the fleet', () => {
    const found = world.host.interpreter.list({ machine: 'fleet' }).find(({ name }) => name === pushed.delivery)
    if (!found || found.status === 'RUNNING') return undefined
    return { status: found.status, states: statesEntered(world.host.interpreter.history(fleetArn())) }
  })

test('a wave that somebody agrees to begins then, and not before', async () => {
  const line = await asked()
  expect(line).toMatchObject({ wave: 2, waves: 2, clusters: ['production'], before: { succeeded: 1, failed: 0 } })
  // Whoever pushed is not asked.
  expect(line.people.map(({ name }) => name)).toEqual(['bob'])
  await world.pass(3_600_000)
  expect(world.state(pushed, 'production')).toBeUndefined()
  expect((await decide(line, 'bob', 'approve')).statusCode).toBe(303)
  expect((await world.ended(pushed, 'production')).status).toBe('SUCCEEDED')
  expect(await fleetEnded()).toMatchObject({ status: 'SUCCEEDED' })
})

test.each([
  ['somebody denies', (line: WaveApprovalLine) => decide(line, 'bob', 'deny')],
  ['nobody answers in time', () => world.pass(5 * 3_600_000)],
])('a wave is not begun where %s', async (_, then) => {
  await then(await asked())
  const { status, states } = await fleetEnded()
  expect(status).not.toBe('SUCCEEDED')
  expect(states).toContain('AskBeforeWave')
  expect(world.state(pushed, 'production')).toBeUndefined()
})
