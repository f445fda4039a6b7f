import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { podResource } from '../../../infra/local/simulation/kinds.ts'
import { conditionOf, type DrivenObject, ready, reason } from '../../contracts/controller-driver.ts'
import { chartFile, fleetObjects } from '../../contracts/fleet-objects.ts'
import { SimulatedDriver } from '../../contracts/simulated-driver.ts'

const { configMap, gitRepository, helmRelease, kustomization, manifest, ref, terraform } = fleetObjects('flux-system')

const fleet = ref('GitRepository', 'fleet')
const app = ref('Kustomization', 'app')
const vpc = ref('Terraform', 'vpc')
const web = ref('HelmRelease', 'web')
const cluster = ref('Kustomization', 'cluster')

let driver: SimulatedDriver

beforeEach(() => {
  driver = new SimulatedDriver()
})

afterEach(() => driver.stop())

const at = (revision: string) => (object: DrivenObject) =>
  ready(object) === 'True' && object.status?.lastAppliedRevision === revision
const handled = (token: string) => (object: DrivenObject) => object.status?.lastHandledReconcileAt === token

function load(...objects: object[]): void {
  driver.simulation.load(objects as KubernetesObject[])
}

/** A cluster whose root Kustomization applies all else, Ready at the answered revision. */
async function bootstrapped(): Promise<string> {
  const revision = await driver.push({
    'cluster/source.yaml': [gitRepository(driver.url)],
    'cluster/cluster.yaml': [kustomization('cluster')],
    'cluster/app.yaml': [kustomization('app')],
    'cluster/vpc.yaml': [terraform('vpc')],
    'cluster/web.yaml': [helmRelease('web')],
    'charts/app/Chart.yaml': [chartFile],
    'app/a.yaml': [configMap('a')],
  })
  load(gitRepository(driver.url), kustomization('cluster'))
  return revision
}

async function pushed(files: Record<string, readonly object[]> = {}): Promise<string> {
  const revision = await driver.push(files)
  await driver.request(fleet, revision)
  await driver.until(fleet, (object) => object.status?.artifact?.revision === revision)
  return revision
}

function runs(key: string): string[] {
  return driver.simulation.reconciles
    .filter((reconcile) => reconcile.key === key)
    .map(({ trigger, outcome }) => `${trigger} ${outcome}`)
}

describe('load', () => {
  it('puts in all that the roots apply, Ready at the head, before anything runs', async () => {
    const revision = await bootstrapped()
    for (const one of [cluster, app, vpc]) expect(at(revision)((await driver.get(one)) as DrivenObject)).toBe(true)
    expect(ready(await driver.get(web))).toBe('True')
    const chart = await driver.get(ref('HelmChart', 'flux-system-web'))
    expect(chart?.status?.observedSourceArtifactRevision).toBe(revision)
    expect((await driver.get(app))?.metadata).toMatchObject({
      labels: { 'kustomize.toolkit.fluxcd.io/name': 'cluster' },
    })
  })

  it('leaves nothing to do for controllers that start, until the interval', async () => {
    await bootstrapped()
    driver.start()
    await driver.wait(59 * 60_000)
    expect(driver.simulation.reconciles).toEqual([])
    await driver.wait(2 * 60_000)
    expect(runs('Kustomization/flux-system/app')).toEqual(['interval succeeded'])
    expect(runs('Terraform/flux-system/vpc')).toEqual(['interval succeeded'])
  })

  it('gives no status to what is suspended or has no source to serve it', async () => {
    load(gitRepository(driver.url), kustomization('app'))
    await driver.push()
    load(gitRepository(driver.url), terraform('vpc', { suspend: true }))
    expect((await driver.get(app))?.status).toBeUndefined()
    expect((await driver.get(vpc))?.status).toBeUndefined()
  })

  it('goes on from there: a push rolls out', async () => {
    await bootstrapped()
    driver.start()
    const revision = await pushed({ 'app/a.yaml': [configMap('a', { a: '1' })] })
    await driver.until(app, at(revision))
    await driver.until(vpc, at(revision))
  })
})

