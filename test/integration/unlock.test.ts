import { afterEach, describe, expect, test } from 'vitest'
import type { LockAccess } from '../../functions/lib/locks/scan/lock-access.ts'
import type { FoundLock } from '../../functions/lib/locks/stores/lock-store.ts'
import { newLockRecord } from '../../infra/local/simulation/tofu/lock-record.ts'
import { appliedState, emptyState } from '../../infra/local/simulation/tofu/state-backend.ts'
import { type UnlockNews, UnlockNewsFeed } from '../../infra/local/views/unlock-news.ts'
import { fleetObjects } from '../contracts/fleet-objects.ts'
import { keyOf, LockedWorld, lockfile, minute, onS3, table } from './locked-world.ts'

const { kustomization, terraform } = fleetObjects('flux-system')

let locked: LockedWorld
afterEach(() => locked.close())

async function start(...objects: readonly object[]): Promise<void> {
  locked = await LockedWorld.start(objects)
}

/** A silent ghost of `vpc`, whose unlock has come to a state. Answers the unlock's id, and how all was before it. */
async function quiescingUpTo(state: string, ...others: readonly object[]) {
  await start(onS3('vpc', [table]), ...others)
  await locked.silentGhost('vpc')
  const before = locked.fields()
  return { unlock: await locked.enters(state), before }
}

const holder = async () => locked.read(async () => (await locked.stateOf('vpc').holder())?.Who)

/** Somebody at a laptop takes the lock that the dead runner held. */
const takeOver = () =>
  locked.read(async () => {
    const state = locked.stateOf('vpc')
    await state.release((await state.holder())?.ID ?? '')
    await state.acquire(newLockRecord('OperationTypeApply', 'ana@laptop', state.path, locked.world.clock.now()))
  })

const apiIsAway = () =>
  locked.world.cluster().api.faults.inject({}, { do: 'answer', status: 503 }, Number.POSITIVE_INFINITY)
const apiIsBack = () => locked.world.cluster().api.faults.clear()

describe('a silent ghost is unlocked by quiescing', () => {
  test.each([
    ['in DynamoDB', onS3('vpc', [table])],
    ['in a lock file', onS3('vpc', [lockfile])],
    ['in both', onS3('vpc', [table, lockfile])],
    ['in a Lease', terraform('vpc', { retryInterval: '5m' })],
  ])('with its lock %s, and everything is as it was', async (_, vpc) => {
    await start(vpc, onS3('other', [table]))
    await locked.silentGhost('vpc')
    const before = locked.fields()
    const { status, run, states, transitions } = await locked.ended(await locked.begun())
    expect([status, run.outcome, run.rung, run.why]).toEqual(['SUCCEEDED', 'unlocked', 'quiesce', undefined])
    expect(locked.fields()).toEqual(before)
    expect(Math.max(states.length, transitions)).toBeLessThanOrEqual(30)
    await locked.verdict('vpc', 'free')
  })

  test('and goes on with a fresh plan, not with the one that was stored before', async () => {
    await start(onS3('vpc', [table]))
    await locked.silentGhost('vpc')
    const stored = locked.world.object(keyOf('vpc')).status
    expect(stored?.plan.pending).toMatch(/^plan-main-/)
    const { run } = await locked.ended(await locked.begun())
    await locked.until('Ready', () => locked.ready('vpc')?.status === 'True' || undefined)
    const { lastPlanAt } = locked.world.object(keyOf('vpc')).status ?? {}
    expect(Date.parse(lastPlanAt)).toBeGreaterThan(run.deletedAt ?? Number.NaN)
    expect(Date.parse(stored?.lastPlanAt)).toBeLessThan(run.deletedAt ?? Number.NaN)
  })

  test('and what applies it is suspended first, and resumed last', async () => {
    locked = await LockedWorld.start([kustomization('infra')], {
      files: { 'infra/vpc.yaml': [onS3('vpc', [table], { suspend: false })] },
    })
    await locked.silentGhost('vpc')
    const before = locked.fields()
    const seen = locked.changesSeen()
    const { run } = await locked.ended(await locked.begun())
    expect([run.outcome, locked.fields()]).toEqual(['unlocked', before])
    expect(seen.map(({ object, value }) => `${object} ${value}`)).toEqual([
      ...['Kustomization/flux-system/infra true', 'Terraform/flux-system/vpc true'],
      ...['Deployment/flux-system/tofu-controller 0', 'Deployment/flux-system/tofu-controller 1'],
      ...['Terraform/flux-system/vpc false', 'Kustomization/flux-system/infra undefined'],
    ])
  })

  test('and each change is in the audit before it is made, and all of it from request to end', async () => {
    await start(onS3('vpc', [table]), onS3('other', [table]))
    await locked.silentGhost('vpc')
    const seen = locked.changesSeen()
    const { run } = await locked.ended(await locked.begun())
    const audit = await locked.read(() => locked.world.host.ledger.listAudit(run.unlock))
    const at = (id: string) => audit.find((record) => record.id === id)?.at ?? Number.NaN
    expect(seen).toHaveLength(6)
    for (const { object, field, value, at: changedAt } of seen) {
      const isMade = field === 'suspend' ? value === true : value === 0
      expect(at(`${isMade ? 'change' : 'undo'}/${object}/${field}`)).toBeLessThanOrEqual(changedAt)
    }
    const times = [
      ...[
        'an unlock is asked for',
        'judged',
        'planned',
        'writing down what will be changed',
        'changing',
        'judged again',
      ],
      ...['the state is backed up', 'deleting the lock', 'having the plan forgotten that was made before the unlock'],
      ...['putting back', 'asking for a fresh plan', 'the fresh plan', 'put back', 'the unlock has ended'],
    ].map((wanted) => audit.find(({ what }) => what === wanted)?.at)
    expect(times).toEqual(times.filter((time) => time !== undefined).toSorted((a, b) => a - b))
    expect(audit.find(({ what }) => what === 'deleting the lock')?.detail.lock).toContain('vpc-tf-runner')
  })
})

