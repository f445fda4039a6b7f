import { afterEach, describe, expect, test } from 'vitest'
import type { Push } from '../../functions/lib/push.ts'
import { branchOf } from '../../functions/lib/rollout/branch.ts'
import { leaseMs } from '../../functions/lib/rollout/lease.ts'
import { startSweep } from '../../infra/local/host.ts'
import { files, keys, kustomization, roots, source } from './layered-fleet.ts'
import { type Pushed, World, type WorldOptions } from './world.ts'

const minute = 60_000
const branch = { repository: { name: 'my-org/fleet-infra', host: 'github.com' }, branch: 'main' }
/** Flux looks at Git by itself, every minute. */
const polled = [source({ spec: { interval: '1m' } }), kustomization('root', { spec: { interval: '1m' } })]

let world: World
const start = async (options: WorldOptions = {}, objects: readonly object[] = polled) => {
  world = await World.start(objects, files, options)
}
afterEach(() => world.close())

/** Sweeps, and waits for the end of the sweep. Answers what its execution came to. */
async function sweep(cluster = 'staging') {
  const arn = startSweep(world.host.interpreter, cluster)
  const ended = await world.until('the end of the sweep', () => {
    const execution = world.describe(arn)
    return execution && execution.status !== 'RUNNING' ? execution : undefined
  })
  expect(ended).toMatchObject({ status: 'SUCCEEDED' })
  return JSON.parse(ended.output ?? '{}') as { findings: number; told: number; rollouts: number; restored: number }
}

/** Of all pushes that were started, those that a sweep has found. */
function foundPushes(): Push[] {
  const { interpreter } = world.host
  return interpreter
    .list({ machine: 'fleet' })
    .map(({ executionArn }) => JSON.parse(interpreter.describe(executionArn).input ?? '{}') as Push)
    .filter(({ found }) => found)
}

const pushed = ({ before, after, pushedAt, delivery }: Push): Pushed => ({ before, after, pushedAt, delivery })
const told = () => world.host.events.of('Finding Changed').map(({ what, kind, object }) => [what, kind, object])

/** A commit of which GitHub tells nobody. The source has served it for a while when this answers. */
async function loseWebhook(): Promise<Pushed> {
  const lost = world.change({ 'app/config.yaml': [] })
  await world.until('the source to move', () => {
    const { artifact } = world.object(keys.source).status as { artifact: { revision: string } }
    return artifact.revision.endsWith(lost.after)
  })
  await world.pass(6 * minute)
  return lost
}

