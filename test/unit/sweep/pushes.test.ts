import { beforeEach, describe, expect, test } from 'vitest'
import type { WaveApproval } from '../../../functions/lib/approval/approval.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { parseSource } from '../../../functions/lib/flux/source.ts'
import type { Claimant } from '../../../functions/lib/ledger/ledger.ts'
import type { Push } from '../../../functions/lib/push.ts'
import { pushSchema } from '../../../functions/lib/push.ts'
import { branchOf } from '../../../functions/lib/rollout/branch.ts'
import type { Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { clusterOf } from '../../../functions/lib/rollout/rollout-step.ts'
import { followUps } from '../../../functions/lib/sweep/follow-up.ts'
import { lostPushes, patienceMs } from '../../../functions/lib/sweep/lost-push.ts'
import { sweepObjects } from '../../../functions/lib/sweep/swept-cluster.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { gitRepository, head, kustomization, push } from '../../fixtures/raw-objects.ts'
import { begunRollout } from '../../fixtures/snapshot-of.ts'
import { waveApprovalOf } from '../../fixtures/wave-approval.ts'

const now = Date.parse('2026-03-02T10:00:00Z')
const clock = { now: () => now, after: () => () => {} }
const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: ['staging', 'production'].map((name) => ({ name, eks: name, region: 'eu-west-1', environment: 'test' })),
})
const known = push({ before: head('a'), after: head('b'), pushedAt: now - 3_600_000 })
const branch = branchOf(known)

let ledger: MemoryLedger
beforeEach(() => {
  ledger = new MemoryLedger(clock)
})

const claimantOf = ({ delivery, before, after, pushedAt }: Push, cluster: string): Claimant => ({
  ...{ rollout: `${delivery}.${cluster}`, execution: 'arn', before, after, pushedAt },
})

/** The branch in a cluster, whose newest push has come to this. */
async function claimed(
  cluster: string,
  of: Push = known,
  rollout: Partial<Rollout> = { outcome: 'succeeded', endedAt: now - 1_000_000 },
  claim: object = {},
) {
  const newest = claimantOf(of, cluster)
  await ledger.writeClaim({ cluster, branch, version: 1, leaseUntil: 0, newest, ...claim })
  await ledger.writeRollout(begunRollout({ id: newest.rollout, cluster, push: of, ...rollout }), 0)
}

/** People are asked before a wave of the commit that the sources have moved to. */
const askedAbout = (over: Partial<WaveApproval>) =>
  waveApprovalOf({ branch, commit: head('c'), askedAt: now - 1_000_000, expiresAt: now + 1, ...over })

interface Served {
  readonly commit?: string
  readonly movedMs?: number
  readonly suspend?: boolean
  readonly name?: string
}

const source = ({ commit = head('c'), movedMs = 2 * patienceMs, suspend = false, name }: Served = {}) =>
  gitRepository(name, {
    spec: { suspend },
    status: { artifact: { revision: `main@sha1:${commit}`, lastUpdateTime: new Date(now - movedMs).toISOString() } },
  })

const look = (raws: object[], seen: Parameters<typeof lostPushes>[2] = {}) =>
  lostPushes(
    clusterOf(fleet, 'staging'),
    raws.map((raw) => parseSource('GitRepository', raw)),
    seen,
    { fleet, ledger, clock },
  )