test('a person is told of an unlock step by step, and finds it on record', async () => {
  await start(onS3('vpc', [table]))
  const { interpreter, ledger, events, unlockRoutes } = locked.world.host
  const news: UnlockNews[] = []
  const feed = new UnlockNewsFeed({ interpreter, ledger, events, onNews: (each) => news.push(each) })
  await locked.silentGhost('vpc')
  const { run } = await locked.ended(await locked.begun())
  await locked.until('the end to be told', () => news.find(({ what }) => what.startsWith('unlocked')))
  feed.close()
  expect(news.map(({ object }) => object)).toEqual(news.map(() => keyOf('vpc')))
  expect(news.map(({ what }) => what)).toEqual([
    expect.stringMatching(/^judged stale \(its pod has failed\); .*: quiesce$/),
    ...['holds 1 object: no run begins any more', 'waits for runs to end: none is interrupted'],
    ...['stops tofu-controller, which ends the run that hangs', 'judges the lock again, behind the fence'],
    'stale still, and the state is backed up: deletes the lock, if it is what was judged',
    ...[
      'puts back all that it has changed',
      'all is as it was: waits for a fresh plan',
      'unlocked, and planned afresh',
    ],
  ])
  expect(news.at(-1)?.elapsedMs).toBeGreaterThan(4 * minute)
  const latest = await locked.read(() => unlockRoutes.unlockRuns.latest(run.place))
  expect(latest).toMatchObject({ unlock: run.unlock, status: 'SUCCEEDED', run: { outcome: 'unlocked' } })
  expect(latest?.audit).toContainEqual(
    expect.objectContaining({ what: 'changing', to: `${keyOf('vpc')} suspend from null to true` }),
  )
})

describe('where the controller says that the state is locked', () => {
  test('it releases the very lock itself, on both stores, and nothing is stopped', async () => {
    await start(onS3('vpc', [table, lockfile]), onS3('other', [table]))
    await locked.loudGhost('vpc')
    const before = locked.fields()
    const seen = locked.changesSeen()
    const { run } = await locked.ended(await locked.begun())
    expect([run.outcome, run.rung]).toEqual(['unlocked', 'controller-assisted'])
    expect([locked.fields(), seen]).toEqual([before, []])
    // It is asked once, and has not to meet the lock once more before it knows which one is meant.
    const later = locked.world.runs().filter(({ startedAt }) => startedAt > (run.backup?.at ?? 0))
    expect(later.map(({ outcome }) => outcome)).not.toContain('failed')
    await locked.until('Ready', () => locked.ready('vpc')?.status === 'True' || undefined)
    await locked.verdict('vpc', 'free')
  })

  test('and Git declares spec.tfstate, only that one object is held', async () => {
    await start(onS3('vpc', [table], { tfstate: { forceUnlock: 'no' } }), onS3('other', [table]))
    await locked.loudGhost('vpc')
    const before = locked.fields()
    const seen = locked.changesSeen()
    const { run } = await locked.ended(await locked.begun())
    expect([run.outcome, run.rung]).toEqual(['unlocked', 'targeted'])
    expect(locked.fields()).toEqual(before)
    expect(new Set(seen.map(({ object }) => object))).toEqual(new Set([keyOf('vpc')]))
    await locked.until('Ready', () => locked.ready('vpc')?.status === 'True' || undefined)
  })

  test('and a person has suspended the object, it stays suspended, and nothing runs', async () => {
    await start(onS3('vpc', [table]))
    await locked.loudGhost('vpc')
    await locked.until('the lock to be met', () => locked.world.object(keyOf('vpc')).status?.lock?.pending)
    locked.world.edit(keyOf('vpc'), ({ spec }) => {
      spec.suspend = true
    })
    const before = locked.fields()
    const runs = locked.world.runs().length
    const { run } = await locked.ended(await locked.begun())
    expect([run.outcome, run.rung, locked.fields()]).toEqual(['unlocked', 'targeted', before])
    expect([locked.world.runs().length, await holder()]).toEqual([runs, undefined])
  })
})

