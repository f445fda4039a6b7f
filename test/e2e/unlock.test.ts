import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Host } from '../../infra/local/host.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { lockedBy } from '../contracts/tofu-driver.ts'
import type { RunningCluster } from './cluster/cluster.ts'
import { kinds } from './cluster/kinds.ts'
import { deploymentKey } from './cluster/tofu-controller-deployment.ts'
import { clusterOfSuite } from './suite-cluster.ts'
import { briskDeployment } from './tofu/real-tofu-driver.ts'
import { expectRecovered } from './unlock/expect-recovered.ts'
import { KilledLockstep } from './unlock/killed-lockstep.ts'
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
let lockstep: Host | undefined

/** Everything applied, and Lockstep looking on. */
async function begin(backend: Backend): Promise<Host> {
  world = await UnlockWorld.start(cluster, stores, backend)
  lockstep = await startLockstep({ kubeconfig: cluster.kubeconfigs.lockstep })
  return lockstep
}

afterEach(async () => {
  await lockstep?.close()
  lockstep = undefined
  await world?.stop()
})

describe.each(backends)('a ghost, its state in %s', (backend) => {
  test('that is silent: the controller is stopped, the lock deleted, and all goes on', async () => {
    const lockstep = await begin(backend)
    const { run: begun, revision, before } = await world.silentGhost(lockstep, applySeconds)
    const run = await world.ended(lockstep, begun)
    expect(run, await world.story(lockstep, run)).toMatchObject({ outcome: 'unlocked', rung: 'quiesce' })
    await expectRecovered(world, revision, before)
  })

  test('that is loud: the controller releases the lock by its id, and all goes on', async () => {
    const lockstep = await begin(backend)
    const before = await world.looks()
    const revision = await world.applying(applySeconds)
    await world.observed(lockstep, ({ judgement }) => judgement.verdict === 'live')
    await world.driver.killRunner(world.vpc, 'restart')
    const { ID: id } = JSON.parse((await world.lock()) ?? '') as { ID: string }
    await world.driver.until(world.vpc, lockedBy(id))
    const run = await world.ended(lockstep, await world.begun(lockstep))
    expect(run, await world.story(lockstep, run)).toMatchObject({ outcome: 'unlocked', rung: 'controller-assisted' })
    await expectRecovered(world, revision, before)
  })
})

describe('a lock whose holder is alive', () => {
  const since = (lock = '') => Date.now() - Date.parse((JSON.parse(lock) as { Created: string }).Created)

  /** Longer than what makes a ghost of a lock whose holder is dead. */
  const longMs = 30_000

  async function refused(lockstep: Host, scene: string | undefined): Promise<void> {
    const before = await world.looks()
    const live = await world.observed(lockstep, ({ judgement }) => {
      return judgement.verdict === 'live' && judgement.scene === scene && since(before.lock) > longMs
    })
    const run = await world.ask(lockstep, live)
    expect(run, await world.story(lockstep, run)).toMatchObject({ outcome: 'refused' })
    expect(run.why).toContain('its container run')
    expect(run.begunAt).toBeUndefined()
    expect(await world.looks()).toEqual(before)
    const runs = await lockstep.ledger.listUnlockRuns('staging', 10)
    expect(runs.map(({ unlock }) => unlock)).toEqual([run.unlock])
  }

  test('a slow apply is not unlocked, though a person asks for it, and ends by itself', async () => {
    const lockstep = await begin('s3 with an item')
    const before = await world.looks()
    const revision = await world.applying(90)
    await refused(lockstep, undefined)
    await expectRecovered(world, revision, before)
  })

  test('an apply that goes on without its controller is not unlocked either', async () => {
    const lockstep = await begin('s3 with a lock file')
    await world.applying(600)
    await world.driver.killManager({ connections: 'black-holed' })
    await refused(lockstep, 'live orphan')
    expect(cluster.tofu?.faults.isRunnerAlive(world.key)).toBe(true)
  })
})

