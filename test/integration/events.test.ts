import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LockstepEvent } from '../../functions/lib/events.ts'
import type { CommitStatus } from '../../functions/lib/notify/commit-status.ts'
import { NotifierUnavailable } from '../../functions/lib/notify/notifier-error.ts'
import { startSweep } from '../../infra/local/host.ts'
import { files, keys, roots } from './layered-fleet.ts'
import { type Pushed, World } from './world.ts'

let world: World
/** As they were published, those that were published twice included. */
let published: LockstepEvent[]
let statuses: Map<string, CommitStatus>
let isAway: boolean
beforeEach(async () => {
  statuses = new Map()
  isAway = false
  world = await World.start(roots, files, {
    holdFor: '1h',
    notifications: { github: { secret: 'lockstep/github' } },
    outside: {
      channels: [],
      statuses: {
        set: async (_, context, status) => {
          if (isAway) throw new NotifierUnavailable('GitHub', 'a test')
          statuses.set(context, status)
        },
      },
    },
  })
  published = []
  const { events } = world.host
  const publish = events.publish.bind(events)
  events.publish = async (event) => {
    published.push(event)
    await publish(event)
  }
})
afterEach(() => world.close())

const told = () => published.map((event) => (event.type === 'Rollout Layer Done' ? event.layer : event.type))
const of = ({ delivery }: Pushed) => published.filter((event) => 'delivery' in event && event.delivery === delivery)

test('a rollout tells of its beginning, its plan, each layer and its end, and each of them once', async () => {
  const { rollout } = await world.push()
  expect(told()).toEqual([
    ...['Rollout Started', 'Rollout Planned', 'layer 1', 'network', 'database', 'addons', 'apps', 'Rollout Finished'],
  ])
  expect(published.at(-1)).toMatchObject({ outcome: 'succeeded', ready: 5, execution: rollout.execution })
  await world.until('the push to be green', () => statuses.get('lockstep')?.state === 'success')
  const layers = ['layer 1', 'network', 'database', 'addons', 'apps'].map((layer) => `lockstep/staging/${layer}`)
  expect([...statuses.keys()].sort()).toEqual(['lockstep', ...layers].sort())
  expect(new Set([...statuses.values()].map(({ state }) => state))).toEqual(new Set(['success']))
  expect(world.host.messages.sent.map(({ title }) => title)).toEqual([
    `Rollout of cccccccc to staging has begun`,
    `Rollout of cccccccc to staging has succeeded`,
  ])
})

test('it is told at once that something is held, and that it went on', async () => {
  world.simulation.faults.fail(keys.db, { reason: 'TFExecApplyFailed', message: 'no quota' })
  const pushed = world.change()
  await world.deliver(pushed)
  const held = await world.until('the news', () => published.find(({ type }) => type === 'Rollout Held'))
  expect(held).toMatchObject({ behind: [keys.db], pending: 2, why: expect.stringContaining('no quota') })
  expect(world.clock.now() - Date.parse(held.at)).toBeLessThan(1_000)
  expect(world.state(pushed)).toBe('WaitForRecovery')
  await world.until('the status', () => statuses.get('lockstep/staging/database')?.description.includes('no quota'))
  expect(statuses.get('lockstep/staging/database')?.state).toBe('pending')
  expect(statuses.get('lockstep')?.state).toBe('pending')
  world.simulation.faults.clear(keys.db)
  await world.ended(pushed)
  expect(told().slice(-3)).toEqual(['addons', 'apps', 'Rollout Finished'])
  expect(told().filter((type) => type === 'Rollout Held')).toHaveLength(1)
})

test('what overtakes and what is overtaken tell of their ends, also where one had no turn', async () => {
  const late = world.change()
  const newer = world.change()
  await world.deliver(newer)
  await world.ended(newer)
  await world.deliver(late)
  await world.ended(late)
  expect(of(newer).at(-1)).toMatchObject({ type: 'Rollout Finished', outcome: 'succeeded' })
  expect(of(late).map(({ type }) => type)).toEqual(['Rollout Started', 'Rollout Finished'])
  expect(of(late).at(-1)).toMatchObject({ outcome: 'superseded' })
})

test('a rollout whose execution is stopped is told of as failed', async () => {
  world.simulation.faults.hang(keys.vpc)
  const pushed = world.change()
  await world.deliver(pushed)
  await world.until('vpc to run', () => world.runs().some(({ key }) => key === keys.vpc))
  world.host.interpreter.stop(world.executionArn(pushed), { error: 'Stopped', cause: 'by a test' })
  const end = await world.until('the news', () => published.find(({ type }) => type === 'Rollout Finished'))
  expect(end).toMatchObject({ outcome: 'failed', why: expect.stringContaining('by a test') })
  await world.until('the push to be red', () => statuses.get('lockstep')?.state === 'failure')
  expect(statuses.get('lockstep/staging/network')?.state).toBe('error')
})

test('what GitHub refused each time is set by the next sweep, and no message is sent twice', async () => {
  await world.push()
  await world.until('the push to be green', () => statuses.get('lockstep')?.state === 'success')
  isAway = true
  const pushed = world.change()
  await world.deliver(pushed)
  await world.ended(pushed)
  await world.pass(11 * 60_000)
  const sent = world.host.messages.sent.length
  isAway = false
  statuses.clear()
  startSweep(world.host.interpreter, 'staging')
  await world.until('the push to be green', () => statuses.get('lockstep')?.state === 'success')
  await world.until('the layers', () => statuses.size === 6)
  expect(world.host.messages.sent).toHaveLength(sent)
})

test('no rollout fails because nobody takes its events', async () => {
  world.host.events.publish = () => Promise.reject(new Error('the bus is down'))
  const { status, rollout } = await world.push()
  expect([status, rollout.outcome]).toEqual(['SUCCEEDED', 'succeeded'])
})