describe('a push that people are asked about before its first wave', () => {
  const staging = { name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' }
  const asking = { clusters: [{ ...staging, approval: 'before' }], waves: { approvers: ['bob'] } }

  /** A push that Flux fetches by itself, and what bob says of it. */
  async function pushAndDecide(decision: 'approve' | 'deny'): Promise<Pushed> {
    const { approvals } = world.host.unlockRoutes
    const change = world.change({ 'app/config.yaml': [] })
    await world.deliver(change)
    const line = await world.until('the question', async () => (await world.busy(() => approvals.list()))[0])
    await world.busy(() => approvals.decide({ approval: line.id, judged: line.judged, by: 'bob', decision }))
    return change
  }

  test('is left alone when they have denied it; the next one is asked about', async () => {
    await start(asking)
    expect((await world.ended(await pushAndDecide('approve'))).status).toBe('SUCCEEDED')
    const denied = await pushAndDecide('deny')
    await world.until('the source to move', () =>
      JSON.stringify(world.object(keys.source).status).includes(denied.after),
    )
    await world.pass(6 * minute)
    expect(await sweep()).toMatchObject({ rollouts: 0, findings: 1, told: 1 })
    expect(await sweep()).toMatchObject({ rollouts: 0, findings: 1, told: 0 })
    expect((await world.ended(await pushAndDecide('approve'))).status).toBe('SUCCEEDED')
    expect(await sweep()).toMatchObject({ rollouts: 0, findings: 0 })
    expect(foundPushes()).toEqual([])
    expect(told()).toEqual([
      ['new', 'unordered', keys.source],
      ['gone', 'unordered', keys.source],
    ])
  })
})

describe('a push whose webhook was lost', () => {
  test('is rolled out, and told of until it is; its webhook comes too late for another rollout', async () => {
    await start()
    await world.push()
    expect(await sweep()).toMatchObject({ rollouts: 0, told: 0 })
    const lost = await loseWebhook()

    expect(await sweep()).toMatchObject({ rollouts: 1, findings: 1, told: 1 })
    const [found, ...others] = foundPushes()
    expect(others).toEqual([])
    expect(found).toMatchObject({ after: lost.after, before: lost.before, branch: 'main' })
    const { rollout } = await world.ended(pushed(found as Push))
    expect(rollout).toMatchObject({ outcome: 'succeeded', commit: lost.after })
    expect(rollout.objects).toHaveLength(5)

    expect(await sweep()).toMatchObject({ rollouts: 0, findings: 0, told: 1 })
    expect(told()).toEqual([
      ['new', 'lost-push', keys.source],
      ['gone', 'lost-push', keys.source],
    ])

    const runs = world.runs().length
    await world.deliver(lost)
    const late = await world.ended(lost)
    expect(late).toMatchObject({ status: 'SUCCEEDED', states: ['Claim', 'RolledOutBefore'] })
    expect(late.rollout.outcome).toBe('succeeded')
    expect(world.runs()).toHaveLength(runs)
    expect(world.leftovers()).toEqual([])
  })

  test('is rolled out once by two sweeps at the same time', async () => {
    await start()
    await world.push()
    await loseWebhook()
    await Promise.all([sweep(), sweep()])
    expect(foundPushes()).toHaveLength(1)
    expect(told()).toEqual([['new', 'lost-push', keys.source]])
  })

  test('is left to its webhook while that may be under way, and to a rollout that is at work', async () => {
    await start()
    await world.push()
    const under = world.change({ 'app/config.yaml': [] })
    await world.pass(2 * minute)
    expect(await sweep()).toMatchObject({ rollouts: 0, findings: 0 })
    world.simulation.faults.hang(keys.db)
    await world.deliver(under)
    await world.reaches(under, 'WaitForLayer')
    world.change({ 'app/config.yaml': [] })
    await world.pass(10 * minute)
    expect(await sweep()).toMatchObject({ rollouts: 0 })
    world.simulation.faults.release(keys.db)
    expect((await world.ended(under)).rollout.outcome).toBe('succeeded')
  })

  test('of a newer push does nothing to that: it comes first', async () => {
    await start()
    await world.push()
    await loseWebhook()
    const next = world.change({ 'app/config.yaml': [] })
    const sweeping = sweep()
    await world.deliver(next)
    await sweeping
    expect((await world.ended(next)).rollout).toMatchObject({ outcome: 'succeeded', commit: next.after })
    const claim = await world.host.ledger.readClaim('staging', branchOf(branch))
    expect(claim?.holder).toBeUndefined()
    expect(claim?.newest?.after).toBe(next.after)
  })

  test('counts from when the source was first seen, where nothing was rolled out yet', async () => {
    await start()
    await world.pass(10 * minute)
    expect(await sweep()).toMatchObject({ rollouts: 0 })
    expect(await sweep()).toMatchObject({ rollouts: 0 })
    const lost = await loseWebhook()
    expect(await sweep()).toMatchObject({ rollouts: 1 })
    const [found] = foundPushes()
    expect((await world.ended(pushed(found as Push))).rollout).toMatchObject({
      outcome: 'succeeded',
      commit: lost.after,
    })
  })
})

const two = [
  { name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' },
  { name: 'production', eks: 'prod-eks', region: 'us-east-1', environment: 'production', after: ['staging'] },
]

describe('a rollout that has failed', () => {
  /** The database fails until the gates behind it were given up. */
  async function failedRollout() {
    await start({ clusters: two, holdFor: '2m', deadlines: { layer: '1m' } })
    await world.push({}, 'production')
    world.simulation.faults.fail(keys.db, { reason: 'TFExecApplyFailed', message: 'no quota' })
    const failed = world.change()
    await world.deliver(failed)
    expect((await world.ended(failed)).rollout.outcome).toBe('failed')
    return failed
  }

  test('goes on when its cause is gone, with the waves that come after', async () => {
    const failed = await failedRollout()
    expect(await sweep()).toMatchObject({ rollouts: 0 })
    await world.pass(6 * minute)
    expect(await sweep('production')).toMatchObject({ rollouts: 0 })
    expect(told()).toContainEqual(['new', 'unordered', keys.source])

    world.simulation.faults.clear(keys.db)
    await world.until('the database', () =>
      world.runs(failed.after).some(({ key, outcome }) => key === keys.db && outcome === 'succeeded'),
    )
    await world.pass(2 * minute)
    await Promise.all([sweep(), sweep()])
    const [found, ...others] = foundPushes()
    expect(others).toEqual([])
    expect(found).toMatchObject({ after: failed.after, before: failed.before })
    for (const cluster of ['staging', 'production']) {
      const { rollout } = await world.ended(pushed(found as Push), cluster)
      expect(rollout).toMatchObject({ outcome: 'succeeded', commit: failed.after })
    }
    expect(await sweep()).toMatchObject({ rollouts: 0 })
    expect(await sweep('production')).toMatchObject({ rollouts: 0 })
    expect(told()).toContainEqual(['gone', 'unordered', keys.source])
  })

  test('stays as it is where somebody has stopped it', async () => {
    await start()
    world.simulation.faults.hang(keys.vpc)
    const stopped = world.change()
    await world.deliver(stopped)
    await world.reaches(stopped, 'WaitForLayer')
    await world.host.interpreter.stop(world.executionArn(stopped))
    await world.until('the restore', async () => (await world.rollout(stopped)).outcome)
    world.simulation.faults.release(keys.vpc)
    await world.pass(30 * minute)
    expect(await sweep()).toMatchObject({ rollouts: 0 })
  })
})

test('a claim that an execution was handed at the moment at which it ended is freed, and its gates are opened', async () => {
  await start()
  const { rollout } = await world.push()
  const { ledger } = world.host
  const claim = await ledger.readClaim('staging', branchOf(branch))
  if (!claim?.newest) throw new Error('there is no claim')
  const leaseUntil = world.clock.now() + leaseMs
  await ledger.writeClaim({ ...claim, version: claim.version + 1, holder: claim.newest, leaseUntil })
  world.edit(keys.app, ({ metadata, spec }) => {
    spec.suspend = true
    metadata.annotations = { ...metadata.annotations, 'lockstep.dev/gate': `${rollout.id} ${branchOf(branch)}` }
  })
  // It may be at its release.
  expect(await sweep()).toMatchObject({ restored: 0 })
  await world.pass(6 * minute)
  expect(await sweep()).toMatchObject({ restored: 1 })
  expect(world.leftovers()).toEqual([])
  expect((await ledger.readClaim('staging', branchOf(branch)))?.holder).toBeUndefined()
})

test('a claim whose rollout has gone silent is freed after two leases: after one it may still be somebody’s', async () => {
  await start()
  const { rollout } = await world.push()
  const { ledger } = world.host
  const claim = await ledger.readClaim('staging', branchOf(branch))
  if (!claim?.newest) throw new Error('there is no claim')
  const { outcome: _, endedAt: __, ...silent } = { ...rollout, id: 'silent.staging' }
  await ledger.writeRollout(silent, 0)
  const holder = { ...claim.newest, rollout: silent.id }
  await ledger.writeClaim({ ...claim, version: claim.version + 1, holder, leaseUntil: world.clock.now() })
  await world.pass(leaseMs - minute)
  expect(await sweep()).toMatchObject({ restored: 0 })
  await world.pass(2 * minute)
  expect(await sweep()).toMatchObject({ restored: 1 })
  expect((await ledger.readClaim('staging', branchOf(branch)))?.holder).toBeUndefined()
})

test('a finding that could not be told is told by the next sweep, before those that came after it', async () => {
  await start()
  for (const key of [keys.vpc, keys.db])
    world.edit(key, ({ spec }) => {
      spec.disableDriftDetection = true
    })
  const { events } = world.host
  const publish = events.publish.bind(events)
  const published: string[] = []
  let isAway = true
  events.publish = async (event) => {
    if (isAway) {
      isAway = false
      throw new Error('the bus is away')
    }
    if (event.type === 'Finding Changed') published.push(event.object ?? '')
    await publish(event)
  }
  // Of each that nobody looks for drift, and that it was changed by hand.
  expect(await sweep()).toMatchObject({ findings: 4, told: 0 })
  expect(await sweep()).toMatchObject({ findings: 4, told: 4 })
  expect(published.sort()).toEqual([keys.db, keys.db, keys.vpc, keys.vpc].sort())
  expect(await sweep()).toMatchObject({ findings: 4, told: 0 })
})

test('drift that nobody corrects is told once, and that it is gone', async () => {
  const byHand = { ...files, 'root/all.yaml': files['root/all.yaml'].map((object) => approvedByHand(object)) }
  world = await World.start(roots, byHand)
  world.simulation.drift(keys.vpc)
  world.edit(keys.vpc, ({ metadata }) => {
    metadata.annotations = { ...metadata.annotations, 'reconcile.fluxcd.io/requestedAt': 'now' }
  })
  const ready = () => {
    const { conditions } = world.object(keys.vpc).status as { conditions: { type: string; status: string }[] }
    return conditions.find(({ type }) => type === 'Ready')?.status
  }
  await world.until('the drift', () => ready() === 'False')
  for (let sweeps = 0; sweeps < 4; sweeps++) {
    await sweep()
    // Whatever it says between its tries.
    await world.pass(7_000)
  }
  expect(told()).toEqual([['new', 'drift', keys.vpc]])
  world.edit(keys.vpc, ({ spec }) => {
    spec.approvePlan = 'auto'
  })
  await world.until('the correction', () => ready() === 'True')
  await sweep()
  expect(told()).toContainEqual(['gone', 'drift', keys.vpc])
})

function approvedByHand(object: (typeof files)['root/all.yaml'][number]): object {
  return object.metadata.name === keys.vpc.split('/').at(-1)
    ? { ...object, spec: { ...object.spec, approvePlan: '' } }
    : object
}