describe('a source that has moved on', () => {
  test('without anybody knowing: the push is right after the newest that is known, and the same for whoever finds it', async () => {
    await claimed('staging')
    await claimed('production', { ...known, pushedAt: known.pushedAt - 1, delivery: push({ delivery: '9' }).delivery })
    const { pushes, found } = await look([source()])
    expect(pushes).toEqual([
      {
        ...{ repository: known.repository, branch: 'main', before: known.after, after: head('c'), found: true },
        ...{ pushedAt: known.pushedAt + 1, pusher: 'a sweep of Lockstep' },
        delivery: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      },
    ])
    expect(pushSchema.parse(pushes[0])).toEqual(pushes[0])
    expect(found).toMatchObject([{ kind: 'lost-push', text: expect.stringContaining(`${pushes[0]?.delivery}`) }])
    expect((await look([source({ name: 'again' })])).pushes).toEqual(pushes)
  })

  test('to a commit of before, which was reset: it is another push than the one of then', async () => {
    const sources = [{ key: 'GitRepository/flux-system/fleet-infra', before: head('a'), served: head('b') }]
    await claimed('staging', known, { outcome: 'succeeded', sources })
    expect((await look([source({ commit: head('a') })])).pushes).toMatchObject([{ after: head('a') }])
  })

  test('with several sources: the one that moved last is right', async () => {
    await claimed('staging')
    const older = source({ name: 'older', commit: head('d'), movedMs: 3 * patienceMs })
    expect((await look([older, source()])).pushes).toMatchObject([{ after: head('c') }])
  })

  test.each([
    ['just now: its webhook may be under way', { movedMs: patienceMs - 1_000 }],
    ['by its clock in the future', { movedMs: -1_000 }],
    ['and was suspended', { suspend: true }],
    ['to what the newest push is', { commit: known.after }],
    ['to where the newest push began, which it has not fetched', { commit: known.before }],
    ['before the newest push was pushed', { movedMs: 2 * 3_600_000 }],
  ])('%s: nothing is made up', async (_, served) => {
    await claimed('staging', known, { outcome: 'failed' })
    const seen = await look([source(served)])
    expect([seen.pushes, seen.found]).toEqual([[], []])
  })

  test('to what the newest rollout has rolled out in place of its push', async () => {
    await claimed('staging', known, { outcome: 'succeeded', commit: head('c') })
    expect((await look([source()])).pushes).toEqual([])
  })

  const working = { holder: claimantOf(known, 'staging'), leaseUntil: now + 1 }
  test.each([
    ['here', 'staging', working],
    ['elsewhere', 'production', working],
    ['waiting for its turn', 'production', { next: claimantOf(known, 'production') }],
  ])('while a rollout is at work, %s: it may bring it', async (_, cluster, claim) => {
    for (const name of ['staging', 'production']) {
      await claimed(name, known, { outcome: 'succeeded' }, name === cluster ? claim : {})
    }
    expect(await look([source()])).toMatchObject({ pushes: [], found: [] })
  })

  test('while people are asked before the first wave of a push, which no cluster knows of', async () => {
    await claimed('staging')
    await ledger.writeApproval(askedAbout({ branch: 'my-org/fleet-infra#another' }))
    expect((await look([source()])).pushes).toHaveLength(1)
    await ledger.writeApproval(askedAbout({ id: 'another wave', commit: head('d') }))
    expect(await look([source()])).toMatchObject({ pushes: [], found: [] })
  })

  const denial = { by: 'bob', decision: 'deny', at: now } as const
  const consent = { by: 'bob', decision: 'approve', at: now } as const
  test.each<[string, Partial<WaveApproval>]>([
    ['have denied it', { decisions: [denial], closed: { how: 'denied', at: now - 1 } }],
    ['have denied it too late', { decisions: [denial], closed: { how: 'gone', at: now - 1 } }],
    ['have let the time pass', { closed: { how: 'expired', at: now - 1 } }],
    ['have let the time pass, and nobody heard of it', { expiresAt: now }],
    ['have stopped its execution', { closed: { how: 'stopped', at: now - 1 } }],
  ])('is left alone where people %s, also when the ledger has forgotten that', async (_, answer) => {
    await claimed('staging')
    await ledger.writeApproval(askedAbout(answer))
    const first = await look([source()])
    expect(first.pushes).toEqual([])
    expect(first.found).toMatchObject([{ kind: 'unordered', text: expect.stringContaining('did not agree') }])
    ledger = new MemoryLedger(clock)
    await claimed('staging')
    const later = await look([source()], first)
    expect(later).toEqual(first)
    // Something else was pushed, and nobody told of that.
    expect((await look([source({ commit: head('d') })], later)).pushes).toHaveLength(1)
  })

  test.each<[string, Partial<WaveApproval>, number]>([
    ['could not be asked', { closed: { how: 'ended', at: now - 1 } }, 1],
    ['have just agreed', { decisions: [consent], closed: { how: 'approved', at: now - 60_000 } }, 0],
    ['have agreed, and nobody heard of it', { decisions: [consent], expiresAt: now }, 1],
    ['have agreed long ago', { decisions: [consent], closed: { how: 'approved', at: now - 600_000 } }, 1],
    [
      'were asked about another commit',
      { commit: head('d'), decisions: [denial], closed: { how: 'denied', at: now - 1 } },
      1,
    ],
  ])('where people %s', async (_, answer, started) => {
    await claimed('staging')
    await ledger.writeApproval(askedAbout(answer))
    expect((await look([source()])).pushes).toHaveLength(started)
  })

  test('is decided by what people said last of it', async () => {
    await claimed('staging')
    const denied: Partial<WaveApproval> = { decisions: [denial], closed: { how: 'denied', at: now - 2_000_000 } }
    await ledger.writeApproval(askedAbout({ ...denied, askedAt: now - 3_000_000 }))
    await ledger.writeApproval(askedAbout({ id: 'by hand', closed: { how: 'ended', at: now - 1 } }))
    expect((await look([source()])).pushes).toHaveLength(1)
  })

  const newer = push({ before: head('b'), after: head('c'), pushedAt: now - 1_800_000, delivery: '2' })
  test.each([
    ['succeeded', []],
    ['failed', [{ kind: 'unordered', text: expect.stringContaining('ended as failed in production') }]],
    ['released', [{ kind: 'unordered' }]],
  ] as const)('to a commit whose rollout has %s elsewhere', async (outcome, findings) => {
    await claimed('staging')
    await claimed('production', newer, { outcome })
    const { pushes, found } = await look([source()])
    expect(pushes).toEqual([])
    expect(found).toMatchObject(findings)
  })

  test('to a commit that went well elsewhere, and that people denied before it came here', async () => {
    await claimed('staging')
    await claimed('production', newer, { outcome: 'succeeded' })
    await ledger.writeApproval(askedAbout({ wave: 2, decisions: [denial], closed: { how: 'denied', at: now - 1 } }))
    const { pushes, found } = await look([source()])
    expect(pushes).toEqual([])
    expect(found).toMatchObject([{ kind: 'unordered', text: expect.stringContaining('did not agree') }])
  })

  test('where nothing was rolled out yet: what it served first is where it began', async () => {
    const first = await look([source()])
    expect([first.pushes, first.firstSeen]).toEqual([
      [],
      { 'GitRepository/flux-system/fleet-infra': { commit: head('c'), at: now } },
    ])
    expect((await look([source()], first)).pushes).toEqual([])
    const { pushes } = await look([source({ commit: head('d') })], first)
    expect(pushes).toMatchObject([{ before: head('c'), after: head('d'), pushedAt: now + 1 }])
  })
})