describe('faults', () => {
  it('fails the next N runs of an object with a reason and a message, then no more', async () => {
    await bootstrapped()
    driver.start()
    await driver.apply(kustomization('app', { retryInterval: '10s' }))
    await driver.wait(2_000)
    driver.simulation.faults.fail('Kustomization/flux-system/app', { reason: 'BuildFailed', message: 'broken' }, 2)
    const revision = await pushed()
    const { object } = await driver.until(app, (one) => ready(one) === 'False')
    expect(conditionOf(object, 'Ready')).toMatchObject({ reason: 'BuildFailed', message: 'broken' })
    await driver.until(app, at(revision))
    expect(runs('Kustomization/flux-system/app').slice(-3)).toEqual([
      'artifact failed',
      'retry failed',
      'retry succeeded',
    ])
  })

  it('fails the fetches of a source until it is cleared, and retries them by itself', async () => {
    const before = await bootstrapped()
    driver.start()
    driver.simulation.faults.fail('GitRepository/flux-system/fleet', { message: 'connection refused' })
    const after = await driver.push()
    await driver.request(fleet, 't1')
    const { object } = await driver.until(fleet, handled('t1'))
    expect(conditionOf(object, 'Ready')).toMatchObject({ reason: 'GitOperationFailed', message: 'connection refused' })
    expect(object.status?.artifact.revision).toBe(before)
    driver.simulation.faults.clear('GitRepository/flux-system/fleet')
    await driver.until(fleet, (one) => one.status?.artifact.revision === after)
  })

  it('delays a source', async () => {
    await bootstrapped()
    driver.start()
    driver.simulation.faults.delay('GitRepository/flux-system/fleet', 20_000)
    const start = driver.now()
    await pushed()
    expect(driver.now() - start).toBe(20_350)
  })

  it('hangs a run while it applies: no token is recorded until it is released', async () => {
    await bootstrapped()
    driver.start()
    driver.simulation.faults.hang('Terraform/flux-system/vpc')
    const revision = await pushed()
    await driver.until(vpc, (object) => conditionOf(object, 'Ready')?.message === 'Applying')
    await driver.request(vpc, 't1')
    await driver.wait(30 * 60_000)
    expect((await driver.get(vpc))?.status?.lastHandledReconcileAt).toBeUndefined()
    expect(conditionOf(await driver.get(vpc), 'Ready')?.message).toBe('Applying')
    driver.simulation.faults.release('Terraform/flux-system/vpc')
    await driver.until(vpc, at(revision))
    await driver.until(vpc, handled('t1'))
  })

  it('handles a token at the revision before, once, when the source cache lags behind', async () => {
    const before = await bootstrapped()
    driver.start()
    await driver.suspend(app, true)
    const after = await pushed()
    await driver.wait(5_000)
    driver.simulation.faults.staleSource('Kustomization/flux-system/app')
    await driver.apply(kustomization('app', { suspend: false }, { 'reconcile.fluxcd.io/requestedAt': 't1' }))
    const { object } = await driver.until(app, handled('t1'))
    expect(at(before)(object)).toBe(true)
    await driver.request(app, 't2')
    await driver.until(app, at(after))
  })

  it('lets another writer overwrite a token, and a push happen in between', async () => {
    await bootstrapped()
    driver.start()
    let later = ''
    driver.simulation.faults.atStart('Kustomization/flux-system/app', () => {
      driver.simulation.overwriteToken('Kustomization/flux-system/app', 'theirs')
      void driver.push().then((revision) => {
        later = revision
      })
    })
    await driver.request(app, 'ours')
    await driver.until(app, handled('theirs'))
    await driver.request(fleet, 't1')
    await driver.until(fleet, handled('t1'))
    expect((await driver.get(fleet))?.status?.artifact.revision).toBe(later)
  })

  it('lets another writer win a race for the token: ours is never reported', async () => {
    await bootstrapped()
    driver.start()
    const seen = await driver.observe(app)
    driver.simulation.contestToken('Kustomization/flux-system/app', 'theirs')
    await driver.request(app, 'ours')
    await driver.until(app, handled('theirs'))
    await driver.wait(10_000)
    expect(seen.map(({ object }) => object.status?.lastHandledReconcileAt)).not.toContain('ours')
  })

  it('loses a run whose runner gets no address: token recorded, nothing counted, nothing more until the interval', async () => {
    await bootstrapped()
    driver.start()
    driver.simulation.faults.loseRunner('Terraform/flux-system/vpc')
    await driver.request(vpc, 't1')
    const { object } = await driver.until(vpc, handled('t1'), 10 * 60_000)
    expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'Unknown', message: 'Reconciliation in progress' })
    expect(object.status?.reconciliationFailures).toBeUndefined()
    expect(driver.store.get(podResource, 'flux-system', 'vpc-tf-runner')).toBeDefined()
    await driver.wait(30 * 60_000)
    expect(runs('Terraform/flux-system/vpc')).toEqual(['requestedAt lost'])
    await driver.request(vpc, 't2')
    await driver.until(vpc, (one) => ready(one) === 'True')
  })
})

