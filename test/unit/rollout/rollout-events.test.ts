import { beforeEach, describe, expect, test } from 'vitest'
import { eventSchema, type LockstepEvent } from '../../../functions/lib/events.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { PlannedObject, Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { rolloutEvents, tellRollout } from '../../../functions/lib/rollout/rollout-events.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { head } from '../../fixtures/raw-objects.ts'

const began = Date.parse('2026-03-02T10:00:00Z')
const object = (key: string, layer: number, phase: PlannedObject['phase'], detail = ''): PlannedObject => ({
  ...{ key, layer, phase, detail, uid: key, after: [], follows: 'revision', appliesWorkloads: false },
  ...{ gated: false, asked: 0 },
})

let rollout: Rollout
beforeEach(() => {
  rollout = {
    ...{ id: 'delivery.staging', execution: 'arn:aws:states:us-east-1:1:execution:rollout:delivery.staging' },
    cluster: 'staging',
    push: {
      ...{ repository: { name: 'my-org/fleet-infra', host: 'github.com' }, branch: 'main', before: head('a') },
      ...{ after: head('b'), pushedAt: began, pusher: 'ana', delivery: 'delivery' },
    },
    ...{ startedAt: began, sources: [], layers: [], objects: [], notes: [] },
  }
})

const typesOf = (of: Rollout) => rolloutEvents(of).map(({ type }) => type)

describe('events of a rollout', () => {
  test('follow from its record, in the order in which things happened', () => {
    expect(typesOf(rollout)).toEqual(['Rollout Started'])
    rollout.layers = [
      { index: 0, name: 'network', deadlineMs: 1, openedAt: began + 1, settledAt: began + 2 },
      { index: 1, name: 'apps', deadlineMs: 1, openedAt: began + 3 },
    ]
    rollout.objects = [object('a', 0, 'ready'), object('b', 0, 'failed', 'is broken'), object('c', 1, 'pending')]
    rollout.heldSince = began + 4
    const events = rolloutEvents(rollout)
    expect(events.map(({ type }) => type)).toEqual([
      ...['Rollout Started', 'Rollout Planned', 'Rollout Layer Done', 'Rollout Held'],
    ])
    expect(events[2]).toMatchObject({ layer: 'network', number: 1, layers: 2, ready: 1, failed: 1, pending: 0 })
    expect(events[3]).toMatchObject({ behind: ['b'], failed: 1, pending: 1, why: 'b is broken' })
    for (const event of events) expect(eventSchema.parse(event)).toEqual(event)
  })

  test('have one end, and are held no more then', () => {
    const end = { heldSince: began, outcome: 'failed', endedAt: began + 9_000, failure: 'b is broken' } as const
    Object.assign(rollout, end)
    const [, last, ...rest] = rolloutEvents(rollout)
    expect(rest).toEqual([])
    expect(last).toMatchObject({ type: 'Rollout Finished', outcome: 'failed', why: 'b is broken' })
    expect(last).toMatchObject({ at: '2026-03-02T10:00:09.000Z', startedAt: '2026-03-02T10:00:00.000Z' })
    expect(eventSchema.parse(last)).toEqual(last)
  })

  test('name a newer commit that the source served', () => {
    rollout.commit = head('b')
    expect(rolloutEvents(rollout)[0]).not.toHaveProperty('served')
    rollout.commit = head('c')
    expect(rolloutEvents(rollout)[0]).toMatchObject({ commit: head('b'), served: head('c') })
  })

  test('are held anew where something else has failed, and not where the same fails again', () => {
    const heldId = (...failed: string[]) => {
      rollout.heldSince = (rollout.heldSince ?? began) + 1
      rollout.objects = failed.map((key) => object(key, 0, 'failed', `try ${rollout.heldSince}`))
      return rolloutEvents(rollout).at(-1)?.id
    }
    const first = heldId('a', 'b')
    expect(heldId('b', 'a')).toBe(first)
    expect(heldId('a')).not.toBe(first)
  })

  test('name ten objects at most', () => {
    rollout.heldSince = began
    rollout.objects = Array.from({ length: 500 }, (_, index) => object(`object ${index}`, 0, 'failed'))
    expect(rolloutEvents(rollout).at(-1)).toMatchObject({ failed: 500, behind: { length: 10 } })
  })
})

describe('telling of a rollout', () => {
  let sent: LockstepEvent[]
  let failures: number
  let untold: string[]
  const clock = new VirtualClock(began)
  const events = {
    publish: async (event: LockstepEvent) => {
      if (failures-- > 0) throw new Error('the bus is down')
      sent.push(event)
    },
  }
  const metrics = { ...silentMetrics, untold: (type: string) => void untold.push(type) }
  const ports = { events, clock, log: silentLog, metrics }
  beforeEach(() => {
    sent = []
    untold = []
    failures = 0
  })

  test('tells each thing once', async () => {
    await tellRollout(rollout, ports)
    rollout.outcome = 'superseded'
    await tellRollout(rollout, ports)
    await tellRollout(rollout, ports)
    expect(sent.map(({ type }) => type)).toEqual(['Rollout Started', 'Rollout Finished'])
  })

  test('tells it again where that was not written down', async () => {
    const asStored = structuredClone(rollout)
    await tellRollout(rollout, ports)
    await tellRollout(asStored, ports)
    expect(sent).toHaveLength(2)
    expect(sent[0]).toEqual(sent[1])
  })

  test('tries three times, and then gives up, which is counted', async () => {
    failures = 2
    await tellRollout(rollout, ports)
    expect([sent.length, untold]).toEqual([1, []])
    failures = 3
    rollout.outcome = 'failed'
    await tellRollout(rollout, ports)
    expect([sent.length, untold]).toEqual([1, ['Rollout Finished']])
  })
})
