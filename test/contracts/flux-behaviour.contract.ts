import { describe, expect, test } from 'vitest'
import { type ControllerDriver, conditionOf, type DrivenObject, ready, reason } from './controller-driver.ts'
import { chartFile, fleetObjects } from './fleet-objects.ts'

const appliedAt = (revision: string) => (object: DrivenObject) =>
  ready(object) === 'True' && object.status?.lastAppliedRevision === revision
const handled = (token: string) => (object: DrivenObject) => object.status?.lastHandledReconcileAt === token
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
    await driver.until(release, (object) => ready(object) === 'True' && object.status?.history?.length === 1)
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
      await driver.until(fleet.base, appliedAt(revision), 10_000)
      await driver.until(fleet.app, appliedAt(revision), 10_000)
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
      const pushedAt = driver.now()
      const revision = await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await driver.request(fleet.source, 't1')
      await driver.until(fleet.app, (object) => reason(object) === 'DependencyNotReady', 10_000)
      const baseReady = await driver.until(fleet.base, appliedAt(revision), 10_000)
      const appReady = await driver.until(fleet.app, appliedAt(revision))
      expect(baseReady.at - pushedAt).toBeLessThan(5_000)
      expect(appReady.at - pushedAt).toBeGreaterThan(29_000)
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

    it('Ready=True of the revision before stands beside Reconciling=True at the start of a run', async ({
      driver,
      fleet,
    }) => {
      const before = await fleet.rolledOut()
      const seen = await driver.observe(fleet.app)
      const revision = await driver.push({ 'app/b.yaml': [fleet.configMap('b', { a: '1' })] })
      await fleet.fetch('t1')
      await driver.until(fleet.app, appliedAt(revision))
      const first = seen.find(({ object }) => conditionOf(object, 'Reconciling')?.status === 'True')?.object
      expect(ready(first)).toBe('True')
      expect(conditionOf(first, 'Ready')?.message).toContain(before)
    })

    it('a path that is not in the repository fails, and observedGeneration stays behind', async ({ driver, fleet }) => {
      await fleet.rolledOut()
      await driver.apply(fleet.kustomization('app', { path: './nowhere', retryInterval: '10s' }))
      const { object } = await driver.until(fleet.app, (one) => ready(one) === 'False')
      expect(object.status?.observedGeneration).toBeLessThan(object.metadata.generation ?? 0)
      expect(conditionOf(object, 'Reconciling')?.reason).toBe('ProgressingWithRetry')
    })

    it('a failed run is tried again after retryInterval, and heals by itself', async ({ driver, fleet }) => {
      await fleet.rolledOut()
      await driver.apply(fleet.kustomization('app', { path: './later', retryInterval: '10s' }))
      await driver.until(fleet.app, (one) => ready(one) === 'False')
      const revision = await driver.push({ 'later/c.yaml': [fleet.configMap('c')] })
      await fleet.fetch('t1')
      await driver.until(fleet.app, appliedAt(revision), 15_000)
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
        labels: { 'kustomize.toolkit.fluxcd.io/name': 'app', 'kustomize.toolkit.fluxcd.io/namespace': 'flux-system' },
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

    it('with wait a Kustomization whose child does not become ready is HealthCheckFailed after its timeout', async ({
      driver,
      fleet,
    }) => {
      await driver.push({ 'app/child.yaml': [fleet.kustomization('child', { path: './nowhere' })] })
      await driver.apply(fleet.gitRepository(driver.url))
      await driver.apply(fleet.kustomization('app', { wait: true, timeout: '31s' }))
      const { object } = await driver.until(fleet.app, (one) => reason(one) === 'HealthCheckFailed')
      expect(ready(object)).toBe('False')
      expect(object.status?.lastAppliedRevision).toBeUndefined()
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
        expect(ready(object)).toBe('True')
        expect(object.status?.history).toHaveLength(1)
      })

      it('is looked at again 30 s after an unmet dependency', async ({ driver, fleet }) => {
        const first = fleet.ref('HelmRelease', 'first')
        await driver.push({ 'charts/app/Chart.yaml': [chartFile] })
        await driver.apply(fleet.gitRepository(driver.url))
        await driver.until(fleet.source, (object) => ready(object) === 'True')
        await driver.apply(fleet.helmRelease('web', { dependsOn: [{ name: 'first' }] }))
        await driver.apply(fleet.helmRelease('first'))
        const refused = await driver.until(fleet.release, (object) => reason(object) === 'DependencyNotReady')
        await driver.until(first, (object) => ready(object) === 'True')
        const { at } = await driver.until(fleet.release, (object) => ready(object) === 'True')
        expect(at - refused.at).toBeGreaterThan(29_000)
      })
    })

    it('a token that is overwritten at once may never be reported', async ({ driver, fleet }) => {
      await fleet.rolledOut()
      const seen = await driver.observe(fleet.app)
      await driver.request(fleet.app, 'x')
      await driver.wait(30)
      await driver.request(fleet.app, 'a')
      await driver.request(fleet.app, 'b')
      await driver.until(fleet.app, handled('b'))
      const reported = new Set(seen.map(({ object }) => object.status?.lastHandledReconcileAt))
      expect(reported).not.toContain('a')
    })

    it('an artifact of before is kept when a later fetch fails', async ({ driver, fleet }) => {
      const revision = await fleet.rolledOut()
      await driver.apply(fleet.gitRepository(driver.url, { ref: { branch: 'missing' } }))
      const { object } = await driver.until(fleet.source, (source) => ready(source) === 'False')
      expect(serves(revision)(object)).toBe(true)
    })
  })
}