describe('controllers that stop', () => {
  it('do nothing, and handle what they missed when they start', async () => {
    await bootstrapped()
    driver.start()
    driver.simulation.stopController('kustomize')
    const revision = await pushed()
    await driver.wait(60_000)
    expect(runs('Kustomization/flux-system/app')).toEqual([])
    driver.simulation.startController('kustomize')
    await driver.until(app, at(revision))
  })

  it('leave a Terraform as it was, with its runner pod, and apply the stored plan first when they are back', async () => {
    await bootstrapped()
    driver.start()
    const revision = await pushed()
    await driver.until(vpc, (object) => conditionOf(object, 'Ready')?.message === 'Applying')
    driver.simulation.stopController('tofu')
    await driver.wait(60_000)
    const left = await driver.get(vpc)
    expect(conditionOf(left, 'Ready')?.message).toBe('Applying')
    expect(left?.status?.plan.pending).not.toBe('')
    expect(driver.store.get(podResource, 'flux-system', 'vpc-tf-runner')).toBeDefined()
    expect(runs('Terraform/flux-system/vpc')).toEqual(['artifact interrupted'])
    const seen = await driver.observe(vpc)
    driver.simulation.startController('tofu')
    await driver.until(vpc, at(revision))
    expect(seen.map(({ object }) => conditionOf(object, 'Ready')?.message)).not.toContain('Terraform Planning')
  })
})

