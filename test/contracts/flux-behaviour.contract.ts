import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ControllerDriver, conditionOf, type DrivenObject, ready, reason } from './controller-driver.ts'
import { chartFile, configMap, gitRepository, helmRelease, kustomization, ref } from './fleet-objects.ts'

const fleet = ref('GitRepository', 'fleet')
const base = ref('Kustomization', 'base')
const app = ref('Kustomization', 'app')

const appliedAt = (revision: string) => (object: DrivenObject) =>
  ready(object) === 'True' && object.status?.lastAppliedRevision === revision
const handled = (token: string) => (object: DrivenObject) => object.status?.lastHandledReconcileAt === token
const serves = (revision: string) => (object: DrivenObject) => object.status?.artifact?.revision === revision

/** What Lockstep depends on in source-, kustomize- and helm-controller. `setup` answers an empty, running cluster. */
export function fluxBehaviourContract(name: string, setup: () => Promise<ControllerDriver>): void {
  describe(`Flux's behaviour: ${name}`, () => {
    let driver: ControllerDriver

    beforeEach(async () => {
      driver = await setup()
    })

    afterEach(() => driver.stop())

    /** base and app on one source, both Ready at the answered revision. */
    async function rolledOut(appSpec: object = {}, baseSpec: object = {}): Promise<string> {
      const revision = await driver.push({ 'base/a.yaml': [configMap('a')], 'app/b.yaml': [configMap('b')] })
      await driver.apply(gitRepository(driver.url))
      await driver.apply(kustomization('base', baseSpec))
      await driver.apply(kustomization('app', appSpec))
      await driver.until(base, appliedAt(revision))
      await driver.until(app, appliedAt(revision))
      return revision
    }

    async function fetch(token: string): Promise<void> {
      await driver.request(fleet, token)
      await driver.until(fleet, handled(token))
    }

    it('a source serves a pushed commit once its token is handled, not before', async () => {
      const before = await rolledOut()
      const after = await driver.push({ 'app/b.yaml': [configMap('b', { a: '1' })] })
      await driver.wait(2_000)
      expect((await driver.get(fleet))?.status?.artifact.revision).toBe(before)
      await fetch('t1')
      expect((await driver.get(fleet))?.status?.artifact.revision).toBe(after)
    })

    it('a fetch without a new commit records the token and keeps the artifact', async () => {
      await rolledOut()
      const before = (await driver.get(fleet))?.status?.artifact
      // So that a new artifact would have another lastUpdateTime.
      await driver.wait(2_000)
      await fetch('t1')
      expect((await driver.get(fleet))?.status?.artifact).toEqual(before)
    })

    it('a branch that does not exist is Ready False GitOperationFailed, and the object has no artifact', async () => {
      await driver.push()
      await driver.apply(gitRepository(driver.url, { ref: { branch: 'missing' } }))
      const { object } = await driver.until(fleet, (source) => ready(source) === 'False')
      expect(reason(object)).toBe('GitOperationFailed')
      expect(object.status?.artifact).toBeUndefined()
    })

    it('a new artifact triggers every Kustomization on the source, annotated or not', async () => {
      await rolledOut()
      const revision = await driver.push({ 'app/b.yaml': [configMap('b', { a: '1' })] })
      await fetch('t1')
      await driver.until(base, appliedAt(revision), 10_000)
      await driver.until(app, appliedAt(revision), 10_000)
    })

    it('a suspended Kustomization records the token and does not run', async () => {
      const before = await rolledOut()
      await driver.suspend(app, true)
      await driver.push({ 'app/b.yaml': [configMap('b', { a: '1' })] })
      await fetch('t1')
      await driver.request(app, 't2')
      const { object } = await driver.until(app, handled('t2'))
      expect(object.status).toMatchObject({ lastAppliedRevision: before, lastAttemptedRevision: before })
    })

    it('a suspended source records the token and does not fetch', async () => {
      const before = await rolledOut()
      await driver.suspend(fleet, true)
      await driver.push({ 'app/b.yaml': [configMap('b', { a: '1' })] })
      await fetch('t1')
      expect((await driver.get(fleet))?.status?.artifact.revision).toBe(before)
    })

    it('opening a suspended Kustomization runs it at what the source serves by then', async () => {
      await rolledOut()
      await driver.suspend(app, true)
      const revision = await driver.push({ 'app/b.yaml': [configMap('b', { a: '1' })] })
      await fetch('t1')
      await driver.suspend(app, false)
      const { object } = await driver.until(app, appliedAt(revision))
      expect(object.status?.observedGeneration).toBe(object.metadata.generation)
    })

    it('an unmet dependency is DependencyNotReady and is looked at again only after 30 s', async () => {
      await rolledOut({ dependsOn: [{ name: 'base' }] })
      const pushedAt = driver.now()
      const revision = await driver.push({ 'app/b.yaml': [configMap('b', { a: '1' })] })
      await driver.request(fleet, 't1')
      await driver.until(app, (object) => reason(object) === 'DependencyNotReady', 10_000)
      const baseReady = await driver.until(base, appliedAt(revision), 10_000)
      const appReady = await driver.until(app, appliedAt(revision))
      expect(baseReady.at - pushedAt).toBeLessThan(5_000)
      expect(appReady.at - pushedAt).toBeGreaterThan(29_000)
    })

    it('Ready=True and lastAppliedRevision are two patches, conditions first', async () => {
      await rolledOut()
      const seen = driver.observe(app)
      const revision = await driver.push({ 'app/b.yaml': [configMap('b', { a: '1' })] })
      await fetch('t1')
      await driver.until(app, appliedAt(revision))
      const ready1 = seen.find(
        ({ object }) => conditionOf(object, 'Ready')?.message === `Applied revision: ${revision}`,
      )
      expect(ready(ready1?.object)).toBe('True')
      expect(ready1?.object.status?.lastAppliedRevision).not.toBe(revision)
    })

    it('Ready=True of the revision before stands beside Reconciling=True at the start of a run', async () => {
      const before = await rolledOut()
      const seen = driver.observe(app)
      const revision = await driver.push({ 'app/b.yaml': [configMap('b', { a: '1' })] })
      await fetch('t1')
      await driver.until(app, appliedAt(revision))
      const first = seen.find(({ object }) => conditionOf(object, 'Reconciling')?.status === 'True')?.object
      expect(ready(first)).toBe('True')
      expect(conditionOf(first, 'Ready')?.message).toContain(before)
    })

    it('a path that is not in the repository fails, and observedGeneration stays behind', async () => {
      await rolledOut()
      await driver.apply(kustomization('app', { path: './nowhere', retryInterval: '10s' }))
      const { object } = await driver.until(app, (one) => ready(one) === 'False')
      expect(object.status?.observedGeneration).toBeLessThan(object.metadata.generation ?? 0)
      expect(conditionOf(object, 'Reconciling')?.reason).toBe('ProgressingWithRetry')
    })

    it('a failed run is tried again after retryInterval, and heals by itself', async () => {
      await rolledOut()
      await driver.apply(kustomization('app', { path: './later', retryInterval: '10s' }))
      await driver.until(app, (one) => ready(one) === 'False')
      const revision = await driver.push({ 'later/c.yaml': [configMap('c')] })
      await fetch('t1')
      await driver.until(app, appliedAt(revision), 15_000)
    })

    it('a Kustomization without a source is ArtifactFailed and still records the token', async () => {
      await driver.apply(kustomization('app'))
      await driver.until(app, (one) => reason(one) === 'ArtifactFailed')
      await driver.request(app, 't1')
      await driver.until(app, handled('t1'))
    })

    it('a Kustomization applies others, labelled with its name, and prunes them with what they applied', async () => {
      const child = ref('Kustomization', 'child')
      const grandchild = ref('Kustomization', 'grandchild')
      const revision = await driver.push({
        'app/child.yaml': [kustomization('child')],
        'child/grandchild.yaml': [kustomization('grandchild', { path: './leaf' })],
        'leaf/a.yaml': [configMap('a')],
      })
      await driver.apply(gitRepository(driver.url))
      await driver.apply(kustomization('app'))
      await driver.until(grandchild, appliedAt(revision))
      expect((await driver.get(child))?.metadata).toMatchObject({
        labels: { 'kustomize.toolkit.fluxcd.io/name': 'app', 'kustomize.toolkit.fluxcd.io/namespace': 'flux-system' },
      })
      const next = await driver.push({ 'app/child.yaml': [], 'app/a.yaml': [configMap('a')] })
      await fetch('t1')
      await driver.until(app, appliedAt(next))
      await driver.wait(5_000)
      expect(await driver.get(child)).toBeUndefined()
      expect(await driver.get(grandchild)).toBeUndefined()
    })

    it('a spec.suspend that Git does not set survives the next apply', async () => {
      const child = ref('Kustomization', 'child')
      const first = await driver.push({ 'app/child.yaml': [kustomization('child')], 'child/a.yaml': [configMap('a')] })
      await driver.apply(gitRepository(driver.url))
      await driver.apply(kustomization('app'))
      await driver.until(child, appliedAt(first))
      await driver.suspend(child, true)
      const second = await driver.push({ 'child/a.yaml': [configMap('a', { a: '1' })] })
      await fetch('t1')
      await driver.until(app, appliedAt(second))
      expect((await driver.get(child))?.spec.suspend).toBe(true)
    })

    it('a spec.suspend that Git sets is put back by the next apply', async () => {
      const child = ref('Kustomization', 'child')
      const files = { 'app/child.yaml': [kustomization('child', { suspend: false })], 'child/a.yaml': [configMap('a')] }
      const first = await driver.push(files)
      await driver.apply(gitRepository(driver.url))
      await driver.apply(kustomization('app'))
      await driver.until(child, appliedAt(first))
      await driver.suspend(child, true)
      const second = await driver.push({ 'child/a.yaml': [configMap('a', { a: '1' })] })
      await fetch('t1')
      await driver.until(app, appliedAt(second))
      expect((await driver.get(child))?.spec.suspend).toBe(false)
    })

    it('with wait a Kustomization is Ready only after what it applies', async () => {
      const child = ref('Kustomization', 'child')
      const revision = await driver.push({
        'app/child.yaml': [kustomization('child', { path: './leaf' })],
        'leaf/a.yaml': [configMap('a')],
      })
      await driver.apply(gitRepository(driver.url))
      await driver.apply(kustomization('app', { wait: true }))
      const inner = await driver.until(child, appliedAt(revision))
      const outer = await driver.until(app, appliedAt(revision))
      expect(outer.at).toBeGreaterThan(inner.at)
    })

    it('with wait a Kustomization whose child does not become ready is HealthCheckFailed after its timeout', async () => {
      await driver.push({ 'app/child.yaml': [kustomization('child', { path: './nowhere' })] })
      await driver.apply(gitRepository(driver.url))
      await driver.apply(kustomization('app', { wait: true, timeout: '31s' }))
      const { object } = await driver.until(app, (one) => reason(one) === 'HealthCheckFailed')
      expect(ready(object)).toBe('False')
      expect(object.status?.lastAppliedRevision).toBeUndefined()
    })

    describe('a HelmRelease with a chart from Git', () => {
      const release = ref('HelmRelease', 'web')
      const chart = ref('HelmChart', 'flux-system-web')

      async function released(spec: object = {}): Promise<string> {
        const revision = await driver.push({ 'charts/app/Chart.yaml': [chartFile] })
        await driver.apply(gitRepository(driver.url))
        await driver.apply(helmRelease('web', spec))
        await driver.until(release, (object) => ready(object) === 'True' && object.status?.history?.length === 1)
        return revision
      }

      it('has a HelmChart <namespace>-<name>, and the chart version as its attempted revision', async () => {
        const revision = await released()
        expect((await driver.get(chart))?.status?.observedSourceArtifactRevision).toBe(revision)
        expect((await driver.get(release))?.status?.lastAttemptedRevision).toBe('0.1.0')
        expect(reason(await driver.get(release))).toBe('InstallSucceeded')
      })

      it('makes no new chart and no new release for a new commit', async () => {
        await released()
        const seen = driver.observe(release)
        const revision = await driver.push({ 'app/b.yaml': [configMap('b')] })
        await fetch('t1')
        await driver.until(chart, (object) => object.status?.observedSourceArtifactRevision === revision)
        await driver.wait(10_000)
        expect((await driver.get(chart))?.status?.artifact.revision).toBe('0.1.0')
        expect(seen).toEqual([])
      })

      it('is upgraded for a new commit with reconcileStrategy Revision', async () => {
        const sourceRef = { kind: 'GitRepository', name: 'fleet' }
        await released({ chart: { spec: { chart: './charts/app', reconcileStrategy: 'Revision', sourceRef } } })
        const revision = await driver.push({ 'app/b.yaml': [configMap('b')] })
        await fetch('t1')
        const version = `0.1.0+${revision.slice('main@sha1:'.length, 'main@sha1:'.length + 12)}`
        const upgraded = (object: DrivenObject) => object.status?.history?.[0]?.chartVersion === version
        expect(reason((await driver.until(release, upgraded)).object)).toBe('UpgradeSucceeded')
      })

      it('is upgraded when the version in Chart.yaml moves', async () => {
        await released()
        await driver.push({ 'charts/app/Chart.yaml': [{ ...chartFile, version: '0.2.0' }] })
        await fetch('t1')
        await driver.until(release, (object) => object.status?.history?.[0]?.chartVersion === '0.2.0')
      })

      it('records the token while suspended, without a release', async () => {
        await released()
        await driver.suspend(release, true)
        await driver.request(release, 't1')
        const { object } = await driver.until(release, handled('t1'))
        expect(object.status?.history).toHaveLength(1)
      })

      it('handles a token without a release when nothing changed', async () => {
        await released()
        await driver.request(release, 't1')
        const { object } = await driver.until(release, handled('t1'))
        expect(ready(object)).toBe('True')
        expect(object.status?.history).toHaveLength(1)
      })

      it('is looked at again 30 s after an unmet dependency', async () => {
        const first = ref('HelmRelease', 'first')
        await driver.push({ 'charts/app/Chart.yaml': [chartFile] })
        await driver.apply(gitRepository(driver.url))
        await driver.until(fleet, (object) => ready(object) === 'True')
        await driver.apply(helmRelease('web', { dependsOn: [{ name: 'first' }] }))
        await driver.apply(helmRelease('first'))
        const refused = await driver.until(release, (object) => reason(object) === 'DependencyNotReady')
        await driver.until(first, (object) => ready(object) === 'True')
        const { at } = await driver.until(release, (object) => ready(object) === 'True')
        expect(at - refused.at).toBeGreaterThan(29_000)
      })
    })

    it('a token that is overwritten at once may never be reported', async () => {
      await rolledOut()
      const seen = driver.observe(app)
      await driver.request(app, 'x')
      await driver.wait(30)
      await driver.request(app, 'a')
      await driver.request(app, 'b')
      await driver.until(app, handled('b'))
      const reported = new Set(seen.map(({ object }) => object.status?.lastHandledReconcileAt))
      expect(reported).not.toContain('a')
    })

    it('an artifact of before is kept when a later fetch fails', async () => {
      const revision = await rolledOut()
      await driver.apply(gitRepository(driver.url, { ref: { branch: 'missing' } }))
      const { object } = await driver.until(fleet, (source) => ready(source) === 'False')
      expect(serves(revision)(object)).toBe(true)
    })
  })
}
