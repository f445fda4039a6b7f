import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KubeConfig, RequestContext } from '@kubernetes/client-node'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ClusterError, type ObjectRef, resources, type WatchEvent } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesClient } from '../../../functions/lib/kubernetes/kubernetes-client.ts'
import { kustomization, type StandInCluster, standInCluster, standInToken } from '../../fixtures/stand-in-cluster.ts'

const app: ObjectRef = { kind: 'Kustomization', namespace: 'flux-system', name: 'app' }
const kind = resources.Kustomization
const suspend = { type: 'merge', body: { spec: { suspend: true } } } as const

let standIn: StandInCluster

beforeEach(async () => {
  standIn = await standInCluster()
  standIn.store.create(kind, kustomization('app'), 'tests')
})

afterEach(() => standIn.close())

async function failure(work: Promise<unknown>): Promise<ClusterError> {
  const error = await work.then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(ClusterError)
  return error as ClusterError
}

function watch(from: string, onEvent: (event: WatchEvent) => void = () => {}, signal = new AbortController().signal) {
  return standIn.client().watch('Kustomization', from, onEvent, signal)
}

describe('failures', () => {
  it.each([
    [400, 'ClusterRejected'],
    [401, 'ClusterUnauthorized'],
    [404, 'ClusterNotFound'],
    [409, 'ClusterConflict'],
    [410, 'ClusterGone'],
    [422, 'ClusterRejected'],
    [429, 'ClusterThrottled'],
    [500, 'ClusterUnavailable'],
    [503, 'ClusterUnavailable'],
  ])('an answer of %i to a patch is %s', async (status, name) => {
    standIn.server.faults.inject({ verb: 'PATCH' }, { do: 'answer', status })
    const error = await failure(standIn.client().patch(app, suspend))
    expect(error).toMatchObject({ name, status, cluster: 'staging' })
    expect(error.message).toMatch(/^staging: PATCH Kustomization\/flux-system\/app was answered with \d+/)
    expect(error.next).not.toBe('')
  })

  describe('a 403', () => {
    /** An API server whose roles and whose readiness are answered from lists, one answer for each question. */
    async function withAnswers(allowed: boolean[], ready: (200 | 403 | 500)[]): Promise<void> {
      await standIn.close()
      standIn = await standInCluster({ authorize: () => allowed.shift() ?? true, ready: () => ready.shift() ?? 200 })
      standIn.store.create(kind, kustomization('app'), 'tests')
    }

    it('of an API server that is ready is ClusterForbidden', async () => {
      await withAnswers([false, false], [200])
      const error = await failure(standIn.client().patch(app, suspend))
      expect(error).toMatchObject({ name: 'ClusterForbidden', status: 403 })
      expect(error.message).toContain('PATCH Kustomization/flux-system/app was answered with 403')
    })

    it.each([
      [500, 0, 'still starting'],
      [403, 403, 'was answered with 403: kustomizations.kustomize.toolkit.fluxcd.io'],
    ] as const)(
      'of one that may still be starting (readyz %i) is ClusterUnavailable',
      async (readyz, status, words) => {
        await withAnswers([false], [readyz])
        const error = await failure(standIn.client().patch(app, suspend))
        expect(error).toMatchObject({ name: 'ClusterUnavailable', status })
        expect(error.message).toContain(words)
      },
    )

    it('is asked once more where the server may just have become ready', async () => {
      await withAnswers([false, true], [200])
      await standIn.client().patch(app, suspend)
      expect(standIn.store.get(kind, 'flux-system', 'app')?.spec).toMatchObject({ suspend: true })
    })
  })

  it.each(['LIST', 'WATCH'] as const)('a %s of a kind that is not served is KindNotServed', async (verb) => {
    const { signal } = new AbortController()
    const client = standIn.client()
    const work = verb === 'LIST' ? client.list('OCIRepository') : client.watch('OCIRepository', '1', () => {}, signal)
    const error = await failure(work)
    expect(error).toMatchObject({ name: 'KindNotServed', status: 404 })
    expect(error.message).toContain(`${verb} OCIRepository`)
  })

  it('an object of a kind that is not served is KindNotServed too', async () => {
    const error = await failure(standIn.client().get({ ...app, kind: 'OCIRepository' }))
    expect(error.name).toBe('KindNotServed')
  })

  it('passes Retry-After on', async () => {
    standIn.server.faults.inject({ verb: 'LIST' }, { do: 'answer', status: 429, retryAfterSeconds: 7 })
    const error = await failure(standIn.client().list('Kustomization'))
    expect(error).toMatchObject({ name: 'ClusterThrottled', retryAfterMs: 7000 })
  })

  it.each(['hang', 'mute'] as const)(
    'a server that does not answer (%s) is ClusterUnavailable after 15 s',
    async (how) => {
      standIn.server.faults.inject({ verb: 'GET' }, { do: how })
      const began = standIn.clock.now()
      const error = await failure(standIn.client().get(app))
      expect(error).toMatchObject({ name: 'ClusterUnavailable', status: 0 })
      expect(error.message).toContain('nothing came for 15 s')
      expect(standIn.clock.now() - began).toBe(15_000)
    },
  )

  it('waits for a slow answer', async () => {
    standIn.server.faults.inject({ verb: 'GET' }, { do: 'delay', ms: 14_000 })
    await expect(standIn.client().get(app)).resolves.toMatchObject({ metadata: { name: 'app' } })
  })

  it('a cut connection is ClusterUnavailable', async () => {
    standIn.server.faults.inject({ verb: 'GET' }, { do: 'drop' })
    const error = await failure(standIn.client().get(app))
    expect(error).toMatchObject({ name: 'ClusterUnavailable', status: 0 })
  })

  it('a server that is not there is ClusterUnavailable, with the reason', async () => {
    await standIn.server.close()
    const error = await failure(standIn.client().get(app))
    expect(error).toMatchObject({ name: 'ClusterUnavailable', status: 0 })
    expect(error.message).toContain('ECONNREFUSED')
    standIn = await standInCluster()
  })

  it('never carries the token or what was sent', async () => {
    const texts: string[] = []
    for (const status of [401, 403, 422, 500]) {
      standIn.server.faults.inject({}, { do: 'answer', status }, status === 403 ? 2 : 1)
      const body = { spec: { postBuild: { substitute: { password: 'hunter2' } } } }
      const error = await failure(standIn.client().patch(app, { type: 'merge', body }))
      texts.push(error.message, JSON.stringify(error), String(error.stack), String(error.cause))
    }
    expect(texts.join()).not.toContain(standInToken)
    expect(texts.join()).not.toContain('hunter2')
  })

  it('is ClusterUnauthorized without credentials, and does not quote what the credentials say', async () => {
    const config = new KubeConfig()
    config.addAuthenticator({
      isAuthProvider: () => true,
      applyAuthentication: async () => {
        throw new TypeError(`cannot parse ${standInToken}`)
      },
    })
    config.loadFromClusterAndUser({ name: 'x', server: standIn.server.url, skipTLSVerify: true }, { name: 'x' })
    const error = await failure(standIn.client({ config }).get(app))
    expect(error).toMatchObject({ name: 'ClusterUnauthorized', status: 0 })
    expect(error.message).toContain('TypeError')
    expect(error.message).not.toContain(standInToken)
  })
})

