import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { conditionOf, type DrivenObject, reason } from '../contracts/controller-driver.ts'
import { chartFile, fleetObjects } from '../contracts/fleet-objects.ts'
import { fluxBehaviourContract } from '../contracts/flux-behaviour.contract.ts'
import { type RunningCluster, startCluster } from './cluster/cluster.ts'
import { RealDriver } from './real-driver.ts'

// All at once, since they mostly wait. Longer than a driver waits: what it waited for is in its error.
vi.setConfig({ maxConcurrency: 50 })

let cluster: RunningCluster

beforeAll(async () => {
  // So that the Kustomizations of one test that wait for health do not keep those of another from running.
  cluster = await startCluster({ upstream: inject('upstream'), kustomizeConcurrency: 40 })
})

afterAll(() => cluster?.stop())

fluxBehaviourContract('the real controllers', () => RealDriver.start(cluster), { concurrent: true })

/** Where the simulation has no charts that render, its faults say what happens. */
describe('a HelmRelease that fails, with the real controller', { concurrent: true }, () => {
  const it = test
    .extend('driver', async ({ task: _ }, { onCleanup }) => {
      const driver = await RealDriver.start(cluster)
      onCleanup(() => driver.stop())
      return driver
    })
    .extend('make', ({ driver }) => fleetObjects(driver.namespace))

  const stalled = (object: DrivenObject) => conditionOf(object, 'Stalled')?.status === 'True'

  it('is Stalled once its retries are spent, and a token changes nothing', async ({ driver, make }) => {
    const release = make.ref('HelmRelease', 'web')
    const refused = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'Not_A_Name' } }
    await driver.push({ 'charts/app/Chart.yaml': [chartFile], 'charts/app/templates/refused.yaml': [refused] })
    await driver.apply(make.gitRepository(driver.url))
    await driver.apply(make.helmRelease('web'))
    const first = await driver.until(release, (one) => stalled(one) && one.status?.observedGeneration === 1)
    expect(conditionOf(first.object, 'Stalled')?.reason).toBe('RetriesExceeded')
    expect(conditionOf(first.object, 'Ready')).toMatchObject({ status: 'False', reason: 'InstallFailed' })
    expect(conditionOf(first.object, 'Reconciling')).toBeUndefined()
    const seen = await driver.observe(release)
    await driver.request(release, 't1')
    const second = await driver.until(release, (one) => one.status?.lastHandledReconcileAt === 't1')
    expect(stalled(second.object)).toBe(true)
    expect(second.object.status?.history).toHaveLength(1)
    expect(seen.map(({ object }) => reason(object))).not.toContain('Progressing')
  })

  it('is tried again and again, and never Stalled, when nothing could be released', async ({ driver, make }) => {
    const release = make.ref('HelmRelease', 'web')
    const unknown = { apiVersion: 'nowhere.example.com/v1', kind: 'Unknown', metadata: { name: 'x' } }
    await driver.push({ 'charts/app/Chart.yaml': [chartFile], 'charts/app/templates/unknown.yaml': [unknown] })
    await driver.apply(make.gitRepository(driver.url))
    await driver.apply(make.helmRelease('web'))
    const { object } = await driver.until(release, (one) => reason(one) === 'InstallFailed' && one.status?.failures > 2)
    expect(stalled(object)).toBe(false)
    expect(conditionOf(object, 'Reconciling')?.status).toBe('True')
    expect(object.status).not.toHaveProperty('history')
  })
})
