import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../functions/lib/clock.ts'
import {
  type AnyKind,
  type builtinResources,
  type Cluster,
  ClusterError,
  type JsonPatchOperation,
  type Kind,
  type ObjectRef,
  refKey,
  type WatchEvent,
} from '../../functions/lib/kubernetes/cluster.ts'
import { type MirrorEvent, mirror } from '../../functions/lib/kubernetes/mirror.ts'

export interface ClusterUnderTest {
  /** Serves Kustomization v1 and what Kubernetes brings; has the namespaces `default` and `kube-system`. */
  readonly cluster: Cluster
  /** A kind that it does not serve. */
  readonly unserved: Kind
  /** An object of any of these kinds. */
  create(raw: object): Promise<void>
  /** Server-side apply with force, as kustomize-controller does it. */
  apply(raw: object): Promise<void>
  /** Replaces an object; its resourceVersion must be the current one. */
  update(raw: object): Promise<void>
  delete(ref: ObjectRef<AnyKind>): Promise<void>
  close(): Promise<void>
}

/** An object as the tests look at it. */
interface Seen {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly resourceVersion: string
    readonly generation: number
    readonly annotations?: Record<string, string>
    readonly managedFields?: readonly { manager: string; operation: string; fieldsV1: Record<string, object> }[]
  }
  readonly spec: Record<string, unknown>
  readonly status?: unknown
}

const namespace = 'default'

function manifest(name: string, spec: object = {}): object {
  return {
    apiVersion: 'kustomize.toolkit.fluxcd.io/v1',
    kind: 'Kustomization',
    metadata: { name, namespace },
    spec: { interval: '1h', path: './app', prune: true, sourceRef: { kind: 'GitRepository', name: 'app' }, ...spec },
  }
}

function refOf(name: string): ObjectRef {
  return { kind: 'Kustomization', namespace, name }
}

/** One object of each kind that Kubernetes brings, as small as an API server takes it. */
const builtinManifests = {
  Pod: { apiVersion: 'v1', spec: { containers: [{ name: 'tf-runner', image: 'tf-runner' }] } },
  Node: { apiVersion: 'v1' },
  Secret: { apiVersion: 'v1', data: { key: 'dmFsdWU=' } },
  ConfigMap: { apiVersion: 'v1', data: { key: 'value' } },
  Lease: { apiVersion: 'coordination.k8s.io/v1', spec: { holderIdentity: 'somebody' } },
  HorizontalPodAutoscaler: {
    apiVersion: 'autoscaling/v2',
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'contract' }, maxReplicas: 3 },
  },
  Deployment: {
    apiVersion: 'apps/v1',
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: 'contract' } },
      template: {
        metadata: { labels: { app: 'contract' } },
        spec: { containers: [{ name: 'manager', image: 'manager' }] },
      },
    },
  },
} as const satisfies Record<keyof typeof builtinResources, object>

/** What nobody needs Lockstep has no right to. */
const neverListed: ReadonlySet<AnyKind> = new Set<AnyKind>(['Secret', 'ConfigMap'])

function nameIn(object: unknown): string {
  return (object as Seen).metadata.name ?? ''
}

/** The events of one test's objects. */
class Events<Event extends { readonly type: string; readonly object: unknown }> {
  readonly ours: Event[] = []
  private readonly prefix: string
  private wake = () => {}

  constructor(prefix: string) {
    this.prefix = prefix
  }

  add(event: Event): void {
    if (nameIn(event.object).startsWith(this.prefix)) this.ours.push(event)
    this.wake()
  }

  /** Waits for that many events; answers all so far as `ADDED a`. Throws when `ended` comes first. */
  async until(count: number, ended: Promise<void>): Promise<string[]> {
    const over = ended.then(() => {
      throw new Error(`ended after ${this.ours.length} of ${count} events`)
    })
    over.catch(() => {})
    while (this.ours.length < count) {
      const moved = new Promise<void>((resolve) => {
        this.wake = resolve
      })
      await Promise.race([moved, over])
    }
    return this.ours.map(({ type, object }) => `${type} ${nameIn(object).slice(this.prefix.length + 1)}`)
  }
}

/**
 * What every Cluster does, the one over a real API server included: so nothing is asserted here that only a stand-in
 * does. Objects get names of their own, and other objects may exist. `watchSeconds` is how long the cluster's
 * watches shall be asked to last.
 */