describe('is refused, with everything as it was', () => {
  test('a lock whose holder lives, whoever asks', async () => {
    await start(onS3('vpc', [table]))
    await locked.applying('vpc')
    await locked.pass(20 * minute)
    const fields = locked.fields()
    const seen = locked.changesSeen()
    const { status, run, states } = await locked.ended(await locked.ask('vpc'))
    expect([status, run.outcome]).toEqual(['SUCCEEDED', 'refused'])
    expect(run.why).toMatch(/^UnlockRefused: its pod and its container run/)
    expect(states).toEqual(['Assess', 'Conclude', 'Outcome', 'Done'])
    expect([locked.fields(), seen, await holder()]).toEqual([fields, [], 'runner@vpc-tf-runner'])
    await locked.pass(5 * minute)
    expect(locked.world.host.interpreter.list({ machine: 'guarded-unlock' })).toHaveLength(1)
  })

  test('one that somebody else holds by now', async () => {
    const { unlock, before } = await quiescingUpTo('StopController')
    await takeOver()
    const { run } = await locked.ended(unlock)
    expect([run.outcome, await holder(), locked.fields()]).toEqual(['refused', 'ana@laptop', before])
  })

  test('one that somebody else takes just before it would be deleted', async () => {
    const storesTaken = (stores: LockAccess['stores']) =>
      stores.map((store) => ({
        ...{ name: store.name, list: store.list.bind(store), read: store.read.bind(store) },
        deleteIfUnchanged: async (found: FoundLock) => {
          await takeOver()
          return store.deleteIfUnchanged(found)
        },
      }))
    const around = (access: LockAccess) => ({ ...access, stores: storesTaken(access.stores) })
    locked = await LockedWorld.start([onS3('vpc', [table])], { around })
    await locked.silentGhost('vpc')
    const before = locked.fields()
    const { run, states } = await locked.ended(await locked.begun())
    expect(states).toContain('DeleteLock')
    expect([run.outcome, await holder(), locked.fields()]).toEqual(['refused', 'ana@laptop', before])
  })

  test('one whose state is written just before its lock would be deleted', async () => {
    const around = (access: LockAccess): LockAccess => ({
      ...access,
      keeper: {
        writesSince: access.keeper.writesSince.bind(access.keeper),
        backUp: async (...asked) => {
          const state = locked.stateOf('vpc')
          await state.write(appliedState((await state.read()) ?? emptyState(), 'another'))
          return access.keeper.backUp(...asked)
        },
      },
    })
    locked = await LockedWorld.start([onS3('vpc', [table])], { around })
    await locked.silentGhost('vpc')
    const before = locked.fields()
    const { run } = await locked.ended(await locked.begun())
    expect([run.outcome, await holder(), locked.fields()]).toEqual(['refused', 'runner@vpc-tf-runner', before])
  })

  test('when a person scales the controller that it has stopped: that stays', async () => {
    const { unlock, before } = await quiescingUpTo('StopController', onS3('other', [table]))
    await locked.pass(30_000)
    locked.editDeployment((deployment) => {
      deployment.spec = { ...deployment.spec, replicas: 2 }
    })
    const { run } = await locked.ended(unlock)
    expect(run.outcome).toBe('refused')
    const deployment = before['Deployment/tofu-controller']
    expect(locked.fields()).toEqual({ ...before, 'Deployment/tofu-controller': { ...deployment, replicas: 2 } })
    expect(await holder()).toBe('runner@vpc-tf-runner')
  })

  test('when a person resumes the object: it stays resumed', async () => {
    const { unlock, before } = await quiescingUpTo('StopController')
    locked.world.edit(keyOf('vpc'), ({ spec }) => {
      spec.suspend = false
    })
    const { run } = await locked.ended(unlock)
    expect([run.outcome, await holder()]).toEqual(['refused', 'runner@vpc-tf-runner'])
    expect(locked.fields()).toEqual({ ...before, 'Terraform/vpc': { ...before['Terraform/vpc'], suspend: false } })
  })
})

