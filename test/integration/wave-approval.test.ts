import { afterEach, beforeEach, expect, test } from 'vitest'
import type { CommitStatus } from '../../functions/lib/notify/commit-status.ts'
import { statesEntered } from '../../infra/local/states/history.ts'
import type { WaveApprovalLine } from '../../infra/local/views/approval-view.ts'
import { configMap, layered, roots } from './layered-fleet.ts'
import { type Pushed, World } from './world.ts'

/** A fleet that asks before production: nothing of a push gets there before somebody has agreed. */
let world: World
let pushed: Pushed
/** As GitHub has them. */
let statuses: Map<string, CommitStatus>
afterEach(() => world.close())

const cluster = (name: string, more: object = {}) => ({
  ...{ name, eks: `${name}-eks`, region: 'us-east-1', environment: name },
  ...more,
})

beforeEach(async () => {
  statuses = new Map()
  world = await World.start(
    roots,
    { 'root/all.yaml': [layered.app], 'app/config.yaml': [configMap('app', { version: '1' })] },
    {
      clusters: [cluster('staging'), cluster('production', { after: ['staging'], approval: 'before' })],
      waves: { approvers: ['ana', 'bob'], approvalFor: '4h' },
      notifications: { github: { secret: 'lockstep/github' } },
      outside: { channels: [], statuses: { set: async (_, context, status) => void statuses.set(context, status) } },
    },
  )
  pushed = world.change()
  await world.deliver(pushed)
})

const waiting = () => world.busy(() => world.host.unlockRoutes.approvals.list())
const told = () => world.host.events.of('Wave Approval Changed').map(({ what }) => what)

const asked = () =>
  world.until('people to be asked before the wave', async () =>
    (await waiting()).find((line): line is WaveApprovalLine => line.kind === 'wave'),
  )

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
  expect(statuses.get('lockstep')).toMatchObject({ state: 'pending', description: expect.stringContaining('wave 2') })
  expect((await decide(line, 'bob', 'approve')).statusCode).toBe(303)
  expect((await world.ended(pushed, 'production')).status).toBe('SUCCEEDED')
  expect(await fleetEnded()).toMatchObject({ status: 'SUCCEEDED' })
  await world.until('the push to be green', () => statuses.get('lockstep')?.state === 'success')
  expect(told()).toEqual(['asked', 'approved'])
  const execution = fleetArn()
  expect(world.host.events.of('Wave Approval Changed')[0]).toMatchObject({ execution, names: ['production'] })
})

test.each([
  ['somebody denies', 'denied', (line: WaveApprovalLine) => decide(line, 'bob', 'deny')],
  ['nobody answers in time', 'expired', () => world.pass(5 * 3_600_000)],
  ['somebody stops its execution', 'withdrawn', async () => world.host.interpreter.stop(fleetArn())],
])('a wave is not begun where %s', async (_, what, then) => {
  const line = await asked()
  await then(line)
  const { status, states } = await fleetEnded()
  expect(status).not.toBe('SUCCEEDED')
  expect(states).toContain('AskBeforeWave')
  expect(world.state(pushed, 'production')).toBeUndefined()
  await world.until('the end of the question', async () => (await waiting()).length === 0)
  await world.until('the status', () => ['failure', 'error'].includes(statuses.get('lockstep')?.state ?? ''))
  expect(told()).toEqual(['asked', what])
  expect((await decide(line, 'bob', 'approve')).statusCode).toBe(what === 'expired' ? 410 : 409)
  expect(world.state(pushed, 'production')).toBeUndefined()
})