describe('a run', () => {
  it('takes the seconds that its object is annotated with', async () => {
    await driver.push({ 'app/a.yaml': [configMap('a')] })
    load(gitRepository(driver.url), kustomization('app', {}, { 'simulation.lockstep.dev/seconds': '7' }))
    load(terraform('vpc', {}, { 'simulation.lockstep.dev/seconds': '40' }))
    driver.start()
    const revision = await pushed()
    await driver.until(vpc, at(revision))
    const seconds = driver.simulation.reconciles.map(({ key, startedAt, finishedAt = 0 }) => [
      key,
      Math.round((finishedAt - startedAt) / 1_000),
    ])
    expect(Object.fromEntries(seconds)).toMatchObject({
      'Kustomization/flux-system/app': 7,
      'Terraform/flux-system/vpc': 40,
    })
  })

  it('of a Terraform has a runner pod of its own, gone 5 s after it', async () => {
    await bootstrapped()
    driver.start()
    const pods: string[] = []
    driver.store.subscribe(podResource, ({ type, object }) => pods.push(`${type} ${object.metadata.name}`))
    const revision = await pushed()
    await driver.until(vpc, at(revision))
    expect(pods.at(-1)).toBe('MODIFIED vpc-tf-runner')
    await driver.wait(5_100)
    expect(pods.at(-1)).toBe('DELETED vpc-tf-runner')
  })

  it('of a drifted Terraform plans and applies where it may, and reports DriftDetected where it may not', async () => {
    const revision = await bootstrapped()
    driver.start()
    driver.simulation.drift('Terraform/flux-system/vpc')
    await driver.request(vpc, 't1')
    const { object } = await driver.until(vpc, handled('t1'))
    expect(at(revision)(object)).toBe(true)
    expect(object.status?.lastAppliedByDriftDetectionAt).toBeDefined()
    await driver.apply(terraform('vpc', { approvePlan: '' }))
    await driver.wait(10_000)
    driver.simulation.drift('Terraform/flux-system/vpc')
    await driver.request(vpc, 't2')
    const drifted = await driver.until(vpc, (one) => reason(one) === 'DriftDetected')
    expect(drifted.object.status?.plan.pending).toBeUndefined()
  })

  it('of a Kustomization keeps kinds that nothing serves in its inventory, and fails on a Flux kind without its CRD', async () => {
    const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'default' } }
    await driver.push({ 'app/deployment.yaml': [deployment] })
    load(gitRepository(driver.url), kustomization('app', { wait: true }))
    driver.start()
    const revision = await pushed()
    const { object } = await driver.until(app, at(revision))
    expect(object.status?.inventory.entries).toEqual([{ id: 'default_web_apps_Deployment', v: 'v1' }])
    driver.store.unregister(resources.HelmRelease)
    await pushed({ 'app/web.yaml': [helmRelease('web')] })
    const failed = await driver.until(app, (one) => ready(one) === 'False')
    expect(conditionOf(failed.object, 'Ready')?.message).toContain('no matches for kind "HelmRelease"')
  })

  it('goes on where a CRD is missing from the start, or goes away in the middle', async () => {
    driver.store.unregister(resources.HelmRelease)
    await driver.push({ 'app/a.yaml': [configMap('a')] })
    load(gitRepository(driver.url), kustomization('app'), terraform('vpc'))
    driver.start()
    const revision = await pushed()
    await driver.until(vpc, (object) => conditionOf(object, 'Ready')?.message === 'Applying')
    driver.store.unregister(resources.Terraform)
    await driver.until(app, at(revision))
    await driver.wait(60_000)
    expect(runs('Terraform/flux-system/vpc')).toHaveLength(1)
  })

  it('of an object whose spec cannot be read says so in its status', async () => {
    driver.start()
    await driver.apply(manifest('Kustomization', 'app', { interval: 'soon', sourceRef: 1 }))
    const { object } = await driver.until(app, (one) => ready(one) === 'False')
    expect(reason(object)).toBe('InvalidSpec')
  })
})

describe('a HelmRelease', () => {
  it('that fails is Stalled RetriesExceeded after its retries, with its observedGeneration advanced', async () => {
    await bootstrapped()
    driver.start()
    driver.simulation.faults.fail('HelmRelease/flux-system/web')
    await driver.apply(helmRelease('web', { values: { a: 1 }, upgrade: { remediation: { retries: 2 } } }))
    const { object } = await driver.until(web, (one) => one.status?.observedGeneration === one.metadata.generation)
    expect(conditionOf(object, 'Stalled')?.reason).toBe('RetriesExceeded')
    expect(reason(object)).toBe('UpgradeFailed')
    expect(runs('HelmRelease/flux-system/web')).toEqual(['generation failed', 'retry failed', 'retry failed'])
    driver.simulation.faults.clear('HelmRelease/flux-system/web')
    await driver.request(web, 't1')
    await driver.until(web, handled('t1'))
    expect(conditionOf(await driver.get(web), 'Stalled')?.status).toBe('True')
    await driver.apply(helmRelease('web', { values: { a: 2 } }))
    expect(reason((await driver.until(web, (one) => ready(one) === 'True')).object)).toBe('UpgradeSucceeded')
  })

  it('with a chart from a Helm repository has the version of its spec', async () => {
    const sourceRef = { kind: 'HelmRepository', name: 'bitnami' }
    const repository = {
      apiVersion: 'source.toolkit.fluxcd.io/v1',
      kind: 'HelmRepository',
      metadata: { name: 'bitnami', namespace: 'flux-system' },
      spec: { interval: '1h', url: 'https://charts.example.com' },
    }
    load(repository, helmRelease('web', { chart: { spec: { chart: 'redis', version: '18.x', sourceRef } } }))
    driver.start()
    expect(ready(await driver.get(web))).toBe('True')
    expect((await driver.get(web))?.status?.lastAttemptedRevision).toBe('18.0.0')
  })
})