export function clusterContract(
  name: string,
  setup: (options: { watchSeconds: number }) => Promise<ClusterUnderTest>,
): void {
  describe(`Cluster contract: ${name}`, () => {
    let under: ClusterUnderTest
    let cluster: Cluster
    let prefix: string
    let made: ObjectRef<AnyKind>[]
    let ending: AbortController

    const open = async (watchSeconds: number) => {
      under = await setup({ watchSeconds })
      cluster = under.cluster
    }

    beforeEach(async () => {
      prefix = `contract-${randomUUID().slice(0, 8)}`
      made = []
      ending = new AbortController()
      await open(300)
    })

    afterEach(async () => {
      ending.abort()
      for (const ref of made) await under.delete(ref).catch(() => {})
      await under.close()
    })

    const create = async (suffix: string, spec?: object): Promise<ObjectRef> => {
      const ref = refOf(`${prefix}-${suffix}`)
      made.push(ref)
      await under.create(manifest(ref.name, spec))
      return ref
    }
    const get = async (ref: ObjectRef) => (await cluster.get(ref)) as Seen
    const merge = async (ref: ObjectRef, body: object, resourceVersion?: string) =>
      (await cluster.patch(ref, {
        type: 'merge',
        body,
        ...(resourceVersion !== undefined && { resourceVersion }),
      })) as Seen
    const failure = async (work: Promise<unknown>): Promise<ClusterError> => {
      const error = await work.then(
        () => undefined,
        (reason) => reason,
      )
      expect(error).toBeInstanceOf(ClusterError)
      return error as ClusterError
    }
    const isOurs = (object: unknown) => nameIn(object).startsWith(prefix)

    /** Watches our objects; `until(n)` resolves with the first n events. */
    const follow = (resourceVersion: string) => {
      const seen = new Events<WatchEvent>(prefix)
      const ended = cluster.watch('Kustomization', resourceVersion, (event) => seen.add(event), ending.signal)
      return { events: seen.ours, ended, until: (count: number) => seen.until(count, ended) }
    }

    it('lists all objects, at a version', async () => {
      const ref = await create('a')
      const { items, resourceVersion } = await cluster.list('Kustomization')
      const listed = items.filter(isOurs) as Seen[]
      expect(listed.map(nameIn)).toEqual([ref.name])
      expect(BigInt(resourceVersion)).toBeGreaterThanOrEqual(BigInt(listed[0]?.metadata.resourceVersion ?? ''))
    })

    it('lists the objects of one namespace', async () => {
      await create('a')
      const elsewhere = { ...refOf(`${prefix}-elsewhere`), namespace: 'kube-system' }
      made.push(elsewhere)
      const metadata = { name: elsewhere.name, namespace: elsewhere.namespace }
      await under.create({ ...manifest(elsewhere.name), metadata })
      const { items } = await cluster.list('Kustomization', { namespace: 'kube-system' })
      expect(items.filter(isOurs).map(nameIn)).toEqual([elsewhere.name])
      expect((await cluster.list('Kustomization')).items.filter(isOurs)).toHaveLength(2)
      expect((await cluster.list('Kustomization', { namespace: 'none-of-that-name' })).items).toEqual([])
    })

    it('lists the objects with all of some labels', async () => {
      const labelled = async (suffix: string, labels: Record<string, string>) => {
        const ref = refOf(`${prefix}-${suffix}`)
        made.push(ref)
        const { name } = ref
        await under.create({ ...manifest(name), metadata: { name, namespace, labels } })
      }
      await labelled('both', { 'app.kubernetes.io/name': prefix, app: 'x' })
      await labelled('one', { 'app.kubernetes.io/name': prefix })
      await labelled('none', {})
      const list = async (labelSelector: string) =>
        (await cluster.list('Kustomization', { namespace, labelSelector })).items.map(nameIn).sort()
      expect(await list(`app.kubernetes.io/name=${prefix}`)).toEqual([`${prefix}-both`, `${prefix}-one`])
      expect(await list(`app.kubernetes.io/name=${prefix},app=x`)).toEqual([`${prefix}-both`])
    })

    it('rejects with ClusterRejected for a selector that is none', async () => {
      const error = await failure(cluster.list('Kustomization', { labelSelector: 'a=b=c' }))
      expect(error).toMatchObject({ name: 'ClusterRejected', status: 400 })
    })

    describe.each(Object.keys(builtinManifests) as (keyof typeof builtinManifests)[])('%s', (kind) => {
      const make = async (): Promise<ObjectRef<AnyKind>> => {
        const ref = { kind, namespace: kind === 'Node' ? '' : namespace, name: `${prefix}-a` }
        made.push(ref)
        const metadata = { name: ref.name, ...(ref.namespace && { namespace: ref.namespace }) }
        await under.create({ kind, ...builtinManifests[kind], metadata })
        return ref
      }

      it('is answered by its name', async () => {
        const ref = await make()
        expect(await cluster.get(ref)).toMatchObject({ kind, metadata: { name: ref.name } })
      })

      it('is not found by another name', async () => {
        const ref = { ...(await make()), name: `${prefix}-missing` }
        const error = await failure(cluster.get(ref))
        expect(error).toMatchObject({ name: 'ClusterNotFound', status: 404 })
        expect(error.message).toContain(refKey(ref))
      })

      it.skipIf(neverListed.has(kind))('is listed', async () => {
        await make()
        expect((await cluster.list(kind)).items.map(nameIn)).toContain(`${prefix}-a`)
      })
    })

    it('answers one object', async () => {
      const ref = await create('a')
      expect(await get(ref)).toMatchObject({ metadata: { name: ref.name, generation: 1 }, spec: { interval: '1h' } })
    })

    it('rejects with ClusterNotFound for an object that does not exist, naming it', async () => {
      const missing = refOf(`${prefix}-missing`)
      for (const work of [get(missing), merge(missing, { spec: { suspend: true } })]) {
        const error = await failure(work)
        expect(error).toMatchObject({ name: 'ClusterNotFound', status: 404, cluster: cluster.name })
        expect(error.message).toContain(refKey(missing))
      }
    })

    it('rejects with KindNotServed for a kind without a CRD', async () => {
      const kind = under.unserved
      const watch = () => cluster.watch(kind, '1', () => {}, ending.signal)
      for (const ask of [() => cluster.list(kind), watch]) {
        expect(await failure(ask())).toMatchObject({ name: 'KindNotServed', status: 404, cluster: cluster.name })
      }
    })

    describe('watch', () => {
      it('tells every change after a version, in order', async () => {
        const before = await create('before')
        const { resourceVersion } = await cluster.list('Kustomization')
        const a = await create('a')
        await merge(a, { spec: { suspend: true } })
        await under.delete(before)
        const watch = follow(resourceVersion)
        expect(await watch.until(3)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED before'])
        await under.delete(a)
        expect(await watch.until(4)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED before', 'DELETED a'])
        const versions = watch.events.map(({ object }) => BigInt((object as Seen).metadata.resourceVersion))
        expect(versions).toEqual([...versions].sort((x, y) => (x < y ? -1 : 1)))
      })

      it('tells of objects as they were after each change', async () => {
        const { resourceVersion } = await cluster.list('Kustomization')
        const a = await create('a')
        await merge(a, { spec: { suspend: true } })
        await merge(a, { spec: { suspend: null } })
        const watch = follow(resourceVersion)
        await watch.until(3)
        expect(watch.events.map(({ object }) => (object as Seen).spec.suspend)).toEqual([undefined, true, undefined])
      })

      it('resolves when it is aborted, and tells nothing after', async () => {
        const { resourceVersion } = await cluster.list('Kustomization')
        const watch = follow(resourceVersion)
        await create('a')
        await watch.until(1)
        ending.abort()
        await watch.ended
        await create('b')
        expect(await watch.until(1)).toEqual(['ADDED a'])
      })

      it('resolves at once when it is aborted before it begins', async () => {
        ending.abort()
        await follow('1').ended
      })

      it('gets a bookmark before the server ends it, when there was something to tell while it ran', async () => {
        await under.close()
        await open(5)
        const { resourceVersion } = await cluster.list('Kustomization')
        const a = await create('a')
        const bookmarks: string[] = []
        let changing: Promise<unknown> | undefined
        const onEvent = ({ type, object }: WatchEvent) => {
          if (type === 'BOOKMARK') bookmarks.push((object as Seen).metadata.resourceVersion)
          // What happened before it began is not enough: the server knows of no later version then.
          else if (isOurs(object)) changing ??= merge(a, { spec: { suspend: true } })
        }
        await cluster.watch('Kustomization', resourceVersion, onEvent, ending.signal)
        await changing
        expect(bookmarks.length).toBeGreaterThan(0)
        const { resourceVersion: changed } = (await get(a)).metadata
        for (const version of bookmarks) expect(BigInt(version)).toBeGreaterThanOrEqual(BigInt(changed))
      }, 20_000)

      it('rejects with ClusterGone when the version is too old', async () => {
        await create('a')
        const error = await failure(follow('1').ended)
        expect(error).toMatchObject({ name: 'ClusterGone', status: 410 })
      })
    })

    describe('merge patch', () => {
      it('changes what it names, removes what is null, and answers the object', async () => {
        const ref = await create('a', { timeout: '5m' })
        const patched = await merge(ref, {
          metadata: { annotations: { 'reconcile.fluxcd.io/requestedAt': 'x' } },
          spec: { suspend: true, timeout: null },
        })
        expect(patched.spec).toMatchObject({ suspend: true, interval: '1h' })
        expect(patched.spec).not.toHaveProperty('timeout')
        expect(patched.metadata.annotations).toEqual({ 'reconcile.fluxcd.io/requestedAt': 'x' })
        expect(await get(ref)).toEqual(patched)
      })

      it('succeeds at the current version and rejects with ClusterConflict at an old one', async () => {
        const ref = await create('a')
        const { resourceVersion } = (await get(ref)).metadata
        await merge(ref, { spec: { suspend: true } }, resourceVersion)
        const error = await failure(merge(ref, { spec: { suspend: false } }, resourceVersion))
        expect(error).toMatchObject({ name: 'ClusterConflict', status: 409 })
        expect((await get(ref)).spec.suspend).toBe(true)
      })

      it('rejects with ClusterConflict when somebody else has written', async () => {
        const ref = await create('a')
        const before = await get(ref)
        await under.update({ ...before, spec: { ...before.spec, interval: '2h' } })
        const error = await failure(merge(ref, { spec: { suspend: true } }, before.metadata.resourceVersion))
        expect(error.name).toBe('ClusterConflict')
        expect((await get(ref)).spec).toMatchObject({ interval: '2h' })
      })

      it('rejects with ClusterConflict when the object was deleted and made again', async () => {
        const ref = await create('a')
        const { uid, resourceVersion } = (await get(ref)).metadata
        await under.delete(ref)
        await create('a')
        const error = await failure(merge(ref, { spec: { suspend: true } }, resourceVersion))
        expect(error.name).toBe('ClusterConflict')
        expect((await get(ref)).metadata.uid).not.toBe(uid)
        expect((await get(ref)).spec).not.toHaveProperty('suspend')
      })

      it('keeps the rest of the metadata that it is given beside a version', async () => {
        const ref = await create('a')
        const { resourceVersion } = (await get(ref)).metadata
        const patched = await merge(ref, { metadata: { annotations: { mark: 'x' } } }, resourceVersion)
        expect(patched.metadata.annotations).toEqual({ mark: 'x' })
      })

      it('bumps the generation for spec and not for metadata', async () => {
        const ref = await create('a')
        expect((await merge(ref, { metadata: { annotations: { mark: 'x' } } })).metadata.generation).toBe(1)
        expect((await merge(ref, { spec: { suspend: true } })).metadata.generation).toBe(2)
      })

      it('does not touch status', async () => {
        const ref = await create('a')
        const before = (await get(ref)).status
        const patched = await merge(ref, { spec: { suspend: true }, status: { lastAppliedRevision: 'made-up' } })
        expect(patched.status).toEqual(before)
      })

      it('leaves the version alone when nothing changes', async () => {
        const ref = await create('a')
        const first = await merge(ref, { spec: { suspend: true } })
        const second = await merge(ref, { spec: { suspend: true } })
        expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion)
      })

      it('is recorded as an update by lockstep', async () => {
        const ref = await create('a')
        const patched = await merge(ref, { spec: { suspend: true } })
        const own = patched.metadata.managedFields?.filter(({ manager }) => manager === 'lockstep')
        expect(own).toMatchObject([{ operation: 'Update', fieldsV1: { 'f:spec': { 'f:suspend': {} } } }])
      })
    })

    describe('field ownership', () => {
      /** Managers that own spec.suspend, such as `kustomize-controller Apply`. */
      const owners = async (ref: ObjectRef) => {
        const { managedFields = [] } = (await get(ref)).metadata
        return managedFields
          .filter(({ fieldsV1 }) => 'f:suspend' in (fieldsV1['f:spec'] ?? {}))
          .map(({ manager, operation }) => `${manager} ${operation}`)
      }
      const apply = async (spec: object): Promise<ObjectRef> => {
        const ref = refOf(`${prefix}-a`)
        made.push(ref)
        await under.apply(manifest(ref.name, spec))
        return ref
      }

      it('is with whoever applies the field', async () => {
        expect(await owners(await apply({ suspend: false }))).toEqual(['kustomize-controller Apply'])
        expect(await owners(await apply({}))).toEqual([])
      })

      it('goes from the applier to whoever patches another value', async () => {
        const ref = await apply({ suspend: false })
        await merge(ref, { spec: { suspend: true } })
        expect(await owners(ref)).toEqual(['lockstep Update'])
      })

      it('stays with the applier when a patch changes nothing', async () => {
        const ref = await apply({ suspend: true })
        await merge(ref, { spec: { suspend: true }, metadata: { annotations: { mark: 'x' } } })
        expect(await owners(ref)).toEqual(['kustomize-controller Apply'])
      })

      it('comes back to the applier with its value at the next apply', async () => {
        const ref = await apply({ suspend: false })
        await merge(ref, { spec: { suspend: true } })
        await apply({ suspend: false })
        expect((await get(ref)).spec.suspend).toBe(false)
        expect(await owners(ref)).toEqual(['kustomize-controller Apply'])
      })

      it('is kept through an apply that does not set the field, and so is the value', async () => {
        const ref = await apply({})
        await merge(ref, { spec: { suspend: true } })
        await apply({ interval: '2h' })
        expect((await get(ref)).spec).toMatchObject({ suspend: true, interval: '2h' })
        expect(await owners(ref)).toEqual(['lockstep Update'])
      })

      it('is lost with the field', async () => {
        const ref = await apply({ suspend: true })
        await cluster.patch(ref, { type: 'json', operations: [{ op: 'remove', path: '/spec/suspend' }] })
        expect(await owners(ref)).toEqual([])
        await apply({ suspend: true })
        expect(await owners(ref)).toEqual(['kustomize-controller Apply'])
      })

      it('leaves a value that the applier no longer sets to whoever patched it', async () => {
        const ref = await apply({ suspend: false })
        await merge(ref, { spec: { suspend: true } })
        await apply({})
        expect((await get(ref)).spec.suspend).toBe(true)
        expect(await owners(ref)).toEqual(['lockstep Update'])
      })
    })

    describe('JSON patch', () => {
      it('opens what a merge patch closed, and leaves nothing behind', async () => {
        const ref = await create('a')
        const before = await get(ref)
        const annotations = { 'lockstep.dev/gate': 'rollout branch' }
        await merge(ref, { spec: { suspend: true }, metadata: { annotations } }, before.metadata.resourceVersion)
        const gate = '/metadata/annotations/lockstep.dev~1gate'
        const operations: JsonPatchOperation[] = [
          { op: 'test', path: gate, value: 'rollout branch' },
          { op: 'test', path: '/spec/suspend', value: true },
          { op: 'remove', path: '/spec/suspend' },
          { op: 'remove', path: gate },
        ]
        const opened = (await cluster.patch(ref, { type: 'json', operations })) as Seen
        expect(opened.spec).toEqual(before.spec)
        expect(opened.metadata).not.toHaveProperty('annotations')
        const error = await failure(cluster.patch(ref, { type: 'json', operations }))
        expect(error.name).toBe('PatchTestFailed')
      })

      it('can put one annotation in the place of the only other', async () => {
        const ref = await create('a')
        await merge(ref, { metadata: { annotations: { gate: 'x' } } })
        const operations: JsonPatchOperation[] = [
          { op: 'remove', path: '/metadata/annotations/gate' },
          { op: 'add', path: '/metadata/annotations/reconcile.fluxcd.io~1requestedAt', value: 'token' },
        ]
        const patched = (await cluster.patch(ref, { type: 'json', operations })) as Seen
        expect(patched.metadata.annotations).toEqual({ 'reconcile.fluxcd.io/requestedAt': 'token' })
      })

      it('changes the object when its tests hold', async () => {
        const ref = await create('a', { suspend: true })
        const patched = (await cluster.patch(ref, {
          type: 'json',
          operations: [
            { op: 'test', path: '/spec/suspend', value: true },
            { op: 'remove', path: '/spec/suspend' },
            { op: 'replace', path: '/spec/interval', value: '2h' },
            { op: 'add', path: '/metadata/annotations', value: { 'a/b': 'x' } },
            { op: 'test', path: '/metadata/annotations/a~1b', value: 'x' },
          ],
        })) as Seen
        expect(patched.spec).toMatchObject({ interval: '2h' })
        expect(patched.spec).not.toHaveProperty('suspend')
        expect(patched.metadata.annotations).toEqual({ 'a/b': 'x' })
      })

      it.each([
        { op: 'test', path: '/spec/suspend', value: true },
        { op: 'test', path: '/metadata/annotations/none', value: 'x' },
        { op: 'remove', path: '/spec/timeout' },
      ] as const)('rejects with PatchTestFailed and changes nothing when $op $path fails', async (failing) => {
        const ref = await create('a')
        const before = await get(ref)
        const operations = [{ op: 'replace', path: '/spec/interval', value: '2h' } as const, failing]
        const error = await failure(cluster.patch(ref, { type: 'json', operations }))
        expect(error).toMatchObject({ name: 'PatchTestFailed', status: 422 })
        expect(await get(ref)).toEqual(before)
      })
    })

    describe('create', () => {
      const refTo = (suffix: string): ObjectRef<AnyKind> => {
        const ref = { kind: 'Secret' as const, namespace, name: `${prefix}-${suffix}` }
        made.push(ref)
        return ref
      }
      const content = { metadata: { labels: { 'example.com/of': 'contract' } }, data: { key: 'dmFsdWU=' } }

      it('makes the object as it was given, as lockstep', async () => {
        const ref = refTo('a')
        const created = (await cluster.create(ref, content)) as Seen
        expect(created).toMatchObject({ apiVersion: 'v1', kind: 'Secret', ...content, metadata: { name: ref.name } })
        expect(created.metadata.managedFields).toMatchObject([{ manager: 'lockstep', operation: 'Update' }])
        expect(await cluster.get(ref)).toEqual(created)
      })

      it('rejects with AlreadyExists, and leaves what is there as it is', async () => {
        const ref = refTo('a')
        const created = await cluster.create(ref, content)
        const error = await failure(cluster.create(ref, { data: { key: 'b3RoZXI=' } }))
        expect(error).toMatchObject({ name: 'AlreadyExists', status: 409 })
        expect(error.message).toContain(refKey(ref))
        expect(await cluster.get(ref)).toEqual(created)
      })

      it('makes an object of a group as well', async () => {
        const ref = { kind: 'Pod' as const, namespace, name: `${prefix}-pod` }
        made.push(ref)
        const { apiVersion: _, ...pod } = builtinManifests.Pod
        expect(await cluster.create(ref, pod)).toMatchObject({ kind: 'Pod', metadata: { name: ref.name, namespace } })
      })
    })

    describe('delete', () => {
      const makePod = async (finalizers: readonly string[] = []): Promise<[ObjectRef<AnyKind>, string]> => {
        const ref = { kind: 'Pod' as const, namespace, name: `${prefix}-a` }
        if (!made.some(({ kind }) => kind === 'Pod')) made.push(ref)
        await under.create({
          kind: 'Pod',
          ...builtinManifests.Pod,
          metadata: { name: ref.name, namespace, finalizers },
        })
        return [ref, ((await cluster.get(ref)) as Seen).metadata.uid]
      }
      /** Where pods run, one is left its grace. */
      const untilGone = (ref: ObjectRef<AnyKind>) =>
        vi.waitFor(async () => expect((await failure(cluster.get(ref))).name).toBe('ClusterNotFound'), {
          timeout: 120_000,
        })

      it('has the object of that UID deleted, and says that it is gone when asked again', async () => {
        const [ref, uid] = await makePod()
        expect(await cluster.delete(ref, { uid })).toBe('deleted')
        await untilGone(ref)
        expect(await cluster.delete(ref, { uid })).toBe('gone')
      })

      it('leaves another object of the same name alone', async () => {
        const [ref, uid] = await makePod()
        await under.delete(ref)
        await untilGone(ref)
        const [, next] = await makePod()
        expect(next).not.toBe(uid)
        expect(await cluster.delete(ref, { uid })).toBe('another')
        const { metadata } = (await cluster.get(ref)) as Seen
        expect(metadata).toMatchObject({ uid: next })
        expect(metadata).not.toHaveProperty('deletionTimestamp')
      })

      it('may be asked again while the object is on its way out', async () => {
        const [ref, uid] = await makePod(['example.com/contract'])
        for (const _ of [1, 2]) expect(await cluster.delete(ref, { uid })).toBe('deleted')
        expect(((await cluster.get(ref)) as Seen).metadata).toMatchObject({
          uid,
          deletionTimestamp: expect.any(String),
        })
        await cluster.patch(ref, { type: 'merge', body: { metadata: { finalizers: null } } })
        await untilGone(ref)
      })
    })

    describe('subresources', () => {
      const makeDeployment = async (): Promise<ObjectRef<AnyKind>> => {
        const ref = { kind: 'Deployment' as const, namespace, name: `${prefix}-a` }
        made.push(ref)
        const { spec, ...manifest } = builtinManifests.Deployment
        const metadata = { name: ref.name, namespace }
        await under.create({ kind: 'Deployment', ...manifest, spec: { ...spec, replicas: 3 }, metadata })
        return ref
      }
      const scale = { subresource: 'scale' } as const
      const status = { subresource: 'status' } as const
      const replicasTo = (replicas: number, resourceVersion?: string) => ({
        ...{ type: 'merge' as const, body: { spec: { replicas } } },
        ...(resourceVersion !== undefined && { resourceVersion }),
      })
      const read = async (ref: ObjectRef<AnyKind>) => (await cluster.get(ref)) as Seen

      it('scale tells how many replicas are wanted, at the version of the Deployment', async () => {
        const ref = await makeDeployment()
        expect(await cluster.get(ref, scale)).toMatchObject({
          kind: 'Scale',
          metadata: { name: ref.name, uid: (await read(ref)).metadata.uid },
          spec: { replicas: 3 },
        })
      })

      it('scale is not found where there is no Deployment, and is named', async () => {
        const missing = { kind: 'Deployment' as const, namespace, name: `${prefix}-missing` }
        for (const ask of [() => cluster.get(missing, scale), () => cluster.patch(missing, replicasTo(0), scale)]) {
          const error = await failure(ask())
          expect(error).toMatchObject({ name: 'ClusterNotFound', status: 404 })
          expect(error.message).toContain(`scale of ${refKey(missing)}`)
        }
      })

      it('scale changes the replicas and nothing else, and the Deployment says who did', async () => {
        const ref = await makeDeployment()
        const before = await read(ref)
        expect(await cluster.patch(ref, replicasTo(2), scale)).toMatchObject({ kind: 'Scale', spec: { replicas: 2 } })
        const after = await read(ref)
        expect(after.spec).toEqual({ ...before.spec, replicas: 2 })
        const owners = after.metadata.managedFields?.filter(
          ({ fieldsV1 }) => 'f:replicas' in (fieldsV1['f:spec'] ?? {}),
        )
        expect(owners).toMatchObject([{ manager: 'lockstep', operation: 'Update' }])
      })

      it('scale says nothing of replicas while none are wanted, and takes them back with a merge patch', async () => {
        const ref = await makeDeployment()
        expect(((await cluster.patch(ref, replicasTo(0), scale)) as Seen).spec).toEqual({})
        expect((await read(ref)).spec.replicas).toBe(0)
        const operations: JsonPatchOperation[] = [{ op: 'test', path: '/spec/replicas', value: 0 }]
        const error = await failure(cluster.patch(ref, { type: 'json', operations }, scale))
        expect(error.name).toBe('PatchTestFailed')
        await cluster.patch(ref, replicasTo(3), scale)
        expect((await read(ref)).spec.replicas).toBe(3)
      })

      it('scale succeeds at the current version and rejects with ClusterConflict at an old one', async () => {
        const ref = await makeDeployment()
        const { resourceVersion } = (await read(ref)).metadata
        await cluster.patch(ref, { type: 'merge', body: { metadata: { annotations: { mark: 'x' } } } })
        const error = await failure(cluster.patch(ref, replicasTo(0, resourceVersion), scale))
        expect(error).toMatchObject({ name: 'ClusterConflict', status: 409 })
        expect((await read(ref)).spec.replicas).toBe(3)
        // A real Deployment has a controller, which writes as well: the current version may be old again.
        await vi.waitFor(
          async () => cluster.patch(ref, replicasTo(0, (await read(ref)).metadata.resourceVersion), scale),
          { timeout: 60_000 },
        )
        expect((await read(ref)).spec.replicas).toBe(0)
      })

      it('scale rejects a JSON patch whose test fails with PatchTestFailed', async () => {
        const ref = await makeDeployment()
        const operations: JsonPatchOperation[] = [
          { op: 'test', path: '/spec/replicas', value: 1 },
          { op: 'replace', path: '/spec/replicas', value: 0 },
        ]
        const error = await failure(cluster.patch(ref, { type: 'json', operations }, scale))
        expect(error.name).toBe('PatchTestFailed')
        expect((await read(ref)).spec.replicas).toBe(3)
      })

      it('status is changed through its subresource, and nothing beside it', async () => {
        const ref = await create('a')
        const before = await get(ref)
        const body = { status: { lastAppliedRevision: 'main@sha1:1' }, spec: { suspend: true } }
        const patched = (await cluster.patch(ref, { type: 'merge', body }, status)) as Seen
        expect(patched.status).toMatchObject({ lastAppliedRevision: 'main@sha1:1' })
        expect(patched.spec).toEqual(before.spec)
        expect(patched.metadata.generation).toBe(before.metadata.generation)
        expect(await get(ref)).toEqual(patched)
      })

      it('status succeeds at the current version and rejects with ClusterConflict at an old one', async () => {
        const ref = await create('a')
        const { resourceVersion } = (await get(ref)).metadata
        const patch = (revision: string) => ({
          ...{ type: 'merge' as const, resourceVersion },
          body: { status: { lastAppliedRevision: revision } },
        })
        await cluster.patch(ref, patch('first'), status)
        const error = await failure(cluster.patch(ref, patch('second'), status))
        expect(error).toMatchObject({ name: 'ClusterConflict', status: 409 })
        expect((await get(ref)).status).toMatchObject({ lastAppliedRevision: 'first' })
      })
    })

    describe('mirror', () => {
      const start = async (source: Cluster) => {
        const seen = new Events<MirrorEvent>(prefix)
        const onEvent = (event: MirrorEvent) => seen.add(event)
        const view = await mirror(source, ['Kustomization'], { clock: systemClock, signal: ending.signal, onEvent })
        return { view, events: seen.ours, until: (count: number) => seen.until(count, view.closed) }
      }

      it('holds the objects and follows their changes', async () => {
        const a = await create('a')
        const { view, events, until } = await start(cluster)
        expect([...view.objects('Kustomization').keys()]).toContain(`${namespace}/${a.name}`)
        const b = await create('b')
        await merge(a, { spec: { suspend: true } })
        await under.delete(b)
        expect(await until(3)).toEqual(['ADDED b', 'MODIFIED a', 'DELETED b'])
        expect(events[1]).toMatchObject({ object: { spec: { suspend: true } }, previous: { spec: { interval: '1h' } } })
        expect(events[1]?.previous).not.toHaveProperty('spec.suspend')
        expect([...view.objects('Kustomization').keys()].filter((key) => key.includes(prefix))).toEqual([
          `${namespace}/${a.name}`,
        ])
        ending.abort()
        await view.closed
      })

      it('tells what changed while its history was lost, no more and no less', async () => {
        const [changed, deleted, replaced] = [
          await create('changed'),
          await create('deleted'),
          await create('replaced'),
        ]
        await create('same')
        let watches = 0
        const forgetful: Cluster = {
          name: cluster.name,
          list: (kind, options) => cluster.list(kind, options),
          get: (ref, options) => cluster.get(ref, options),
          patch: (ref, patch, options) => cluster.patch(ref, patch, options),
          create: (ref, content) => cluster.create(ref, content),
          delete: (ref, options) => cluster.delete(ref, options),
          watch: async (kind, version, onEvent, signal) => {
            watches++
            if (watches > 1) return cluster.watch(kind, version, onEvent, signal)
            await under.delete(deleted)
            await under.delete(replaced)
            await merge(changed, { spec: { suspend: true } })
            await create('replaced')
            await create('new')
            throw new ClusterError('ClusterGone', cluster.name, 410, 'Too old.', 'List again.')
          },
        }
        const { until } = await start(forgetful)
        await until(5)
        await create('later')
        expect(await until(6)).toEqual([
          'DELETED deleted',
          'DELETED replaced',
          'MODIFIED changed',
          'ADDED replaced',
          'ADDED new',
          'ADDED later',
        ])
      })
    })
  })
}