describe('a rollout that has failed', () => {
  const conditions = [{ type: 'Ready', status: 'True', reason: 'ReconciliationSucceeded' }]
  const ready = (name = 'app', commit = known.after) =>
    kustomization(name, {
      status: {
        ...{ observedGeneration: 1, conditions },
        ...{ lastAppliedRevision: `main@sha1:${commit}`, lastAttemptedRevision: `main@sha1:${commit}` },
      },
    })
  const object = (overrides: object = {}) => ({
    ...{ key: 'Kustomization/flux-system/app', uid: 'uid', layer: 0, after: [], follows: 'revision' as const },
    ...{ appliesWorkloads: false, gated: false, phase: 'failed' as const, detail: 'x', asked: 1 },
    source: 'GitRepository/flux-system/fleet-infra',
    ...overrides,
  })
  const failed = (overrides: Partial<Rollout> = {}) =>
    claimed('staging', known, {
      ...{ outcome: 'failed', endedAt: now - 1_000_000, commit: known.after, objects: [object()] },
      ...overrides,
    })
  const follow = async (...raws: { kind: string; metadata: { name: string } }[]) =>
    followUps(clusterOf(fleet, 'staging'), await sweepObjects(new MemoryCluster('staging', ...raws)), {
      fleet,
      ledger,
      clock,
    })
  const served = source({ commit: known.after })

  test('is rolled out again when all that was not ready is', async () => {
    await failed()
    const [found, ...others] = await follow(served, ready())
    expect(others).toEqual([])
    expect(found).toMatchObject({ before: known.before, after: known.after, pushedAt: known.pushedAt + 1, found: true })
    expect(found?.delivery).not.toBe(known.delivery)
    // Nobody gets to approve a push of his own by letting it fail once.
    expect(found?.pusher).toBe(known.pusher)
    expect(await follow(served, ready())).toEqual([found])
  })

  test('is rolled out again when what failed is gone', async () => {
    await failed()
    expect(await follow(served)).toHaveLength(1)
  })

  test.each([
    ['what failed is not ready', () => failed(), [served, kustomization('app')]],
    ['it is ready at another revision', () => failed(), [served, ready('app', head('f'))]],
    ['the source serves another commit', () => failed(), [source(), ready()]],
    ['the source is suspended', () => failed(), [source({ commit: known.after, suspend: true }), ready()]],
    ['there is no source any more', () => failed(), [ready()]],
    ['somebody has stopped it', () => failed({ stopped: true }), [served, ready()]],
    ['somebody has released it', () => failed({ outcome: 'released' }), [served, ready()]],
    ['it has gone well', () => failed({ outcome: 'succeeded' }), [served, ready()]],
    [
      'only another push can mend it',
      () => failed({ objects: [object({ reason: 'OrderInvalid' })] }),
      [served, ready()],
    ],
  ])('stays as it is where %s', async (_, fail, raws) => {
    await fail()
    expect(await follow(...raws)).toEqual([])
  })

  test('is not held up by what a person had suspended before', async () => {
    await failed({ objects: [object({ notHeld: 'person', reason: 'Suspended' })] })
    expect(await follow(served, kustomization('app', { spec: { suspend: true } }))).toHaveLength(1)
  })

  test('waits for its peers', async () => {
    await failed()
    const holder = claimantOf(known, 'production')
    await claimed('production', known, {}, { holder, leaseUntil: now + 1 })
    expect(await follow(served, ready())).toEqual([])
  })

  test.each<[string, Partial<WaveApproval>, number]>([
    ['are asked about a later wave', { expiresAt: now + 1 }, 0],
    ['have denied a later wave', { decisions: [{ by: 'bob', decision: 'deny', at: now }] }, 0],
    ['have agreed to a later wave', { closed: { how: 'approved', at: now - 600_000 } }, 1],
  ])('where people %s', async (_, answer, started) => {
    await failed()
    await ledger.writeApproval(waveApprovalOf({ branch, commit: known.after, wave: 2, expiresAt: now, ...answer }))
    expect(await follow(served, ready())).toHaveLength(started)
  })

  test('is left to people after three times', async () => {
    await failed()
    for (const id of ['r1', 'r2']) {
      const again = { outcome: 'failed', endedAt: now, commit: known.after } as const
      await ledger.writeRollout(begunRollout({ id, cluster: 'staging', push: known, ...again }), 0)
    }
    expect(await follow(served, ready())).toEqual([])
  })
})
