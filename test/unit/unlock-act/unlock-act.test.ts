import { beforeEach, describe, expect, test } from 'vitest'
import { silentEvents } from '../../../functions/lib/events.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { bindStep } from '../../../functions/lib/step.ts'
import { theScan, type UnlockRequest } from '../../../functions/lib/unlock/run/unlock-request.ts'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import { step } from '../../../functions/unlock-act/handler.ts'
import { approvalOf } from '../../fixtures/approvals.ts'
import { deadFor, minute, type Scene } from '../../fixtures/lock-evidence.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryTaskTokens } from '../../fixtures/memory-task-tokens.ts'
import { observationOf } from '../../fixtures/observations.ts'

const hour = 60 * minute
const stale: Scene = { sight: deadFor(10), pod: 'gone' }
const plan: Scene = { ...stale, record: { operation: 'OperationTypePlan' } }
const since = observationOf(stale).verdictSince
const key = '00000000000000aa'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
  clusters: ['staging', 'production'].map((name) => ({ name, eks: name, region: 'eu-west-1', environment: name })),
  locks: { approvers: ['ana', 'bob'], policy: { production: { apply: 'two-approvals', plan: 'never' } } },
})

let ledger: MemoryLedger
let now: number
let warned: object[]
let tasks: MemoryTaskTokens

beforeEach(() => {
  now = since
  warned = []
  tasks = new MemoryTaskTokens()
  ledger = new MemoryLedger({ now: () => now, after: () => () => {} })
})

async function saw(scene: Scene, overrides: Partial<Observation> = {}): Promise<Observation> {
  const observation = observationOf(scene, overrides)
  expect(await ledger.writeObservation(observation)).toBe(true)
  return observation
}

async function starts(clusters = ['staging', 'production']): Promise<UnlockRequest[]> {
  const log = { info: () => {}, warn: (message: string, fields?: object) => void warned.push({ message, ...fields }) }
  const clock = { now: () => now, after: () => () => {} }
  const ports = { ledger, fleet, clock, log, tasks, events: silentEvents, metrics: silentMetrics }
  const { start } = (await bindStep(step, () => ports)({ clusters })) as { start: UnlockRequest[] }
  return start
}

const placesIn = (requests: readonly UnlockRequest[]) => requests.map(({ input }) => input.place)

/** What an execution writes down. */
const runOf = ({ name, input }: UnlockRequest, over: Partial<UnlockRun> = {}): UnlockRun => ({
  ...{ unlock: name, ...input, requestedAt: now },
  ...over,
})

function of(cluster: string, scene: Scene, place = key): Observation {
  const observation = observationOf(scene, { key: place, cluster })
  return {
    ...observation,
    evidence: { ...observation.evidence, owner: { cluster, object: 'Terraform/flux-system/vpc' } },
  }
}

test('a stale lock is unlocked, by its id, in the name of nobody who could approve', async () => {
  const { evidence } = await saw(stale)
  const [start, ...others] = await starts()
  expect(others).toEqual([])
  const lock = evidence.lock.record?.id
  expect(start?.input).toEqual({
    place: key,
    lock,
    cluster: 'staging',
    requestedBy: theScan,
    reason: expect.any(String),
  })
  expect(() => parseFleet({ repositories: [], clusters: [], locks: { approvers: [theScan] } })).toThrow(
    /approvers\[0\]/,
  )
})

test.each([
  ['live', {}],
  ['suspect', { object: { stateLocked: true, pendingLock: '6b1f0c9e-0000-4a55-9d0e-1f2e3d4c5b6a' } }],
  ['unknown', { ...stale, nodes: 'unknown' }],
  ['free', { lock: { parts: [] } }],
] as const)('one that is %s is not', async (verdict, scene) => {
  const { judgement } = await saw(scene as Scene)
  expect(judgement.verdict).toBe(verdict)
  expect(await starts()).toEqual([])
})

test('one whose policy asks for approvals is started: people are asked on the way', async () => {
  await ledger.writeObservation(of('production', stale))
  expect(placesIn(await starts())).toEqual([key])
})

test('one whose policy is never is not', async () => {
  await ledger.writeObservation(of('production', plan))
  expect(await starts()).toEqual([])
})

test('one of a cluster that was not scanned is not', async () => {
  await saw(stale)
  expect(await starts(['production'])).toEqual([])
})

test('one whose id could not be handed on is not, and that is told', async () => {
  await saw({ ...stale, record: { id: 'x'.repeat(201) } })
  expect(await starts()).toEqual([])
  expect(warned).toEqual([expect.objectContaining({ place: key, cluster: 'staging' })])
})

