import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { kustomization, type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'

const base = '/apis/kustomize.toolkit.fluxcd.io/v1'
const collection = `${base}/namespaces/flux-system/kustomizations`
const app = `${collection}/app`
const merge = 'application/merge-patch+json'
const json = 'application/json-patch+json'

let standIn: StandInCluster

beforeEach(async () => {
  standIn = await standInCluster()
})

afterEach(() => standIn.close())

interface Answer {
  readonly code: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked at, not trusted
  readonly body: any
}

async function ask(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Answer> {
  const response = await fetch(`${standIn.server.url}${path}`, {
    method,
    headers: { 'content-type': type, 'user-agent': 'tests/1' },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  return { code: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
}

/** The first lines of a watch; `opened` is called when it is open. */
async function lines(
  path: string,
  count: number,
  opened = () => {},
): Promise<{ type: string; object: KubernetesObject }[]> {
  const ending = new AbortController()
  const response = await fetch(`${standIn.server.url}${path}`, { signal: ending.signal })
  opened()
  let text = ''
  const decoder = new TextDecoder()
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true })
      if (text.split('\n').length > count) break
    }
  } finally {
    ending.abort()
  }
  return text
    .split('\n')
    .slice(0, count)
    .map((line) => JSON.parse(line))
}

function deployment(name: string): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'flux-system' },
    spec: { replicas: 2, selector: { matchLabels: { app: name } } },
  }
}

function labelled(name: string, labels: Record<string, string>): KubernetesObject {
  const object = kustomization(name)
  return { ...object, metadata: { ...object.metadata, labels } }
}

describe('discovery', () => {
  it('says what is served', async () => {
    expect((await ask('GET', '/readyz')).body).toBe('ok')
    expect((await ask('GET', '/version')).body.minor).toBe('35')
    expect((await ask('GET', '/api')).body.versions).toEqual(['v1'])
    const groups = (await ask('GET', '/apis')).body.groups.map((group: { name: string }) => group.name)
    expect(groups).toContain('kustomize.toolkit.fluxcd.io')
    const names = (await ask('GET', '/apis/apps/v1')).body.resources.map((entry: { name: string }) => entry.name)
    expect(names).toEqual(['deployments', 'deployments/status', 'deployments/scale'])
  })

  it.each(['/', '/apis/none/v1', `${base}/none`, `${app}/scale`, `${base.replace('v1', 'v2')}/kustomizations`])(
    'answers 404 in plain text for %s',
    async (path) => {
      expect(await ask('GET', path)).toMatchObject({ code: 404, body: '404 page not found\n' })
    },
  )
})

