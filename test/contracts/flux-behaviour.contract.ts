import { describe, expect, test } from 'vitest'
import { type ControllerDriver, conditionOf, type DrivenObject, ready, reason } from './controller-driver.ts'
import { chartFile, fleetObjects } from './fleet-objects.ts'

const appliedAt = (revision: string) => (object: DrivenObject) =>
  ready(object) === 'True' && object.status?.lastAppliedRevision === revision
const handled = (token: string) => (object: DrivenObject) => object.status?.lastHandledReconcileAt === token
/** A HelmRelease whose last run is over. */
const settled = (object: DrivenObject) =>
  ready(object) === 'True' &&
  conditionOf(object, 'Reconciling') === undefined &&
  object.status?.observedGeneration === object.metadata.generation
const serves = (revision: string) => (object: DrivenObject) => object.status?.artifact?.revision === revision

/** What the tests have in their namespace: base and app on one source, and a release `web`. */
function fluxFleet(driver: ControllerDriver) {
  const make = fleetObjects(driver.namespace)
  const source = make.ref('GitRepository', 'fleet')
  const base = make.ref('Kustomization', 'base')
  const app = make.ref('Kustomization', 'app')
  const release = make.ref('HelmRelease', 'web')
  const chart = make.ref('HelmChart', `${driver.namespace}-web`)

  const fetch = async (token: string) => {
    await driver.request(source, token)
    await driver.until(source, handled(token))
  }
  /** Answers the revision at which base and app are Ready. */
  const rolledOut = async (appSpec: object = {}, baseSpec: object = {}) => {
    const revision = await driver.push({ 'base/a.yaml': [make.configMap('a')], 'app/b.yaml': [make.configMap('b')] })
    await driver.apply(make.gitRepository(driver.url))
    await driver.apply(make.kustomization('base', baseSpec))
    await driver.apply(make.kustomization('app', appSpec))
    await driver.until(base, appliedAt(revision))
    await driver.until(app, appliedAt(revision))
    return revision
  }
  /** Answers the revision of its chart. */
  const released = async (spec: object = {}) => {
    const revision = await driver.push({ 'charts/app/Chart.yaml': [chartFile] })
    await driver.apply(make.gitRepository(driver.url))
    await driver.apply(make.helmRelease('web', spec))
    await driver.until(release, settled)
    // source-controller may pack a new chart twice, from a cache that lags, and finds at its next run that the file is
    // not the one that it tells of: then there is no artifact until it has packed it again.
    await driver.request(chart, 'settle')
    await driver.until(chart, (one) => handled('settle')(one) && ready(one) === 'True' && one.status?.artifact)
    await driver.wait(1_000)
    await driver.until(release, settled)
    return revision
  }
  return { ...make, source, base, app, release, chart, fetch, rolledOut, released }
}

/**
 * What Lockstep depends on in source-, kustomize- and helm-controller. `setup` answers an empty namespace of a running
 * cluster, a new one for each test. `concurrent` where waiting takes real time.
 */