describe('a lock that stays', () => {
  test('is tried once an hour, three times, and then left to a person', async () => {
    await saw(stale)
    const tried: [number, string[]][] = []
    for (let minutes = 0; minutes < 6 * 60; minutes += 2) {
      now = since + minutes * minute
      for (const start of await starts()) {
        tried.push([minutes, [start.name]])
        await ledger.writeUnlockRun(runOf(start, { outcome: 'refused', endedAt: now }), 0)
      }
    }
    expect(tried.map(([minutes]) => minutes)).toEqual([0, 60, 120])
    expect(new Set(tried.flatMap(([, names]) => names)).size).toBe(3)
    expect(warned.at(-1)).toMatchObject({
      message: 'left to a person',
      place: key,
      why: expect.stringContaining('often'),
    })
  })

  test('is asked for by the same name until its execution has written itself down', async () => {
    await saw(stale)
    const [first] = await starts()
    now += 59 * minute
    expect(await starts()).toEqual([first])
  })

  test('is tried by another name each time, even when its verdict was another one in between', async () => {
    await saw(stale)
    const [first] = await starts()
    if (first) await ledger.writeUnlockRun(runOf(first, { outcome: 'failed' }), 0)
    now += 5 * hour
    await saw(stale, { version: 2, verdictSince: now })
    const [second] = await starts()
    expect(second?.input).toEqual(first?.input)
    expect(second?.name).not.toBe(first?.name)
  })

  test('is not given up because of unlocks that never came to their turn', async () => {
    await saw(stale)
    for (let tries = 0; tries < 5; tries++) {
      const [start] = await starts()
      if (!start) throw new Error('nothing to start')
      await ledger.writeUnlockRun(runOf(start, { outcome: 'failed', requestedAt: now, rung: 'quiesce' }), 0)
      now += hour
    }
  })

  test.each(['lockstep (scan)', 'ana'])('is left alone while an unlock that %s asked for is under way', async (by) => {
    await saw(stale)
    const [first] = await starts()
    if (!first) throw new Error('nothing to start')
    const run = runOf({ ...first, name: `${key}-another-0` }, { requestedBy: by })
    await ledger.writeUnlockRun(run, 0)
    now += hour
    expect(await starts()).toEqual([])
    await ledger.writeUnlockRun({ ...run, outcome: 'refused' }, 1)
    expect(placesIn(await starts())).toEqual([key])
  })

  test('is not asked about again once somebody has denied it, unlike after anything else', async () => {
    await saw(stale)
    const [first] = await starts()
    if (!first) throw new Error('nothing to start')
    await ledger.writeUnlockRun(runOf(first, { outcome: 'refused' }), 0)
    const asked = approvalOf({ id: first.name, place: key, closed: { how: 'expired', at: now } })
    await ledger.writeApproval(asked)
    now += hour
    expect(placesIn(await starts())).toEqual([key])
    const decisions = [{ by: 'bob', decision: 'deny' as const, at: now }]
    await ledger.writeApproval({ ...asked, version: 2, decisions, closed: { how: 'gone', at: now } })
    expect(await starts()).toEqual([])
    expect(warned).toEqual([expect.objectContaining({ place: key, why: expect.stringContaining('denied') })])
  })

  test('does not wait for unlocks of other places', async () => {
    await saw(stale)
    const [first] = await starts()
    if (first) await ledger.writeUnlockRun({ ...runOf(first), unlock: 'other', place: 'ffffffffffffffff' }, 0)
    expect(placesIn(await starts())).toEqual([key])
  })
})

test('what people were asked about before is tended to', async () => {
  await saw(stale)
  await ledger.writeApproval(approvalOf({ id: 'another', place: key, expiresAt: now }))
  await starts()
  expect([...tasks.answers.values()]).toEqual(['NotApproved'])
})

test('ten of a cluster at once, those that were stale first, and the others with the next scan', async () => {
  const place = (index: number) => index.toString(16).padStart(16, '0')
  for (let index = 0; index < 25; index++) {
    await saw(stale, { key: place(index), verdictSince: since - index })
    await ledger.writeObservation({ ...of('production', stale, place(100 + index)), verdictSince: since - index })
  }
  const first = await starts()
  expect(placesIn(first)).toEqual([
    ...Array.from({ length: 10 }, (_, index) => place(24 - index)),
    ...Array.from({ length: 10 }, (_, index) => place(124 - index)),
  ])
  for (const start of first) await ledger.writeUnlockRun(runOf(start), 0)
  expect(placesIn(await starts(['staging']))).toEqual(Array.from({ length: 10 }, (_, index) => place(14 - index)))
})
