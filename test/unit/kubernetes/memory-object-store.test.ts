import { beforeEach, describe, expect, it } from 'vitest'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import { MemoryObjectStore } from '../../../infra/local/kubernetes/memory-object-store.ts'
import type { KubernetesObject, StoreEvent } from '../../../infra/local/kubernetes/object-store.ts'

const kind = resources.Kustomization
const clock = { now: () => Date.UTC(2026, 0, 5, 9, 0, 0, 250), after: () => () => {} }

function manifest(overrides: Partial<KubernetesObject> = {}): KubernetesObject {
  return {
    apiVersion: 'kustomize.toolkit.fluxcd.io/v1',
    kind: 'Kustomization',
    metadata: { name: 'app', namespace: 'flux-system' },
    spec: { interval: '1h', path: './app' },
    ...overrides,
  }
}

let store: MemoryObjectStore
let events: StoreEvent[]

beforeEach(() => {
  store = new MemoryObjectStore({ clock })
  store.register(kind)
  events = []
  store.subscribe(kind, (event) => events.push(event))
})

function update(
  change: (object: KubernetesObject) => void,
  options: { manager?: string; subresource?: 'status' } = {},
) {
  return store.update(kind, 'flux-system', 'app', change, { manager: 'test', ...options })
}

function owners(field: string): string[] {
  const entries = (store.get(kind, 'flux-system', 'app')?.metadata.managedFields ?? []) as {
    manager: string
    operation: string
    fieldsV1: Record<string, Record<string, unknown>>
  }[]
  return entries
    .filter((entry) => entry.fieldsV1['f:spec']?.[field])
    .map((entry) => `${entry.manager} ${entry.operation}`)
}