describe('authentication', () => {
  it('sends the token with every request', async () => {
    await standIn.close()
    standIn = await standInCluster({ authenticate: (token) => (token === standInToken ? 'lockstep' : undefined) })
    standIn.store.create(kind, kustomization('app'), 'tests')
    await standIn.client().patch(app, suspend)
    const config = new KubeConfig()
    config.loadFromClusterAndUser(
      { name: 'x', server: standIn.server.url, skipTLSVerify: true },
      { name: 'x', token: 'no' },
    )
    expect((await failure(standIn.client({ config }).get(app))).name).toBe('ClusterUnauthorized')
  })
})

describe('connections', () => {
  it('are used again: 100 patches one after the other do not take 100', async () => {
    const client = standIn.client()
    for (let round = 0; round < 100; round++) {
      const body = { metadata: { annotations: { round: `${round}` } } }
      await client.patch(app, { type: 'merge', body })
    }
    expect(standIn.server.requests().PATCH).toEqual({ Kustomization: 100 })
    // One, or two where a patch is sent before the answer to the one before has been put away.
    expect(standIn.server.connections()).toBeLessThanOrEqual(3)
  })
})

describe('a connection that may be dead', () => {
  it('is not used again after a request that was not answered', async () => {
    const used = vi.spyOn(RequestContext.prototype, 'setDispatcher')
    const client = standIn.client()
    const pools: unknown[] = []
    const get = () => client.get(app).finally(() => pools.push(used.mock.lastCall?.[0]))
    await get()
    await get()
    standIn.server.faults.inject({ verb: 'GET' }, { do: 'hang' })
    await failure(get())
    await get()
    used.mockRestore()
    expect(pools[1]).toBe(pools[0])
    expect(pools[2]).toBe(pools[0])
    expect(pools[3]).not.toBe(pools[0])
  })
})