export function fluxBehaviourContract(
  name: string,
  setup: () => Promise<ControllerDriver>,
  { concurrent = false } = {},
): void {
  const it = test
    // vitest wants its context destructured.
    .extend('driver', async ({ task: _ }, { onCleanup }) => {
      const driver = await setup()
      onCleanup(() => driver.stop())
      return driver
    })
    .extend('fleet', ({ driver }) => fluxFleet(driver))

  describe(`Flux's behaviour: ${name}`, { concurrent }, () => {
    it('a source serves a pushed commit once its token is handled, not before', async ({ driver, fleet }) => {
      const before = await fleet.rolledOut()
      const after = await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await driver.wait(2_000)
      expect((await driver.get(fleet.source))?.status?.artifact.revision).toBe(before)
      await fleet.fetch('t1')
      expect((await driver.get(fleet.source))?.status?.artifact.revision).toBe(after)
    })

    it('a fetch without a new commit records the token and keeps the artifact', async ({ driver, fleet }) => {
      await fleet.rolledOut()
      const before = (await driver.get(fleet.source))?.status?.artifact
      // So that a new artifact would have another lastUpdateTime.
      await driver.wait(2_000)
      await fleet.fetch('t1')
      expect((await driver.get(fleet.source))?.status?.artifact).toEqual(before)
    })

    it('a source is Ready all the time when there is no new commit, and not while it stores one', async ({
      driver,
      fleet,
    }) => {
      await fleet.rolledOut()
      const idle = await driver.observe(fleet.source)
      await fleet.fetch('t1')
      expect(idle.map(({ object }) => ready(object))).not.toContain('Unknown')
      const storing = await driver.observe(fleet.source)
      await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await fleet.fetch('t2')
      expect(storing.map(({ object }) => ready(object))).toContain('Unknown')
    })

    it('a new artifact and the token come in one write, after Ready', async ({ driver, fleet }) => {
      const before = await fleet.rolledOut()
      const seen = await driver.observe(fleet.source)
      const after = await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await fleet.fetch('t1')
      const stored = seen.find(
        ({ object }) => conditionOf(object, 'Ready')?.message.includes(after) && ready(object) === 'True',
      )
      expect(serves(before)(stored?.object ?? { metadata: { name: '' } })).toBe(true)
      const first = seen.find(({ object }) => serves(after)(object))
      expect(first?.object.status?.lastHandledReconcileAt).toBe('t1')
    })

    it('a branch that does not exist is Ready False GitOperationFailed, and the object has no artifact', async ({
      driver,
      fleet,
    }) => {
      await driver.push()
      await driver.apply(fleet.gitRepository(driver.url, { ref: { branch: 'missing' } }))
      const { object } = await driver.until(fleet.source, (source) => ready(source) === 'False')
      expect(reason(object)).toBe('GitOperationFailed')
      expect(object.status?.artifact).toBeUndefined()
    })

    it('a new artifact triggers every Kustomization on the source, annotated or not', async ({ driver, fleet }) => {
      await fleet.rolledOut()
      const revision = await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await fleet.fetch('t1')
      await driver.until(fleet.base, appliedAt(revision))
      await driver.until(fleet.app, appliedAt(revision))
    })

    it('a suspended Kustomization records the token and does not run', async ({ driver, fleet }) => {
      const before = await fleet.rolledOut()
      await driver.suspend(fleet.app, true)
      await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await fleet.fetch('t1')
      await driver.request(fleet.app, 't2')
      const { object } = await driver.until(fleet.app, handled('t2'))
      expect(object.status).toMatchObject({ lastAppliedRevision: before, lastAttemptedRevision: before })
    })

    it('a suspended Kustomization that is Ready has its observedGeneration moved without a run', async ({
      driver,
      fleet,
    }) => {
      await fleet.rolledOut()
      const seen = await driver.observe(fleet.app)
      await driver.suspend(fleet.app, true)
      await driver.until(fleet.app, (one) => one.metadata.generation === 2 && one.status?.observedGeneration === 2)
      expect(seen.filter(({ object }) => ready(object) !== 'True')).toEqual([])
    })

    it('a suspended source records the token and does not fetch', async ({ driver, fleet }) => {
      const before = await fleet.rolledOut()
      await driver.suspend(fleet.source, true)
      await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await fleet.fetch('t1')
      expect((await driver.get(fleet.source))?.status?.artifact.revision).toBe(before)
    })

    it('opening a suspended Kustomization runs it at what the source serves by then', async ({ driver, fleet }) => {
      await fleet.rolledOut()
      await driver.suspend(fleet.app, true)
      const revision = await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await fleet.fetch('t1')
      await driver.suspend(fleet.app, false)
      const { object } = await driver.until(fleet.app, appliedAt(revision))
      expect(object.status?.observedGeneration).toBe(object.metadata.generation)
    })

    it('an unmet dependency is DependencyNotReady and is looked at again only after 30 s', async ({
      driver,
      fleet,
    }) => {
      await fleet.rolledOut({ dependsOn: [{ name: 'base' }] })
      const revision = await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await driver.request(fleet.source, 't1')
      const refused = await driver.until(fleet.app, (object) => reason(object) === 'DependencyNotReady')
      const baseReady = await driver.until(fleet.base, appliedAt(revision))
      const appReady = await driver.until(fleet.app, appliedAt(revision))
      expect(appReady.at - refused.at).toBeGreaterThan(25_000)
      expect(baseReady.at).toBeLessThan(appReady.at)
    })

    it('Ready=True and lastAppliedRevision are two patches, conditions first', async ({ driver, fleet }) => {
      await fleet.rolledOut()
      const seen = await driver.observe(fleet.app)
      const revision = await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await fleet.fetch('t1')
      await driver.until(fleet.app, appliedAt(revision))
      const ready1 = seen.find(
        ({ object }) => conditionOf(object, 'Ready')?.message === `Applied revision: ${revision}`,
      )
      expect(ready(ready1?.object)).toBe('True')
      expect(ready1?.object.status?.lastAppliedRevision).not.toBe(revision)
    })

    it('a run begins with Ready Unknown and Reconciling in one write, and says what it does', async ({
      driver,
      fleet,
    }) => {
      await fleet.rolledOut()
      const seen = await driver.observe(fleet.app)
      const revision = await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await fleet.fetch('t1')
      await driver.until(fleet.app, appliedAt(revision))
      const running = seen.filter(({ object }) => conditionOf(object, 'Reconciling')?.status === 'True')
      const first = running[0]?.object
      expect(conditionOf(first, 'Ready')).toMatchObject({ status: 'Unknown', message: 'Reconciliation in progress' })
      expect(conditionOf(first, 'Reconciling')?.message).toMatch(`Fetching manifests for revision ${revision} `)
      const building = running.findIndex(({ object }) =>
        conditionOf(object, 'Reconciling')?.message.startsWith(`Building manifests for revision ${revision} `),
      )
      expect(building).toBeGreaterThan(0)
      const attempted = running.findIndex(({ object }) => object.status?.lastAttemptedRevision === revision)
      expect(attempted).toBeGreaterThan(building)
    })

    it('a path that is not in the repository is ArtifactFailed, and neither revision nor generation move', async ({
      driver,
      fleet,
    }) => {
      const before = await fleet.rolledOut()
      await driver.push({ 'app/b.yaml': [], 'other/b.yaml': [fleet.configMap('b')] })
      await fleet.fetch('t1')
      // The controller may know the source's new revision later than whoever asked for it: until then it would reconcile the old one.
      await driver.until(fleet.app, (one) => ready(one) === 'False')
      await driver.apply(fleet.kustomization('app', { retryInterval: '10s' }))
      await driver.request(fleet.app, 't2')
      const { object } = await driver.until(fleet.app, handled('t2'))
      expect(object.metadata.generation).toBe(2)
      expect(reason(object)).toBe('ArtifactFailed')
      expect(conditionOf(object, 'Ready')?.message).toMatch(/^kustomization path not found: /)
      expect(object.status).toMatchObject({ observedGeneration: 1, lastAttemptedRevision: before })
      expect(conditionOf(object, 'Reconciling')?.reason).toBe('ProgressingWithRetry')
    })

    it('a build that fails is BuildFailed at the attempted revision, and observedGeneration stays behind', async ({
      driver,
      fleet,
    }) => {
      const before = await fleet.rolledOut()
      const resources = ['missing.yaml']
      const revision = await driver.push({
        'app/kustomization.yaml': [{ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', resources }],
      })
      await driver.apply(fleet.kustomization('app', { timeout: '5m' }))
      await fleet.fetch('t1')
      const { object } = await driver.until(fleet.app, (one) => ready(one) === 'False')
      expect(reason(object)).toBe('BuildFailed')
      expect(object.status).toMatchObject({ lastAttemptedRevision: revision, lastAppliedRevision: before })
      expect(conditionOf(object, 'Reconciling')).toMatchObject({
        reason: 'ProgressingWithRetry',
        message: expect.stringMatching(/^Building manifests for revision /),
      })
    })

    it('a failed run is tried again after retryInterval, and heals by itself', async ({ driver, fleet }) => {
      await fleet.rolledOut()
      await driver.apply(fleet.kustomization('app', { path: './later', retryInterval: '10s' }))
      await driver.until(fleet.app, (one) => ready(one) === 'False')
      const revision = await driver.push({ 'later/c.yaml': [fleet.configMap('c')] })
      await fleet.fetch('t1')
      await driver.until(fleet.app, appliedAt(revision))
    })

    it('a Kustomization without a source is ArtifactFailed and still records the token', async ({ driver, fleet }) => {
      await driver.apply(fleet.kustomization('app'))
      await driver.until(fleet.app, (one) => reason(one) === 'ArtifactFailed')
      await driver.request(fleet.app, 't1')
      await driver.until(fleet.app, handled('t1'))
    })

    it('a Kustomization applies others, labelled with its name, and prunes them with what they applied', async ({
      driver,
      fleet,
    }) => {
      const child = fleet.ref('Kustomization', 'child')
      const grandchild = fleet.ref('Kustomization', 'grandchild')
      const revision = await driver.push({
        'app/child.yaml': [fleet.kustomization('child')],
        'child/grandchild.yaml': [fleet.kustomization('grandchild', { path: './leaf' })],
        'leaf/a.yaml': [fleet.configMap('a')],
      })
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app'))
      await driver.until(grandchild, appliedAt(revision))
      expect((await driver.get(child))?.metadata).toMatchObject({
        labels: {
          'kustomize.toolkit.fluxcd.io/name': 'app',
          'kustomize.toolkit.fluxcd.io/namespace': driver.namespace,
        },
      })
      const next = await driver.push({ 'app/child.yaml': [], 'app/a.yaml': [fleet.configMap('a')] })
      await fleet.fetch('t1')
      await driver.until(fleet.app, appliedAt(next))
      await driver.wait(5_000)
      expect(await driver.get(child)).toBeUndefined()
      expect(await driver.get(grandchild)).toBeUndefined()
    })

    it('a spec.suspend that Git does not set survives the next apply', async ({ driver, fleet }) => {
      const child = fleet.ref('Kustomization', 'child')
      const first = await driver.push({
        'app/child.yaml': [fleet.kustomization('child')],
        'child/a.yaml': [fleet.configMap('a')],
      })
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app'))
      await driver.until(child, appliedAt(first))
      await driver.suspend(child, true)
      const second = await driver.push({ 'child/a.yaml': [fleet.configMap('a', { a: '1' })] })
      await fleet.fetch('t1')
      await driver.until(fleet.app, appliedAt(second))
      expect((await driver.get(child))?.spec.suspend).toBe(true)
    })

    it('what kubectl set is undone by the next apply, even if Git does not set it', async ({ driver, fleet }) => {
      const child = fleet.ref('Kustomization', 'child')
      const first = await driver.push({
        'app/child.yaml': [fleet.kustomization('child')],
        'child/a.yaml': [fleet.configMap('a')],
      })
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app'))
      await driver.until(child, appliedAt(first))
      await driver.suspend(child, true, 'kubectl-patch')
      const second = await driver.push({ 'child/a.yaml': [fleet.configMap('a', { a: '1' })] })
      await fleet.fetch('t1')
      await driver.until(fleet.app, appliedAt(second))
      expect((await driver.get(child))?.spec.suspend ?? false).toBe(false)
    })

    it('a spec.suspend that Git sets is put back by the next apply', async ({ driver, fleet }) => {
      const child = fleet.ref('Kustomization', 'child')
      const files = {
        'app/child.yaml': [fleet.kustomization('child', { suspend: false })],
        'child/a.yaml': [fleet.configMap('a')],
      }
      const first = await driver.push(files)
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app'))
      await driver.until(child, appliedAt(first))
      await driver.suspend(child, true)
      const second = await driver.push({ 'child/a.yaml': [fleet.configMap('a', { a: '1' })] })
      await fleet.fetch('t1')
      await driver.until(fleet.app, appliedAt(second))
      expect((await driver.get(child))?.spec.suspend).toBe(false)
    })

    it('with wait a Kustomization is Ready only after what it applies', async ({ driver, fleet }) => {
      const child = fleet.ref('Kustomization', 'child')
      const revision = await driver.push({
        'app/child.yaml': [fleet.kustomization('child', { path: './leaf' })],
        'leaf/a.yaml': [fleet.configMap('a')],
      })
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app', { wait: true }))
      const inner = await driver.until(child, appliedAt(revision))
      const outer = await driver.until(fleet.app, appliedAt(revision))
      expect(outer.at).toBeGreaterThan(inner.at)
    })

    it('with wait a Kustomization says that it checks health, of which revision, and that it has applied', async ({
      driver,
      fleet,
    }) => {
      const child = fleet.ref('Kustomization', 'child')
      await driver.push({
        'app/child.yaml': [fleet.kustomization('child', { path: './leaf' })],
        'leaf/a.yaml': [fleet.configMap('a')],
      })
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app', { wait: true }))
      await driver.until(fleet.app, (one) => ready(one) === 'True')
      const seen = await driver.observe(fleet.app)
      const revision = await driver.push({
        'app/child.yaml': [fleet.kustomization('child', { path: './leaf', interval: '2h' })],
      })
      await fleet.fetch('t1')
      const checks = `Running health checks for revision ${revision} `
      const checking = await driver.until(fleet.app, (one) => conditionOf(one, 'Healthy')?.status === 'Unknown')
      expect((await driver.get(child))?.spec.interval).toBe('2h')
      expect(conditionOf(checking.object, 'Healthy')?.message).toMatch(checks)
      expect(conditionOf(checking.object, 'Reconciling')?.message).toMatch(checks)
      expect(conditionOf(checking.object, 'Ready')).toMatchObject({
        status: 'Unknown',
        message: 'Reconciliation in progress',
      })
      expect(checking.object.status?.lastAttemptedRevision).toBe(revision)
      const { object } = await driver.until(fleet.app, appliedAt(revision))
      expect(conditionOf(object, 'Healthy')).toMatchObject({ status: 'True', reason: 'Succeeded' })
      const early = seen.find(({ object: one }) => conditionOf(one, 'Reconciling')?.message.startsWith(checks))
      expect(early?.object.status?.lastAppliedRevision).not.toBe(revision)
    })

    it('with wait a suspended child counts as healthy when it was Ready, whatever its revision', async ({
      driver,
      fleet,
    }) => {
      const child = fleet.ref('Kustomization', 'child')
      const files = {
        'app/child.yaml': [fleet.kustomization('child', { path: './leaf' })],
        'leaf/a.yaml': [fleet.configMap('a')],
      }
      const before = await driver.push(files)
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app', { wait: true, timeout: '60s' }))
      await driver.until(fleet.app, appliedAt(before))
      await driver.suspend(child, true)
      const revision = await driver.push({
        'app/child.yaml': [fleet.kustomization('child', { path: './leaf', interval: '2h' })],
      })
      await fleet.fetch('t1')
      const { object } = await driver.until(
        fleet.app,
        (one) => one.status?.lastAttemptedRevision === revision && ready(one) !== 'Unknown',
      )
      expect(ready(object)).toBe('True')
      const held = await driver.get(child)
      expect(held?.spec).toMatchObject({ suspend: true, interval: '2h' })
      expect(held?.status?.lastAppliedRevision).toBe(before)
    })

    it('with wait a suspended child that never was Ready is waited for, until it is opened', async ({
      driver,
      fleet,
    }) => {
      const child = fleet.ref('Kustomization', 'child')
      const revision = await driver.push({
        'app/child.yaml': [fleet.kustomization('child', { path: './leaf', suspend: true })],
        'leaf/a.yaml': [fleet.configMap('a')],
      })
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app', { wait: true }))
      await driver.until(fleet.app, (one) => conditionOf(one, 'Healthy')?.status === 'Unknown')
      await driver.wait(10_000)
      expect(ready(await driver.get(fleet.app))).toBe('Unknown')
      await driver.suspend(child, false)
      await driver.until(fleet.app, appliedAt(revision))
    })

    it('a token that comes during a run is handled by the next one, and of two only the later is ever reported', async ({
      driver,
      fleet,
    }) => {
      const child = fleet.ref('Kustomization', 'child')
      await driver.push({
        'app/child.yaml': [fleet.kustomization('child', { path: './leaf', suspend: true })],
        'leaf/a.yaml': [fleet.configMap('a')],
      })
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app', { wait: true }))
      await driver.until(fleet.app, (one) => conditionOf(one, 'Healthy')?.status === 'Unknown')
      const seen = await driver.observe(fleet.app)
      await driver.request(fleet.app, 'a')
      await driver.request(fleet.app, 'b')
      await driver.suspend(child, false)
      await driver.until(fleet.app, handled('b'))
      const reported = new Set(seen.map(({ object }) => object.status?.lastHandledReconcileAt))
      expect(reported).toEqual(new Set([undefined, 'b']))
      const applied = seen.filter(({ object }) => conditionOf(object, 'Ready')?.message.startsWith('Applied'))
      expect(applied[0]?.object.status?.lastHandledReconcileAt).toBeUndefined()
    })

    it('with wait a Kustomization whose child does not become ready is HealthCheckFailed after its timeout', async ({
      driver,
      fleet,
    }) => {
      const revision = await driver.push({ 'app/child.yaml': [fleet.kustomization('child', { path: './nowhere' })] })
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app', { wait: true, timeout: '31s' }))
      const { object } = await driver.until(fleet.app, (one) => reason(one) === 'HealthCheckFailed')
      expect(ready(object)).toBe('False')
      expect(conditionOf(object, 'Ready')?.message).toContain(
        `Kustomization/${driver.namespace}/child status: 'InProgress'`,
      )
      expect(conditionOf(object, 'Healthy')).toMatchObject({ status: 'False', reason: 'HealthCheckFailed' })
      expect(object.status?.lastAppliedRevision).toBeUndefined()
      expect(object.status?.lastAttemptedRevision).toBe(revision)
    })

    describe('a HelmRelease with a chart from Git', () => {
      it('has a HelmChart <namespace>-<name>, and the chart version as its attempted revision', async ({
        driver,
        fleet,
      }) => {
        const revision = await fleet.released()
        expect((await driver.get(fleet.chart))?.status?.observedSourceArtifactRevision).toBe(revision)
        expect((await driver.get(fleet.release))?.status?.lastAttemptedRevision).toBe('0.1.0')
        expect(reason(await driver.get(fleet.release))).toBe('InstallSucceeded')
      })

      it('makes no new chart and no new release for a new commit', async ({ driver, fleet }) => {
        await fleet.released()
        const seen = await driver.observe(fleet.release)
        const revision = await driver.push({ 'app/b.yaml': [fleet.configMap('b')] })
        await fleet.fetch('t1')
        await driver.until(fleet.chart, (object) => object.status?.observedSourceArtifactRevision === revision)
        await driver.wait(10_000)
        expect((await driver.get(fleet.chart))?.status?.artifact.revision).toBe('0.1.0')
        expect(seen).toEqual([])
      })

      it('is upgraded for a new commit with reconcileStrategy Revision', async ({ driver, fleet }) => {
        const sourceRef = { kind: 'GitRepository', name: 'fleet' }
        await fleet.released({ chart: { spec: { chart: './charts/app', reconcileStrategy: 'Revision', sourceRef } } })
        const revision = await driver.push({ 'app/b.yaml': [fleet.configMap('b')] })
        await fleet.fetch('t1')
        const version = `0.1.0+${revision.slice('main@sha1:'.length, 'main@sha1:'.length + 12)}`
        const upgraded = (object: DrivenObject) => object.status?.history?.[0]?.chartVersion === version
        expect(reason((await driver.until(fleet.release, upgraded)).object)).toBe('UpgradeSucceeded')
        const chart = await driver.get(fleet.chart)
        expect(chart?.status?.artifact.revision).toBe(version)
        expect(conditionOf(chart, 'Ready')?.message).toBe(`packaged 'app' chart with version '${version}'`)
      })

      it('is upgraded when the version in Chart.yaml moves', async ({ driver, fleet }) => {
        await fleet.released()
        await driver.push({ 'charts/app/Chart.yaml': [{ ...chartFile, version: '0.2.0' }] })
        await fleet.fetch('t1')
        await driver.until(fleet.release, (object) => object.status?.history?.[0]?.chartVersion === '0.2.0')
      })

      it('records the token while suspended, without a release', async ({ driver, fleet }) => {
        await fleet.released()
        await driver.suspend(fleet.release, true)
        await driver.request(fleet.release, 't1')
        const { object } = await driver.until(fleet.release, handled('t1'))
        expect(object.status?.history).toHaveLength(1)
      })

      it('handles a token without a release when nothing changed', async ({ driver, fleet }) => {
        await fleet.released()
        await driver.request(fleet.release, 't1')
        const { object } = await driver.until(fleet.release, handled('t1'))
        expect(conditionOf(object, 'Ready')).toMatchObject({ status: 'True', reason: 'InstallSucceeded' })
        expect(object.status?.history).toHaveLength(1)
      })

      it('is Ready=True beside Reconciling=True while it looks whether there is something to do', async ({
        driver,
        fleet,
      }) => {
        await fleet.released()
        const seen = await driver.observe(fleet.release)
        await driver.request(fleet.release, 't1')
        await driver.until(fleet.release, handled('t1'))
        const running = seen.filter(({ object }) => conditionOf(object, 'Reconciling')?.status === 'True')
        expect(running.map(({ object }) => conditionOf(object, 'Ready'))).toMatchObject([{ status: 'True' }])
      })

      it('is Ready=True after an upgrade before its history, and still Reconciling until its last writes', async ({
        driver,
        fleet,
      }) => {
        await fleet.released()
        const seen = await driver.observe(fleet.release)
        await driver.apply(fleet.helmRelease('web', { values: { a: 1 } }))
        await driver.until(fleet.release, (one) => settled(one) && one.status?.history?.length === 2)
        const upgraded = seen.filter(({ object }) => reason(object) === 'UpgradeSucceeded')
        expect(upgraded[0]?.object.status?.history).toHaveLength(1)
        expect(conditionOf(upgraded[0]?.object, 'Reconciling')?.status).toBe('True')
        const released = upgraded.find(({ object }) => object.status?.history?.length === 2)
        expect(conditionOf(released?.object, 'Reconciling')?.status).toBe('True')
        expect(released?.object.status?.observedGeneration).toBe(1)
      })

      it('has its observedGeneration moved when it is suspended while Ready', async ({ driver, fleet }) => {
        await fleet.released()
        const seen = await driver.observe(fleet.release)
        await driver.suspend(fleet.release, true)
        await driver.until(fleet.release, (one) => one.status?.observedGeneration === 2)
        expect(seen.filter(({ object }) => ready(object) !== 'True')).toEqual([])
      })

      it('has a chart that names the revision it looked at before it serves what it made of it', async ({
        driver,
        fleet,
      }) => {
        await fleet.released()
        const seen = await driver.observe(fleet.chart)
        const revision = await driver.push({ 'charts/app/Chart.yaml': [{ ...chartFile, version: '0.2.0' }] })
        await fleet.fetch('t1')
        await driver.until(fleet.chart, serves('0.2.0'))
        const looked = seen.find(({ object }) => object.status?.observedSourceArtifactRevision === revision)?.object
        expect(looked?.status?.artifact.revision).toBe('0.1.0')
        expect(ready(looked)).toBe('Unknown')
        const packaged = seen.find(({ object }) => ready(object) === 'True')?.object
        expect(packaged?.status?.artifact.revision).toBe('0.1.0')
        expect(conditionOf(packaged, 'Ready')?.message).toBe("packaged 'app' chart with version '0.2.0'")
      })

      it('does not notice that its chart cannot be built any more, until it is asked', async ({ driver, fleet }) => {
        await fleet.released()
        const seen = await driver.observe(fleet.release)
        const revision = await driver.push({ 'charts/app/Chart.yaml': [], 'app/b.yaml': [fleet.configMap('b')] })
        await fleet.fetch('t1')
        const chart = await driver.until(fleet.chart, (one) => one.status?.observedSourceArtifactRevision === revision)
        expect(conditionOf(chart.object, 'Ready')).toMatchObject({ status: 'False', reason: 'InvalidChartReference' })
        expect(conditionOf(chart.object, 'Stalled')?.status).toBe('True')
        expect(chart.object.status?.artifact.revision).toBe('0.1.0')
        await driver.wait(3_000)
        expect(seen).toEqual([])
        await driver.request(fleet.release, 't2')
        const { object } = await driver.until(fleet.release, handled('t2'))
        expect([ready(object), reason(object)]).toEqual(['False', 'SourceNotReady'])
      })

      it('is DependencyNotReady beside Reconciling=True', async ({ driver, fleet }) => {
        await fleet.released()
        await driver.apply(fleet.helmRelease('web', { dependsOn: [{ name: 'first' }] }))
        const { object } = await driver.until(fleet.release, (one) => reason(one) === 'DependencyNotReady')
        expect(ready(object)).toBe('False')
        expect(conditionOf(object, 'Reconciling')?.status).toBe('True')
      })

      it('is looked at again 30 s after an unmet dependency', async ({ driver, fleet }) => {
        await fleet.released()
        await driver.apply(fleet.helmRelease('web', { dependsOn: [{ name: 'first' }] }))
        const refused = await driver.until(fleet.release, (object) => reason(object) === 'DependencyNotReady')
        await driver.apply(fleet.helmRelease('first'))
        const first = await driver.until(fleet.ref('HelmRelease', 'first'), settled)
        const { at } = await driver.until(fleet.release, settled)
        expect(at - refused.at).toBeGreaterThan(25_000)
        expect(first.at).toBeLessThan(at)
      })
    })

    it('an artifact of before is kept when a later fetch fails', async ({ driver, fleet }) => {
      const revision = await fleet.rolledOut()
      await driver.apply(fleet.gitRepository(driver.url, { ref: { branch: 'missing' } }))
      const { object } = await driver.until(fleet.source, (source) => ready(source) === 'False')
      expect(serves(revision)(object)).toBe(true)
    })
  })
}