describe('a person in the middle of an unlock', () => {
  /** The controller is being stopped. */
  async function stopping(lockstep: Host) {
    const { run } = await world.silentGhost(lockstep, applySeconds)
    await world.entered(lockstep, run, 'StopController')
    await cluster.api.until(deploymentKey, 'scaled to 0', ({ spec }) => spec?.replicas === 0)
    return run
  }

  test('who scales the controller keeps it so, and the rest is put back', async () => {
    const lockstep = await begin('s3 with an item')
    const { standing } = await world.looks()
    const begun = await stopping(lockstep)
    const lock = await world.lock()
    await world.driver.scale(2)
    try {
      const run = await world.ended(lockstep, begun)
      expect(run, await world.story(lockstep, run)).toMatchObject({ outcome: 'refused' })
      expect(await world.standing()).toEqual({ ...standing, replicas: 2 })
      expect(await world.lock()).toBe(lock)
    } finally {
      await world.driver.scale(1)
    }
  })

  test('who suspends the object keeps it so, and the rest is put back', async () => {
    const lockstep = await begin('kubernetes')
    const { standing } = await world.looks()
    const begun = await stopping(lockstep)
    const lock = await world.lock()
    // As Git would: nothing but the field, by whatever name but ours.
    const { namespace, name } = world.vpc
    const suspended = { ...kinds.Terraform, metadata: { namespace, name }, spec: { suspend: true } }
    await cluster.api.apply(suspended as KubernetesObject, { fieldManager: 'ana' })
    const run = await world.ended(lockstep, begun)
    expect(run, await world.story(lockstep, run)).toMatchObject({ outcome: 'refused' })
    expect(await world.standing()).toEqual({
      ...standing,
      suspended: { ...standing.suspended, [world.vpc.name]: true },
    })
    expect(await world.lock()).toBe(lock)
  })
})

describe('what fails in the middle of an unlock', () => {
  test('the API server, for a minute: all is put back when it is there again, and the ghost recovered', async () => {
    const lockstep = await begin('s3 with an item')
    const { run: begun, revision, before } = await world.silentGhost(lockstep, applySeconds)
    await world.entered(lockstep, begun, 'StopController')
    await cluster.stopProcess('kube-apiserver')
    await pause(60_000)
    await cluster.startProcess('kube-apiserver')
    const run = await world.ended(lockstep, begun)
    const story = await world.story(lockstep, run)
    expect(run, story).toMatchObject({ rung: 'quiesce', outcome: 'unlocked' })
    await expectRecovered(world, revision, before)
  })

  test('Lockstep, killed at each of its steps and started again: all is put back, and the ghost recovered', async () => {
    world = await UnlockWorld.start(cluster, stores, 's3 with an item')
    const before = await world.looks()
    const killable = await KilledLockstep.start(cluster, world.driver.namespace, stores.env)
    const killed: string[] = []
    try {
      const revision = await world.applying(applySeconds)
      await world.driver.killRunner(world.vpc, 'fail')
      for (;;) {
        const state = await killable.stateOrEnd((each) => isStep(each) && !killed.includes(each))
        if (state === undefined) break
        killed.push(state)
        await killable.kill()
        await killable.start()
      }
      await expectRecovered(world, revision, before)
    } finally {
      await killable.kill()
    }
    // What is over within milliseconds may be missed; these are not.
    for (const step of ['Assess', 'WriteIntent', 'StopController', 'JudgeAgain', 'WaitForPlan']) {
      expect(killed).toContain(step)
    }
    expect(killed.length).toBeGreaterThanOrEqual(8)
    expect(killable.output()).toEqual({ outcome: 'unlocked', why: '' })
  })
})

/** States in which something is done. */
function isStep(state: string): boolean {
  const steps = [
    ...['Assess', 'WriteIntent', 'SuspendAppliers', 'DrainRuns', 'StopController', 'FenceRunner', 'JudgeAgain'],
    ...['WaitForQuiet', 'BackUpState', 'DeleteLock', 'PutBack', 'WaitForPlan', 'Conclude'],
  ]
  return steps.includes(state)
}