describe('objects', () => {
  it('are created, read, replaced and deleted', async () => {
    expect(await ask('POST', collection, kustomization('app'))).toMatchObject({
      code: 201,
      body: { metadata: { generation: 1 } },
    })
    const read = (await ask('GET', app)).body
    const replaced = await ask('PUT', app, { ...read, spec: { interval: '2h' } })
    expect(replaced).toMatchObject({ code: 200, body: { spec: { interval: '2h' }, metadata: { generation: 2 } } })
    expect(replaced.body.spec).not.toHaveProperty('path')
    expect((await ask('DELETE', app)).body).toMatchObject({ status: 'Success', details: { name: 'app' } })
    expect(await ask('GET', app)).toMatchObject({
      code: 404,
      body: { kind: 'Status', reason: 'NotFound', details: { name: 'app', kind: 'kustomizations' } },
    })
  })

  it('are not created twice, elsewhere than in the path, or as another kind', async () => {
    await ask('POST', collection, kustomization('app'))
    expect(await ask('POST', collection, kustomization('app'))).toMatchObject({
      code: 409,
      body: { reason: 'AlreadyExists' },
    })
    const elsewhere = { ...kustomization('x'), metadata: { name: 'x', namespace: 'other' } }
    expect((await ask('POST', collection, elsewhere)).code).toBe(400)
    expect((await ask('POST', collection, deployment('x'))).code).toBe(400)
    expect((await ask('POST', collection, '{')).code).toBe(400)
  })

  it('are not replaced on a stale or missing version', async () => {
    await ask('POST', collection, kustomization('app'))
    const read = (await ask('GET', app)).body
    await ask('PUT', app, { ...read, spec: { interval: '2h' } })
    expect(await ask('PUT', app, { ...read, spec: { interval: '3h' } })).toMatchObject({
      code: 409,
      body: { reason: 'Conflict', message: expect.stringContaining('the object has been modified') },
    })
    expect((await ask('PUT', app, kustomization('app'))).code).toBe(422)
  })

  it('are deleted on conditions', async () => {
    const { metadata } = (await ask('POST', collection, kustomization('app'))).body
    const other = await ask('DELETE', app, { preconditions: { uid: 'other' } })
    expect(other).toMatchObject({ code: 409, body: { reason: 'Conflict' } })
    const { uid, resourceVersion } = metadata
    expect((await ask('DELETE', app, { preconditions: { uid, resourceVersion } })).code).toBe(200)
  })

  it('stay while they have finalizers', async () => {
    const object = kustomization('app')
    await ask('POST', collection, { ...object, metadata: { ...object.metadata, finalizers: ['x'] } })
    expect((await ask('DELETE', app)).body.metadata.deletionTimestamp).toBeDefined()
    await ask('PATCH', app, { metadata: { finalizers: null } }, merge)
    expect((await ask('GET', app)).code).toBe(404)
  })

  it('outside of namespaces are served too', async () => {
    await ask('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } })
    expect((await ask('GET', '/api/v1/nodes/n1')).body.metadata).not.toHaveProperty('namespace')
  })

  it('are never written by a dry run', async () => {
    expect((await ask('POST', `${collection}?dryRun=All`, kustomization('app'))).code).toBe(400)
    expect((await ask('GET', app)).code).toBe(404)
  })
})

describe('patches', () => {
  beforeEach(() => ask('POST', collection, kustomization('app')))

  it('record the field manager, or the client', async () => {
    await ask('PATCH', `${app}?fieldManager=lockstep`, { spec: { suspend: true } }, merge)
    const { body } = await ask('PATCH', app, { spec: { wait: true } }, merge)
    expect(body.metadata.managedFields.map((entry: { manager: string }) => entry.manager)).toEqual([
      'lockstep',
      'tests',
    ])
  })

  it('refuse a strategic merge, as custom resources do', async () => {
    const answer = await ask('PATCH', app, {}, 'application/strategic-merge-patch+json')
    expect(answer).toMatchObject({ code: 415, body: { reason: 'UnsupportedMediaType' } })
  })

  it('refuse another name, and what is no patch', async () => {
    expect((await ask('PATCH', app, { metadata: { name: 'other' } }, merge)).code).toBe(400)
    expect((await ask('PATCH', app, [], merge)).code).toBe(400)
    expect((await ask('PATCH', app, {}, json)).code).toBe(400)
  })

  it('answer 422 for a failing test, changing nothing', async () => {
    const operations = [
      { op: 'add', path: '/spec/suspend', value: true },
      { op: 'test', path: '/spec/interval', value: '9h' },
    ]
    expect(await ask('PATCH', app, operations, json)).toMatchObject({ code: 422, body: { reason: 'Invalid' } })
    expect((await ask('GET', app)).body.spec).not.toHaveProperty('suspend')
  })

  it('cannot reach what all objects have in common', async () => {
    await ask('PATCH', app, '{"__proto__": {"polluted": true}}', merge)
    await ask('PATCH', app, '[{"op": "add", "path": "/__proto__/polluted", "value": true}]', json)
    expect({}).not.toHaveProperty('polluted')
  })

  it('apply manifests in YAML, by force only', async () => {
    const path = `${app}?fieldManager=kustomize-controller`
    const yaml = 'apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec: {suspend: true}\n'
    expect((await ask('PATCH', path, yaml, 'application/apply-patch+yaml')).code).toBe(400)
    const applied = await ask('PATCH', `${path}&force=true`, yaml, 'application/apply-patch+yaml')
    expect(applied).toMatchObject({ code: 200, body: { spec: { suspend: true, interval: '1h' } } })
    const created = await ask(
      'PATCH',
      `${collection}/new?fieldManager=x&force=true`,
      yaml,
      'application/apply-patch+yaml',
    )
    expect(created.code).toBe(201)
  })
})

describe('subresources', () => {
  it('status is written alone', async () => {
    await ask('POST', collection, kustomization('app'))
    const body = { spec: { suspend: true }, status: { phase: 'x' } }
    const written = await ask('PATCH', `${app}/status`, body, merge)
    expect(written.body).toMatchObject({ status: { phase: 'x' }, metadata: { generation: 1 } })
    expect(written.body.spec).not.toHaveProperty('suspend')
    expect((await ask('PATCH', app, { status: { phase: 'y' } }, merge)).body.status).toEqual({ phase: 'x' })
  })

  it('scale reads and changes the replicas of a Deployment', async () => {
    standIn.store.create(builtinResources.Deployment, deployment('tofu'), 'tests')
    const path = '/apis/apps/v1/namespaces/flux-system/deployments/tofu/scale'
    const scale = (await ask('GET', path)).body
    expect(scale).toMatchObject({ kind: 'Scale', spec: { replicas: 2 }, status: { replicas: 0, selector: 'app=tofu' } })
    expect((await ask('PATCH', path, { spec: { replicas: 0 } }, merge)).body.spec).toEqual({})
    expect(standIn.store.get(builtinResources.Deployment, 'flux-system', 'tofu')).toMatchObject({
      spec: { replicas: 0, selector: { matchLabels: { app: 'tofu' } } },
      metadata: { generation: 2 },
    })
    expect((await ask('PUT', path, { ...scale, spec: { replicas: 5 } })).code).toBe(409)
    expect((await ask('PATCH', path, { spec: { replicas: -1 } }, merge)).code).toBe(422)
  })
})

describe('lists', () => {
  beforeEach(() => {
    const { store } = standIn
    for (const name of ['a', 'b', 'c']) store.create(resources.Kustomization, labelled(name, { team: name }), 'tests')
    const other = { ...kustomization('d'), metadata: { name: 'd', namespace: 'other' } }
    store.create(resources.Kustomization, other, 'tests')
  })

  const names = (answer: Answer) => answer.body.items.map((item: KubernetesObject) => item.metadata.name)

  it.each([
    ['', ['a', 'b', 'c', 'd']],
    ['?labelSelector=team%3Da', ['a']],
    ['?labelSelector=team!%3Da,team', ['b', 'c']],
    ['?labelSelector=!team', ['d']],
    ['?fieldSelector=metadata.name%3Db', ['b']],
  ])('select objects by %j', async (query, expected) => {
    expect(names(await ask('GET', `${base}/kustomizations${query}`))).toEqual(expected)
  })

  it('stay within a namespace, and refuse a selector that they do not understand', async () => {
    expect(names(await ask('GET', collection))).toEqual(['a', 'b', 'c'])
    expect((await ask('GET', `${collection}?labelSelector=team%20in%20(a,b)`)).code).toBe(400)
  })

  it('come in pages of one version', async () => {
    const first = await ask('GET', `${base}/kustomizations?limit=3`)
    expect(first.body.metadata.remainingItemCount).toBe(1)
    standIn.store.delete(resources.Kustomization, 'other', 'd')
    const next = await ask('GET', `${base}/kustomizations?limit=3&continue=${first.body.metadata.continue}`)
    expect([...names(first), ...names(next)]).toEqual(['a', 'b', 'c', 'd'])
    expect(next.body.metadata).toEqual({ resourceVersion: first.body.metadata.resourceVersion })
  })

  it('answer 410 for a page that is too old, 400 for a token that is none', async () => {
    const first = await ask('GET', `${collection}?limit=1`)
    standIn.server.forgetHistory()
    const next = await ask('GET', `${collection}?limit=1&continue=${first.body.metadata.continue}`)
    expect(next).toMatchObject({ code: 410, body: { reason: 'Expired' } })
    expect((await ask('GET', `${collection}?continue=x`)).code).toBe(400)
  })
})

describe('watches', () => {
  beforeEach(() => {
    standIn.store.create(resources.Kustomization, labelled('a', { team: 'a' }), 'tests')
  })

  it.each(['', '&resourceVersion=0'])('begin with the present objects (%j)', async (version) => {
    expect(await lines(`${collection}?watch=1${version}`, 1)).toMatchObject([
      { type: 'ADDED', object: { metadata: { name: 'a' } } },
    ])
  })

  it('tell of objects that begin and cease to be selected', async () => {
    const from = standIn.store.currentVersion()
    const relabel = (team: string) =>
      standIn.store.update(
        resources.Kustomization,
        'flux-system',
        'a',
        (object) => {
          object.metadata.labels = { team }
        },
        { manager: 'tests' },
      )
    relabel('b')
    relabel('a')
    const events = await lines(`${collection}?watch=1&labelSelector=team%3Da&resourceVersion=${from}`, 2)
    expect(events.map(({ type }) => type)).toEqual(['DELETED', 'ADDED'])
    expect(events[0]?.object.metadata.labels).toEqual({ team: 'a' })
    expect(Number(events[0]?.object.metadata.resourceVersion)).toBe(Number(from) + 1)
  })

  it('wait for a version that is still to come', async () => {
    const next = Number(standIn.store.currentVersion()) + 1
    const events = await lines(`${collection}?watch=1&resourceVersion=${next}`, 1, () => {
      for (const name of ['x', 'y']) standIn.store.create(resources.Kustomization, kustomization(name), 'tests')
    })
    expect(events).toMatchObject([{ object: { metadata: { name: 'y' } } }])
  })

  it('say in an ERROR event that a version is too old', async () => {
    expect(await lines(`${collection}?watch=1&resourceVersion=1`, 1)).toMatchObject([
      { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } },
    ])
  })

  it('get bookmarks when they ask for them', async () => {
    const from = standIn.store.currentVersion()
    const began = standIn.clock.now()
    const events = await lines(`${collection}?watch=1&allowWatchBookmarks=true&resourceVersion=${from}`, 1)
    expect(events).toMatchObject([
      { type: 'BOOKMARK', object: { kind: 'Kustomization', metadata: { resourceVersion: from } } },
    ])
    expect(standIn.clock.now() - began).toBeGreaterThanOrEqual(60_000)
  })

  it('end when their time is over', async () => {
    const from = standIn.store.currentVersion()
    const began = standIn.clock.now()
    const path = `${collection}?watch=1&timeoutSeconds=30&resourceVersion=${from}`
    expect(await (await fetch(`${standIn.server.url}${path}`)).text()).toBe('')
    expect(standIn.clock.now() - began).toBeGreaterThanOrEqual(30_000)
  })
})

describe('access', () => {
  it('is refused to whom the server does not know, and for what a user may not do', async () => {
    await standIn.close()
    standIn = await standInCluster({
      authenticate: (token) => (token === 'good' ? 'lockstep' : undefined),
      authorize: (user, { verb }) => user === 'lockstep' && verb === 'LIST',
    })
    const as = (token: string, path: string) =>
      fetch(`${standIn.server.url}${path}`, { headers: token ? { authorization: `Bearer ${token}` } : {} })
    expect((await as('', collection)).status).toBe(401)
    expect((await as('bad', collection)).status).toBe(401)
    expect((await as('good', collection)).status).toBe(200)
    const forbidden = await as('good', app)
    expect(forbidden.status).toBe(403)
    expect(await forbidden.json()).toMatchObject({
      reason: 'Forbidden',
      message:
        'kustomizations.kustomize.toolkit.fluxcd.io "app" is forbidden: User "lockstep" cannot get resource "kustomizations" in API group "kustomize.toolkit.fluxcd.io" in the namespace "flux-system"',
    })
  })
})