describe('watch', () => {
  it('survives 14 minutes in which nothing happens', async () => {
    const { resourceVersion } = await standIn.client().list('Kustomization')
    const began = standIn.clock.now()
    const ending = new AbortController()
    const types: string[] = []
    const onEvent = ({ type }: WatchEvent) => {
      types.push(type)
      if (type === 'ADDED') ending.abort()
    }
    standIn.clock.after(14 * 60_000, () => standIn.store.create(kind, kustomization('late'), 'tests'))
    await watch(resourceVersion, onEvent, ending.signal)
    expect(types.at(-1)).toBe('ADDED')
    expect(standIn.clock.now() - began).toBe(14 * 60_000)
    expect(standIn.server.requests().WATCH).toEqual({ Kustomization: 1 })
  })

  it('resolves when the server ends it', async () => {
    const { resourceVersion } = await standIn.client().list('Kustomization')
    const began = standIn.clock.now()
    await watch(resourceVersion)
    expect(standIn.clock.now() - began).toBe(900_000)
  })

  it('does not wait longer than 150 s on a dead connection', async () => {
    standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'mute' })
    const began = standIn.clock.now()
    const error = await failure(watch('1'))
    expect(error.name).toBe('ClusterUnavailable')
    expect(error.message).toContain('nothing came for 150 s')
    expect(standIn.clock.now() - began).toBe(150_000)
  })

  it('does not wait longer than 15 s for its beginning', async () => {
    standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'hang' })
    expect((await failure(watch('1'))).message).toContain('nothing came for 15 s')
  })

  it('is ClusterUnavailable when it is cut, after what came before', async () => {
    const { resourceVersion } = await standIn.client().list('Kustomization')
    for (const name of ['a', 'b', 'c']) standIn.store.create(kind, kustomization(name), 'tests')
    standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'drop', afterEvents: 2 })
    const names: unknown[] = []
    const error = await failure(watch(resourceVersion, ({ object }) => names.push(object)))
    expect(error.name).toBe('ClusterUnavailable')
    expect(names).toMatchObject([{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }])
  })

  it('is ClusterGone by status as well as by event', async () => {
    standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'answer', status: 410 })
    expect((await failure(watch('2000'))).name).toBe('ClusterGone')
    expect((await failure(watch('1'))).name).toBe('ClusterGone')
  })

  it('rejects with what its listener throws, and closes the connection', async () => {
    const thrown = new Error('mine')
    const listener = () => {
      throw thrown
    }
    await expect(watch('0', listener)).rejects.toBe(thrown)
    await vi.waitFor(() => expect(standIn.server.openWatches()).toBe(0))
  })
})