test('one of two ghosts is not waited for by the other, whichever is proven dead first', async () => {
  await start(onS3('vpc', [table]), onS3('db', [table]))
  await locked.silentGhost('vpc')
  await locked.pass(3 * minute)
  await locked.silentGhost('db')
  const before = locked.fields()
  const first = await locked.ended(await locked.begun())
  expect(first.run).toMatchObject({ object: keyOf('vpc'), outcome: 'unlocked' })
  await locked.verdict('db', 'free')
  await locked.pass(5 * minute)
  expect(locked.fields()).toEqual(before)
})

test('what a person suspends in the middle stays so, and the unlock goes on', async () => {
  await start(onS3('vpc', [table]), onS3('other', [table]))
  await locked.silentGhost('vpc')
  const before = locked.fields()
  const suspend = (value: boolean) =>
    locked.world.edit(keyOf('other'), ({ spec }) => {
      spec.suspend = value
    })
  // No controller is there that would begin a run in between.
  const unlock = await locked.enters('JudgeAgain', () => {
    suspend(false)
    suspend(true)
  })
  const { run } = await locked.ended(unlock)
  expect(run.outcome).toBe('unlocked')
  expect(locked.fields()).toEqual({ ...before, 'Terraform/other': { ...before['Terraform/other'], suspend: true } })
})

describe('an API server that is away in the middle', () => {
  test('for half a minute delays the unlock', async () => {
    const { unlock, before } = await quiescingUpTo('StopController')
    apiIsAway()
    await locked.pass(30_000)
    apiIsBack()
    const { run } = await locked.ended(unlock)
    expect([run.outcome, locked.fields()]).toEqual(['unlocked', before])
  })

  test.each(['StopController', 'DeleteLock', 'PutBack'])(
    'for more than an hour: all is put back after it, from %s on',
    async (state) => {
      await start(onS3('vpc', [table]), onS3('other', [table]))
      await locked.silentGhost('vpc')
      const before = locked.fields()
      const unlock = await locked.enters(state, apiIsAway)
      await locked.pass(65 * minute)
      apiIsBack()
      const { run } = await locked.ended(unlock)
      expect(run.outcome).toBe(state === 'PutBack' ? 'unlocked' : 'failed')
      // An hour has passed: it may have been tried again already.
      await locked.pass(20 * minute)
      expect(locked.fields()).toEqual(before)
    },
  )
})

describe('an execution that is aborted', () => {
  test.each(['SuspendAppliers', 'StopController', 'DeleteLock', 'WaitForPlan'])(
    'at %s: all is put back',
    async (state) => {
      await start(onS3('vpc', [table]), onS3('other', [table]))
      await locked.silentGhost('vpc')
      const before = locked.fields()
      const unlock = await locked.enters(state, abortNow)
      await locked.pass(10_000)
      expect(locked.deployment()).toMatchObject({ spec: { replicas: 1 } })
      const { run, status } = await locked.ended(unlock)
      expect([status, run.outcome]).toEqual(['ABORTED', 'failed'])
      // The cluster is free for others once nothing of it can arrive any more.
      await locked.pass(6 * minute)
      expect(locked.fields()).toEqual(before)
      const turn = await locked.read(() => locked.world.host.ledger.readUnlock('staging'))
      expect([turn?.intent, turn?.leaseUntil]).toEqual([undefined, 0])
    },
  )

  test('while the API server is away for an hour: all is put back after it', async () => {
    const { before } = await quiescingUpTo('StopController', onS3('other', [table]))
    await locked.pass(10_000)
    apiIsAway()
    abortNow()
    await locked.pass(65 * minute)
    apiIsBack()
    await locked.pass(6 * minute)
    expect(locked.fields()).toEqual(before)
  })
})

function abortNow(): void {
  const { interpreter } = locked.world.host
  for (const { executionArn } of interpreter.list({ machine: 'guarded-unlock', status: 'RUNNING' })) {
    interpreter.stop(executionArn)
  }
}