describe('an OCIRepository', () => {
  it('serves what was published, with the Git origin in its metadata and in lastAppliedOriginRevision', async () => {
    const oci = manifest('OCIRepository', 'fleet', { interval: '1h', url: 'oci://ghcr.io/my-org/fleet' })
    const sourceRef = { kind: 'OCIRepository', name: 'fleet' }
    const originRevision = await driver.push({ 'app/a.yaml': [configMap('a')] })
    const digest = `sha256:${'a'.repeat(64)}`
    driver.simulation.registry.publish('oci://ghcr.io/my-org/fleet', 'latest', {
      digest,
      originRevision,
      originSource: driver.url,
    })
    load(oci, kustomization('app', { sourceRef }))
    expect((await driver.get(app))?.status).toMatchObject({
      lastAppliedRevision: `latest@${digest}`,
      lastAppliedOriginRevision: originRevision,
    })
    driver.start()
    const next = await driver.push({ 'app/a.yaml': [configMap('a', { a: '1' })] })
    driver.simulation.registry.publish('oci://ghcr.io/my-org/fleet', 'latest', {
      digest: `sha256:${'b'.repeat(64)}`,
      originRevision: next,
      originSource: driver.url,
    })
    await driver.request(ref('OCIRepository', 'fleet'), 't1')
    await driver.until(app, (object) => object.status?.lastAppliedOriginRevision === next)
  })
})

describe('the log of reconciles', () => {
  it('shows one run for each of 1,000 objects on a source that has a new artifact', async () => {
    const files: Record<string, object[]> = { 'leaf/a.yaml': [configMap('a')] }
    for (let index = 0; index < 500; index++) {
      files[`cluster/k${index}.yaml`] = [kustomization(`k${index}`, { path: './leaf' })]
      files[`cluster/t${index}.yaml`] = [terraform(`t${index}`)]
    }
    await driver.push(files)
    load(gitRepository(driver.url), kustomization('cluster'))
    driver.start()
    await pushed({ 'leaf/a.yaml': [configMap('a', { a: '1' })] })
    await driver.wait(10 * 60_000)
    const { reconciles } = driver.simulation
    expect(new Set(reconciles.map(({ key }) => key)).size).toBe(1_002)
    expect(reconciles.map(({ outcome }) => outcome)).toEqual(Array(1_002).fill('succeeded'))
  })

  it('never has two runs of one object at the same time, whatever is asked meanwhile', async () => {
    await bootstrapped()
    driver.start()
    await pushed()
    for (let count = 0; count < 30; count++) {
      await driver.request(app, `t${count}`)
      await driver.wait(70)
    }
    await driver.until(app, handled('t29'))
    const own = driver.simulation.reconciles.filter(({ key }) => key === 'Kustomization/flux-system/app')
    expect(own.length).toBeGreaterThan(2)
    for (const [index, { startedAt }] of own.entries()) {
      expect(startedAt).toBeGreaterThanOrEqual(own[index - 1]?.finishedAt ?? 0)
    }
  })
})