describe('answers that are none of an API server', () => {
  let server: Server
  let respond: (response: ServerResponse) => void
  let client: KubernetesClient

  beforeEach(async () => {
    server = createServer((_, response) => respond(response))
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const config = new KubeConfig()
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/proxied/`
    config.loadFromClusterAndUser({ name: 'x', server: url, skipTLSVerify: true }, { name: 'x' })
    client = standIn.client({ config })
  })

  afterEach(() => {
    server.closeAllConnections()
    server.close()
  })

  it.each(['<html>Sign in</html>', '{"items": {}}', '{"items": []}', 'null', ''])(
    'a list of %j is ClusterUnavailable',
    async (body) => {
      respond = (response) => response.end(body)
      expect((await failure(client.list('Kustomization'))).name).toBe('ClusterUnavailable')
    },
  )

  it.each(['<html>', '{"type": "SURPRISE"}', '[]'])('a watch event of %j is ClusterUnavailable', async (line) => {
    respond = (response) => response.end(`${line}\n`)
    const { signal } = new AbortController()
    expect((await failure(client.watch('Kustomization', '1', () => {}, signal))).name).toBe('ClusterUnavailable')
  })

  it('reads events that arrive in pieces, and drops half of one at the end', async () => {
    const event = (name: string) => `${JSON.stringify({ type: 'ADDED', object: { name } })}\n`
    const text = Buffer.from(`${event('ä')}\n${event('b')}{"type": "ADD`)
    respond = async (response) => {
      for (const byte of text) {
        response.write(Buffer.from([byte]))
        await new Promise((resolve) => setImmediate(resolve))
      }
      response.end()
    }
    const names: unknown[] = []
    await client.watch('Kustomization', '1', ({ object }) => names.push(object), new AbortController().signal)
    expect(names).toEqual([{ name: 'ä' }, { name: 'b' }])
  })

  it('tells nothing more once its listener has ended it', async () => {
    const lines = ['a', 'b'].map((name) => JSON.stringify({ type: 'ADDED', object: { name } }))
    respond = (response) => response.end(`${lines.join('\n')}\n`)
    const ending = new AbortController()
    const seen: unknown[] = []
    const listener = ({ object }: WatchEvent) => {
      seen.push(object)
      ending.abort()
    }
    await client.watch('Kustomization', '1', listener, ending.signal)
    expect(seen).toEqual([{ name: 'a' }])
  })

  it('names the fields that are not valid, and not their values', async () => {
    const status = {
      kind: 'Status',
      message: 'Kustomization "app" is invalid: spec.path: Invalid value: "hunter2"',
      reason: 'Invalid',
      details: { causes: [{ field: 'spec.path', message: 'Invalid value: "hunter2"' }] },
    }
    respond = (response) => response.writeHead(422).end(JSON.stringify(status))
    const operations = [{ op: 'add', path: '/spec/path', value: 'hunter2' }] as const
    const error = await failure(client.patch(app, { type: 'json', operations }))
    expect(error.name).toBe('ClusterRejected')
    expect(error.message).toContain('(spec.path)')
    expect(error.message).not.toContain('hunter2')
  })

  it('keeps the path of the server address', async () => {
    let asked = ''
    server.on('request', (request) => {
      asked = request.url ?? ''
    })
    respond = (response) => response.end('{"metadata": {}}')
    await client.get(app)
    expect(asked).toBe('/proxied/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/app')
  })

  it('does not let a name leave its place in the path', async () => {
    let asked = ''
    server.on('request', (request) => {
      asked = request.url ?? ''
    })
    respond = (response) => response.end('{}')
    await client.get({ ...app, name: '../../secrets/x?y' })
    expect(asked).toMatch(/kustomizations\/\.\.%2F\.\.%2Fsecrets%2Fx%3Fy$/)
  })
})
