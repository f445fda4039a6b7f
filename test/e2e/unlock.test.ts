import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Host } from '../../infra/local/host.ts'
import { lockedBy } from '../contracts/tofu-driver.ts'
import type { RunningCluster } from './cluster/cluster.ts'
import { clusterOfSuite } from './suite-cluster.ts'
import { briskDeployment } from './tofu/real-tofu-driver.ts'
import { startLockstep } from './unlock/lockstep.ts'
import { type Backend, backends, StateStores } from './unlock/state-stores.ts'
import { UnlockWorld } from './unlock/unlock-world.ts'

/**
 * Guarded unlocks on a real cluster, with the rights that Lockstep has in production. One at a time: there is one
 * tofu-controller, and an unlock stops it.
 */
let stores: StateStores
let cluster: RunningCluster

beforeAll(async () => {
  stores = await StateStores.start()
  for (const [name, value] of Object.entries(stores.env)) vi.stubEnv(name, value)
  cluster = await clusterOfSuite({ tofuDeployment: briskDeployment, runnerEnv: stores.env })
})
afterAll(async () => {
  await cluster?.stop()
  await stores?.close()
  vi.unstubAllEnvs()
})

/** How long an apply lasts that is killed in the middle, in seconds: long enough to be met there. */
const applySeconds = 8

let world: UnlockWorld
let lockstep: Host

async function begin(backend: Backend): Promise<void> {
  world = await UnlockWorld.start(cluster, stores, backend)
  lockstep = await startLockstep({ kubeconfig: cluster.kubeconfigs.lockstep })
}

afterEach(async () => {
  await lockstep?.close()
  await world?.stop()
})

describe.each(backends)('a ghost, its state in %s', (backend) => {
  test('that is silent: the controller is stopped, the lock deleted, and all goes on', async () => {
    await begin(backend)
    const before = { standing: await world.standing(), state: await world.state() }
    const revision = await world.applying(applySeconds)
    await world.driver.killRunner(world.vpc, 'fail')
    const run = await world.ended(lockstep, await world.begun(lockstep))
    expect(run, await world.story(lockstep, run)).toMatchObject({ outcome: 'unlocked', rung: 'quiesce' })
    await world.expectRecovered(revision, before)
  })

  test('that is loud: the controller releases the lock by its id, and all goes on', async () => {
    await begin(backend)
    const before = { standing: await world.standing(), state: await world.state() }
    const revision = await world.applying(applySeconds)
    await world.observed(lockstep, ({ judgement }) => judgement.verdict === 'live')
    await world.driver.killRunner(world.vpc, 'restart')
    const { ID: id } = JSON.parse((await world.lock()) ?? '') as { ID: string }
    await world.driver.until(world.vpc, lockedBy(id))
    const run = await world.ended(lockstep, await world.begun(lockstep))
    expect(run, await world.story(lockstep, run)).toMatchObject({ outcome: 'unlocked', rung: 'controller-assisted' })
    await world.expectRecovered(revision, before)
  })
})
