import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { branchOf } from '../../functions/lib/rollout/branch.ts'
import { requestRelease } from '../../functions/lib/rollout/request-release.ts'
import { simulatedKinds } from '../../infra/local/simulation/kinds.ts'
import { files, keys, roots } from './layered-fleet.ts'
import { World, type WorldOptions } from './world.ts'

let world: World

const start = async (options: WorldOptions = {}) => {
  world = await World.start(roots, files, options)
  return world
}

afterEach(() => world.close())

async function expectClaimFree() {
  const claims = await world.host.ledger.listClaims('staging')
  expect(claims.map(({ holder }) => holder)).toEqual(claims.map(() => undefined))
}

describe('an API server that fails for a while', () => {
  test.each([
    ['429 with Retry-After', { do: 'answer', status: 429, retryAfterSeconds: 2 }],
    ['500', { do: 'answer', status: 500 }],
    ['503', { do: 'answer', status: 503 }],
    ['a conflict', { do: 'answer', status: 409 }],
    ['a cut connection', { do: 'drop' }],
    ['no answer at all', { do: 'hang' }],
  ] as const)('%s: the rollout goes on when it is over', async (_, fault) => {
    await start()
    for (const verb of ['LIST', 'PATCH', 'WATCH'] as const) world.cluster().api.faults.inject({ verb }, fault, 2)
    const ended = await world.push()
    expect(ended).toMatchObject({ status: 'SUCCEEDED', rollout: { outcome: 'succeeded' } })
    expect(world.leftovers()).toEqual([])
  })

  test('watches that drop, and history that is gone, lose no event', async () => {
    await start()
    world.simulation.faults.hang(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.until('database to run', () => world.runs().some(({ key }) => key === keys.db))
    world.cluster().api.dropWatches()
    world.simulation.faults.release(keys.db)
    await world.until('ready', () =>
      world.runs().some(({ key, outcome }) => key === keys.db && outcome === 'succeeded'),
    )
    world.cluster().api.forgetHistory()
    expect((await world.ended(pushed)).rollout.outcome).toBe('succeeded')
  })
})

describe('an API server that refuses', () => {
  test.each([
    [401, 'ClusterUnauthorized', 1],
    // The client asks once more whether it is really forbidden.
    [403, 'ClusterForbidden', 2],
  ] as const)('%d: the rollout fails with the reason, and lets go', async (status, error, asked) => {
    await start()
    world.cluster().api.faults.inject({ verb: 'LIST', kind: 'Terraform' }, { do: 'answer', status }, asked)
    const ended = await world.push()
    expect(ended).toMatchObject({ status: 'FAILED', error: 'RolloutFailed', rollout: { outcome: 'failed' } })
    expect(ended.rollout.failure).toContain(error)
    world.cluster().api.faults.clear()
    await expectClaimFree()
    expect((await world.push()).rollout.outcome).toBe('succeeded')
    expect(world.leftovers()).toEqual([])
  })

  test('403 on a patch in the middle: what was held is opened again', async () => {
    await start()
    world.cluster().api.faults.inject({ verb: 'PATCH', kind: 'Kustomization' }, { do: 'answer', status: 403 }, 2)
    const ended = await world.push()
    expect(ended.rollout).toMatchObject({ outcome: 'failed' })
    expect(ended.rollout.failure).toContain('ClusterForbidden')
    expect(world.leftovers()).toEqual([])
    await expectClaimFree()
  })
})

test('a kind whose CRD is missing is named, and the rest is rolled out', async () => {
  world = await World.start(roots, { 'root/all.yaml': [], 'app/config.yaml': [] })
  world.simulation.store.unregister(simulatedKinds.Terraform)
  const ended = await world.push()
  expect(ended.rollout.outcome).toBe('succeeded')
  expect(ended.rollout.notes.join()).toContain('The cluster does not serve Terraform')
})

test('a source that never fetches ends the rollout at its deadline, with what it says', async () => {
  await start({ deadlines: { fetch: '2m' } })
  world.simulation.faults.fail(keys.source, { reason: 'GitOperationFailed', message: 'authentication required' })
  const ended = await world.push()
  expect(ended.rollout.outcome).toBe('failed')
  expect(ended.rollout.failure).toContain(`SourceNotFetched: ${keys.source}`)
  expect(ended.rollout.failure).toContain('authentication required')
  expect(world.leftovers()).toEqual([])
  await expectClaimFree()
})

test('a Git server that lags behind its own webhook is asked again until it serves the push', async () => {
  await start()
  const pushed = world.announce()
  await world.deliver(pushed)
  await world.reaches(pushed, 'Fetch')
  world.clock.after(20_000, () => world.land(pushed))
  const ended = await world.ended(pushed)
  expect(ended.rollout).toMatchObject({ outcome: 'succeeded', commit: pushed.after })
  expect(ended.rollout.notes.join()).not.toContain('newer')
})

test('a suspended source ends the rollout, and stays suspended', async () => {
  await start()
  world.edit(keys.source, ({ spec }) => {
    spec.suspend = true
  })
  const ended = await world.push()
  expect(ended.rollout.failure).toContain('SourceSuspended')
  expect(world.object(keys.source).spec.suspend).toBe(true)
  expect(world.leftovers()).toEqual([])
})

describe('a source that serves an older commit from its cache once', () => {
  test('is asked again', async () => {
    await start()
    world.simulation.faults.staleSource(keys.vpc)
    const ended = await world.push()
    expect(ended.rollout.outcome).toBe('succeeded')
    expect(ended.rollout.objects.find(({ key }) => key === keys.vpc)?.asked).toBeGreaterThan(1)
  })
})

test('another writer that replaces our token does not make the rollout wait for ever', async () => {
  await start()
  world.simulation.contestToken(keys.ingress, 'theirs')
  expect((await world.push()).rollout.outcome).toBe('succeeded')
})

test('a Terraform run that was lost with its runner is asked for again', async () => {
  await start()
  world.simulation.faults.loseRunner(keys.db)
  expect((await world.push()).rollout.outcome).toBe('succeeded')
})

describe('an execution that is aborted', () => {
  test('leaves nothing behind: its gates are opened and its claim is freed', async () => {
    await start()
    world.simulation.faults.hang(keys.vpc)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.until('the gates', () => world.leftovers().length === 3)
    world.host.interpreter.stop(world.executionArn(pushed), { error: 'Stopped', cause: 'by a person' })
    await world.until('the restore', () => world.leftovers().length === 0)
    await world.until('the claim', async () => {
      const claim = await world.host.ledger.readClaim('staging', branchOf((await world.rollout(pushed)).push))
      return claim?.holder === undefined
    })
    expect((await world.rollout(pushed)).outcome).toBe('failed')
    world.simulation.faults.release(keys.vpc)
    expect((await world.push()).rollout.outcome).toBe('succeeded')
  })

  test('whose successor waits hands over to it', async () => {
    await start()
    world.simulation.faults.hang(keys.vpc)
    const first = world.change()
    await world.deliver(first)
    await world.until('the gates', () => world.leftovers().length === 3)
    world.host.interpreter.stop(world.executionArn(first))
    const second = world.change()
    await world.deliver(second)
    world.simulation.faults.release(keys.vpc)
    expect((await world.ended(second)).rollout.outcome).toBe('succeeded')
    expect(world.leftovers()).toEqual([])
  })
})

describe('a host that is killed and started again', () => {
  test.each(['Claim', 'Plan', 'Gate', 'Fetch', 'OpenLayer', 'WaitForLayer', 'PlanAgain'])(
    'in %s: the rollout goes on',
    async (state) => {
      const directory = mkdtempSync(join(tmpdir(), 'lockstep-'))
      try {
        await start({ directory })
        const pushed = world.change()
        const reached = new Promise<void>((resolve) => {
          world.host.interpreter.onEvent((arn, event) => {
            if (arn === world.executionArn(pushed) && event.stateEnteredEventDetails?.name === state) resolve()
          })
        })
        await world.deliver(pushed)
        await reached
        await world.stopHost()
        await world.startHost()
        const ended = await world.ended(pushed)
        expect(ended).toMatchObject({ status: 'SUCCEEDED', rollout: { outcome: 'succeeded' } })
        expect(world.leftovers()).toEqual([])
      } finally {
        rmSync(directory, { recursive: true, force: true })
      }
    },
  )
})

test('a host that is killed before it has restored an aborted rollout restores it when it is started again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'lockstep-'))
  try {
    await start({ directory })
    world.simulation.faults.hang(keys.vpc)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.until('the gates', () => world.leftovers().length === 3)
    world.cluster().api.faults.inject({ verb: 'LIST' }, { do: 'hang' }, 3)
    world.host.interpreter.stop(world.executionArn(pushed))
    await world.stopHost()
    world.cluster().api.faults.clear()
    expect(world.leftovers()).toHaveLength(3)
    await world.startHost()
    await world.until('the restore', () => world.leftovers().length === 0)
    world.simulation.faults.release(keys.vpc)
    expect((await world.push()).rollout.outcome).toBe('succeeded')
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

describe('a fleet of two clusters', () => {
  const clusters = [
    { name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' },
    { name: 'production', eks: 'prod-eks', region: 'eu-west-1', environment: 'production', after: ['staging'] },
  ]

  test('is rolled out wave after wave', async () => {
    await start({ clusters })
    const pushed = world.change()
    await world.deliver(pushed)
    const production = await world.ended(pushed, 'production')
    const staging = await world.ended(pushed, 'staging')
    expect([staging.rollout.outcome, production.rollout.outcome]).toEqual(['succeeded', 'succeeded'])
    expect(production.rollout.startedAt).toBeGreaterThanOrEqual(staging.rollout.endedAt ?? 0)
  })

  test('stops after a wave whose gates a person has released', async () => {
    await start({ clusters })
    world.simulation.faults.fail(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.reaches(pushed, 'WaitForRecovery')
    await requestRelease(await world.rollout(pushed), 'ana', { ledger: world.host.ledger, clock: world.clock })
    const fleet = `arn:aws:states:us-east-1:000000000000:execution:fleet:${pushed.delivery}`
    await world.until('the end of the fleet', () => world.describe(fleet)?.status === 'SUCCEEDED')
    expect(JSON.parse(world.describe(fleet)?.output ?? '')).toMatchObject({
      outcome: 'released',
      message: expect.stringContaining('1 later wave with 1 cluster did not begin'),
    })
    expect(world.describe(world.executionArn(pushed, 'production'))).toBeUndefined()
  })

  test('stops after a wave that failed', async () => {
    await start({ clusters, holdFor: '1m' })
    world.simulation.faults.fail(keys.db)
    const pushed = world.change()
    await world.deliver(pushed)
    await world.ended(pushed, 'staging')
    const fleet = `arn:aws:states:us-east-1:000000000000:execution:fleet:${pushed.delivery}`
    await world.until('the end of the fleet', () => world.describe(fleet)?.status === 'FAILED')
    expect(world.describe(world.executionArn(pushed, 'production'))).toBeUndefined()
  })
})