describe('MemoryObjectStore', () => {
  it('gives a new object its server fields and drops status', () => {
    const created = store.create(kind, manifest({ status: { ready: true } }), 'test')
    expect(created.metadata).toMatchObject({ generation: 1, creationTimestamp: '2026-01-05T09:00:00Z' })
    expect(created.metadata.uid).toMatch(/^[0-9a-f-]{36}$/)
    expect(created.metadata.resourceVersion).toBe(store.list(kind).resourceVersion)
    expect(created).not.toHaveProperty('status')
    expect(events.map((event) => event.type)).toEqual(['ADDED'])
  })

  it('refuses a second object of the same name, and a kind that is not registered', () => {
    store.create(kind, manifest(), 'test')
    expect(() => store.create(kind, manifest(), 'test')).toThrow(expect.objectContaining({ status: 409 }))
    expect(() => store.list(resources.Terraform)).toThrow(expect.objectContaining({ status: 404 }))
  })

  it('bumps the generation for spec only', () => {
    store.create(kind, manifest(), 'test')
    const annotated = update((object) => {
      object.metadata.annotations = { a: 'b' }
    })
    const status = update(
      (object) => {
        object.status = { observedGeneration: 1 }
      },
      { subresource: 'status' },
    )
    const suspended = update((object) => {
      object.spec.suspend = true
    })
    expect([annotated, status, suspended].map((object) => object?.metadata.generation)).toEqual([1, 1, 2])
  })

  it('writes status through its subresource only, and nothing else through it', () => {
    store.create(kind, manifest(), 'test')
    const change = (object: KubernetesObject) => {
      object.status = { phase: 'x' }
      object.spec.suspend = true
    }
    expect(update(change)).toMatchObject({ spec: { suspend: true } })
    expect(update(change)).not.toHaveProperty('status')
    update((object) => {
      object.spec.suspend = false
    })
    expect(update(change, { subresource: 'status' })).toMatchObject({
      spec: { suspend: false },
      status: { phase: 'x' },
    })
  })

  it('writes nothing and says nothing when nothing changes', () => {
    const created = store.create(kind, manifest(), 'test')
    const same = update((object) => {
      object.spec = { path: './app', interval: '1h', timeout: undefined }
    })
    expect(same?.metadata.resourceVersion).toBe(created.metadata.resourceVersion)
    expect(events).toHaveLength(1)
  })

  it('keeps what only the server writes', () => {
    const created = store.create(kind, manifest(), 'test')
    const updated = update((object) => {
      object.metadata.generation = 99
      object.metadata.creationTimestamp = 'yesterday'
      object.spec.suspend = true
    })
    expect(updated?.metadata.generation).toBe(2)
    expect(updated?.metadata.creationTimestamp).toBe(created.metadata.creationTimestamp)
  })

  it('refuses a write on a stale resourceVersion or another uid', () => {
    const created = store.create(kind, manifest(), 'test')
    update((object) => {
      object.spec.suspend = true
    })
    const stale = () =>
      update((object) => {
        object.metadata.resourceVersion = created.metadata.resourceVersion as string
      })
    expect(stale).toThrow(expect.objectContaining({ status: 409, reason: 'Conflict' }))
    const other = () =>
      update((object) => {
        object.metadata.uid = 'other'
      })
    expect(other).toThrow(expect.objectContaining({ status: 409 }))
  })

  it('answers undefined for an object that is not there', () => {
    expect(update(() => {})).toBeUndefined()
    expect(store.get(kind, 'flux-system', 'app')).toBeUndefined()
  })

  it('answers copies', () => {
    const beginning = store.list(kind).resourceVersion
    store.create(kind, manifest(), 'test')
    const read = store.get(kind, 'flux-system', 'app') as KubernetesObject
    read.spec.interval = 'changed'
    for (const event of events) event.object.spec.interval = 'changed'
    expect(store.get(kind, 'flux-system', 'app')?.spec.interval).toBe('1h')
    expect(store.since(kind, beginning)[0]?.object.spec.interval).toBe('1h')
  })

  describe('deletes a pod', () => {
    const { Pod } = builtinResources
    const pod = (spec: object) =>
      manifest({ apiVersion: 'v1', kind: 'Pod', spec: { terminationGracePeriodSeconds: 30, ...spec } })
    const remove = (options?: { gracePeriodSeconds: number }) => {
      store.delete(Pod, 'flux-system', 'app', options)
      return store.get(Pod, 'flux-system', 'app')?.metadata
    }
    const change = (write: (object: KubernetesObject) => void) =>
      store.update(Pod, 'flux-system', 'app', write, { manager: 'kubelet', subresource: 'status' })

    beforeEach(() => store.register(Pod))

    it('at once where no node has it', () => {
      store.create(Pod, pod({}), 'test')
      expect(remove()).toBeUndefined()
    })

    it('with the grace of its spec where a node has it, and keeps it through writes', () => {
      store.create(Pod, pod({ nodeName: 'node-1' }), 'test')
      const deleting = { deletionGracePeriodSeconds: 30, deletionTimestamp: '2026-01-05T09:00:30Z' }
      expect(remove()).toMatchObject(deleting)
      expect(change((object) => Object.assign(object, { status: { phase: 'Running' } }))?.metadata).toMatchObject(
        deleting,
      )
      expect(store.get(Pod, 'flux-system', 'app')).toBeDefined()
    })

    it('sooner when it is deleted again with less grace, and not later with more', () => {
      store.create(Pod, pod({ nodeName: 'node-1' }), 'test')
      remove()
      expect(remove({ gracePeriodSeconds: 1 })).toMatchObject({ deletionGracePeriodSeconds: 1 })
      expect(remove({ gracePeriodSeconds: 60 })).toMatchObject({ deletionGracePeriodSeconds: 1 })
      expect(remove({ gracePeriodSeconds: 0 })).toBeUndefined()
    })

    it('at once where it has ended', () => {
      store.create(Pod, pod({ nodeName: 'node-1' }), 'test')
      change((object) => Object.assign(object, { status: { phase: 'Failed' } }))
      expect(remove()).toBeUndefined()
    })
  })

  it('deletes at once without finalizers, with the version of the deletion', () => {
    store.create(kind, manifest(), 'test')
    store.delete(kind, 'flux-system', 'app')
    store.delete(kind, 'flux-system', 'app')
    expect(events.map((event) => event.type)).toEqual(['ADDED', 'DELETED'])
    expect(events[1]?.object.metadata.resourceVersion).toBe(store.list(kind).resourceVersion)
  })

  it('waits for finalizers', () => {
    store.create(kind, manifest({ metadata: { name: 'app', namespace: 'flux-system', finalizers: ['a'] } }), 'test')
    store.delete(kind, 'flux-system', 'app')
    expect(store.get(kind, 'flux-system', 'app')?.metadata.deletionTimestamp).toBe('2026-01-05T09:00:00Z')
    const addFinalizer = () =>
      update((object) => {
        object.metadata.finalizers = ['a', 'b']
      })
    expect(addFinalizer).toThrow(expect.objectContaining({ status: 422 }))
    update((object) => {
      object.metadata.finalizers = []
    })
    expect(store.get(kind, 'flux-system', 'app')).toBeUndefined()
    expect(events.map((event) => event.type)).toEqual(['ADDED', 'MODIFIED', 'DELETED'])
  })

  it('removes the objects of a kind that is no longer served', () => {
    store.create(kind, manifest(), 'test')
    store.unregister(kind)
    expect(events.at(-1)?.type).toBe('DELETED')
    expect(store.served()).toEqual([])
  })

  it('tells every listener one order, also when a listener writes', () => {
    const seen: string[][] = [[], []]
    store.subscribe(kind, (event) => {
      seen[0]?.push(`${event.type}`)
      if (event.type === 'ADDED') {
        update((object) => {
          object.spec.suspend = true
        })
      }
    })
    const stop = store.subscribe(kind, (event) => seen[1]?.push(`${event.type}`))
    store.create(kind, manifest(), 'test')
    stop()
    store.delete(kind, 'flux-system', 'app')
    expect(seen).toEqual([
      ['ADDED', 'MODIFIED', 'DELETED'],
      ['ADDED', 'MODIFIED'],
    ])
  })

  describe('history', () => {
    it('answers what came after a version, of one kind', () => {
      store.register(resources.Terraform)
      const created = store.create(kind, manifest(), 'test')
      store.create(resources.Terraform, { ...manifest(), kind: 'Terraform' }, 'test')
      store.delete(kind, 'flux-system', 'app')
      const after = store.since(kind, created.metadata.resourceVersion as string)
      expect(after.map((event) => event.type)).toEqual(['DELETED'])
    })

    it('is bounded: what is too old is 410', () => {
      store = new MemoryObjectStore({ clock, historyLimit: 2 })
      store.register(kind)
      const created = store.create(kind, manifest(), 'test')
      const before = store.list(kind).resourceVersion
      for (const value of ['1', '2']) {
        update((object) => {
          object.spec.interval = value
        })
      }
      expect(store.since(kind, created.metadata.resourceVersion as string)).toHaveLength(2)
      update((object) => {
        object.spec.interval = '3'
      })
      expect(() => store.since(kind, before)).toThrow(expect.objectContaining({ status: 410, reason: 'Expired' }))
    })

    it('can be forgotten', () => {
      const before = store.list(kind).resourceVersion
      store.forgetHistory()
      expect(() => store.since(kind, before)).toThrow(expect.objectContaining({ status: 410 }))
      expect(store.since(kind, store.list(kind).resourceVersion)).toEqual([])
    })
  })

  describe('field ownership', () => {
    const applier = 'kustomize-controller'

    it('gives an applier the fields of its manifest', () => {
      store.apply(kind, manifest({ spec: { interval: '1h', suspend: false } }), applier)
      expect(owners('f:suspend')).toEqual([`${applier} Apply`])
      expect(store.get(kind, 'flux-system', 'app')?.metadata.managedFields).toEqual([
        {
          manager: applier,
          operation: 'Apply',
          apiVersion: 'kustomize.toolkit.fluxcd.io/v1',
          time: '2026-01-05T09:00:00Z',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:spec': { 'f:interval': {}, 'f:suspend': {} } },
        },
      ])
    })

    it('moves a field to who changes it, and an apply with force takes it back', () => {
      store.apply(kind, manifest({ spec: { interval: '1h', suspend: false } }), applier)
      update(
        (object) => {
          object.spec.suspend = true
        },
        { manager: 'lockstep' },
      )
      expect(owners('f:suspend')).toEqual(['lockstep Update'])
      expect(owners('f:interval')).toEqual([`${applier} Apply`])
      const applied = store.apply(kind, manifest({ spec: { interval: '1h', suspend: false } }), applier)
      expect(applied.spec.suspend).toBe(false)
      expect(owners('f:suspend')).toEqual([`${applier} Apply`])
    })

    it('shares a field that two set to the same value', () => {
      store.apply(kind, manifest({ spec: { interval: '1h' } }), applier)
      update(
        (object) => {
          object.spec.suspend = true
        },
        { manager: 'lockstep' },
      )
      store.apply(kind, manifest({ spec: { interval: '1h', suspend: true } }), applier)
      expect(owners('f:suspend').sort()).toEqual([`${applier} Apply`, 'lockstep Update'])
      const applied = store.apply(kind, manifest({ spec: { interval: '1h' } }), applier)
      expect(applied.spec).toEqual({ interval: '1h', suspend: true })
      expect(owners('f:suspend')).toEqual(['lockstep Update'])
    })

    it('leaves fields of others alone and removes what is no longer applied', () => {
      const labelled = { name: 'app', namespace: 'flux-system', labels: { team: 'a' } }
      store.apply(kind, manifest({ metadata: labelled, spec: { interval: '1h', wait: true } }), applier)
      update(
        (object) => {
          object.metadata.annotations = { 'reconcile.fluxcd.io/requestedAt': 'x' }
        },
        { manager: 'lockstep' },
      )
      const applied = store.apply(kind, manifest({ spec: { interval: '1h' } }), applier)
      expect(applied.spec).toEqual({ interval: '1h' })
      expect(applied.metadata.annotations).toEqual({ 'reconcile.fluxcd.io/requestedAt': 'x' })
      expect(applied.metadata).not.toHaveProperty('labels')
      expect(applied.metadata.generation).toBe(2)
    })

    it('keeps a value that became a map with fields below it', () => {
      store.apply(kind, manifest({ spec: { settings: {} } }), applier)
      const applied = store.apply(kind, manifest({ spec: { settings: { a: 1 } } }), applier)
      expect(applied.spec).toEqual({ settings: { a: 1 } })
    })

    it('says nothing when the same manifest is applied again', () => {
      store.apply(kind, manifest(), applier)
      store.apply(kind, manifest(), applier)
      expect(events).toHaveLength(1)
    })

    it('never lets an apply touch status', () => {
      store.apply(kind, manifest({ status: { phase: 'from Git' } }), applier)
      update(
        (object) => {
          object.status = { phase: 'real' }
        },
        { subresource: 'status' },
      )
      const applied = store.apply(kind, manifest({ spec: {}, status: { phase: 'from Git' } }), applier)
      expect(applied.status).toEqual({ phase: 'real' })
    })

    it('has the time of the last change, also of a field that its writer owned already', () => {
      let now = clock.now()
      store = new MemoryObjectStore({ clock: { ...clock, now: () => now } })
      store.register(kind)
      store.create(kind, manifest(), 'test')
      now += 60_000
      const written = update((object) => {
        object.spec.interval = '2h'
      })
      expect(written?.metadata.managedFields).toMatchObject([{ manager: 'test', time: '2026-01-05T09:01:00Z' }])
    })

    it('records a status writer under its subresource', () => {
      store.create(kind, manifest(), 'test')
      const written = update(
        (object) => {
          object.status = { phase: 'real' }
        },
        { subresource: 'status' },
      )
      expect(written?.metadata.managedFields).toMatchObject([
        { fieldsV1: { 'f:spec': { '.': {}, 'f:interval': {}, 'f:path': {} } } },
        { subresource: 'status', fieldsV1: { 'f:status': { '.': {}, 'f:phase': {} } } },
      ])
    })
  })
})
