import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sleep } from '../../../functions/lib/clock.ts'
import { type Cluster, ClusterError, type Kind, resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { type Mirror, type MirrorEvent, mirror } from '../../../functions/lib/kubernetes/mirror.ts'
import { kustomization, type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'

const kind = resources.Kustomization

let standIn: StandInCluster
let ending: AbortController
let events: MirrorEvent[]
let onEvent: (event: MirrorEvent) => void

beforeEach(async () => {
  standIn = await standInCluster()
  ending = new AbortController()
  events = []
  onEvent = (event) => events.push(event)
  for (const name of ['a', 'b', 'c']) standIn.store.create(kind, kustomization(name), 'tests')
})

afterEach(async () => {
  ending.abort()
  await standIn.close()
})

function start(kinds: readonly Kind[] = ['Kustomization'], cluster: Cluster = standIn.client()): Promise<Mirror> {
  const { clock } = standIn
  return mirror(cluster, kinds, { clock, signal: ending.signal, onEvent: (event) => onEvent(event) })
}

function suspend(name: string): void {
  const change = (object: { spec?: { suspend?: boolean } }) => {
    if (object.spec) object.spec.suspend = true
  }
  standIn.store.update(kind, 'flux-system', name, change, { manager: 'tests' })
}

function told(): string[] {
  return events.map(({ type, object }) => `${type} ${(object as { metadata: { name: string } }).metadata.name}`)
}

/** The virtual clock runs on meanwhile, so this looks often. */
const eventually = (assertion: () => void) => vi.waitFor(assertion, { interval: 1, timeout: 60_000 })
const tells = (...expected: string[]) => eventually(() => expect(told()).toEqual(expected))
const watching = (count = 1) => eventually(() => expect(standIn.server.openWatches()).toBe(count))

describe('mirror', () => {
  it('takes one LIST and one WATCH per kind', async () => {
    const view = await start(['Kustomization', 'Terraform', 'HelmRelease'])
    await watching(3)
    suspend('a')
    await tells('MODIFIED a')
    expect(view.objects('Kustomization').size).toBe(3)
    expect(view.objects('Kustomization').get('flux-system/a')).toMatchObject({ spec: { suspend: true } })
    expect(view.objects('Terraform').size).toBe(0)
    expect(view.resourceVersions.Kustomization).toBe(standIn.store.currentVersion())
    const each = { Kustomization: 1, Terraform: 1, HelmRelease: 1 }
    expect(standIn.server.requests()).toEqual({ LIST: each, WATCH: each })
  })

  it('names kinds that are not served, and follows the others', async () => {
    const view = await start(['OCIRepository', 'Kustomization'])
    suspend('a')
    await tells('MODIFIED a')
    expect(view.missingKinds).toEqual(['OCIRepository'])
    expect(view.objects('OCIRepository').size).toBe(0)
  })

  it('goes on where it was when a watch is cut', async () => {
    await start()
    await watching()
    standIn.server.dropWatches()
    suspend('a')
    await tells('MODIFIED a')
    standIn.server.dropWatches()
    standIn.store.delete(kind, 'flux-system', 'b')
    await tells('MODIFIED a', 'DELETED b')
    expect(standIn.server.requests().LIST).toEqual({ Kustomization: 1 })
  })

  it('loses nothing when every watch is cut after one event', async () => {
    standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'drop', afterEvents: 1 }, 20)
    await start()
    const names = [...Array(20).keys()].map((number) => `new-${number}`)
    for (const name of names) standIn.store.create(kind, kustomization(name), 'tests')
    await tells(...names.map((name) => `ADDED ${name}`))
  })

  it('goes on after a watch that the server ended', async () => {
    const view = await start()
    await eventually(() => expect(standIn.server.requests().WATCH?.Kustomization).toBeGreaterThan(3))
    suspend('a')
    await tells('MODIFIED a')
    expect(standIn.server.requests().LIST).toEqual({ Kustomization: 1 })
    expect(view.missingKinds).toEqual([])
  })

  it('goes on after a connection that died in silence', async () => {
    standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'mute' })
    await start()
    suspend('a')
    await tells('MODIFIED a')
    expect(standIn.server.requests().LIST).toEqual({ Kustomization: 1 })
  })

  it('tells the difference when the history is gone', async () => {
    const view = await start()
    await watching()
    // In one turn, so that no watch hears of it.
    standIn.server.dropWatches()
    suspend('b')
    standIn.store.delete(kind, 'flux-system', 'c')
    standIn.store.create(kind, kustomization('d'), 'tests')
    standIn.store.delete(kind, 'flux-system', 'a')
    standIn.store.create(kind, kustomization('a'), 'tests')
    standIn.store.forgetHistory()
    await tells('DELETED a', 'DELETED c', 'MODIFIED b', 'ADDED d', 'ADDED a')
    expect(events[2]?.previous).toMatchObject({ metadata: { name: 'b' } })
    expect(events[2]?.previous).not.toHaveProperty('spec.suspend')
    expect([...view.objects('Kustomization').keys()].sort()).toEqual(
      ['a', 'b', 'd'].map((name) => `flux-system/${name}`),
    )
    suspend('d')
    await tells('DELETED a', 'DELETED c', 'MODIFIED b', 'ADDED d', 'ADDED a', 'MODIFIED d')
  })

  it('makes nothing up when the history is gone and nothing changed', async () => {
    await start()
    await watching()
    standIn.server.forgetHistory()
    await eventually(() => expect(standIn.server.requests().LIST).toEqual({ Kustomization: 2 }))
    suspend('a')
    await tells('MODIFIED a')
  })

  it('tells of deletions when the kind goes', async () => {
    const view = await start()
    await watching()
    standIn.server.dropWatches()
    standIn.store.forgetHistory()
    standIn.store.unregister(kind)
    await tells('DELETED a', 'DELETED b', 'DELETED c')
    expect(view.missingKinds).toEqual(['Kustomization'])
    await view.closed
  })

  describe('failures', () => {
    it.each([429, 500, 503])('tries again after %i, for the list as for the watch', async (status) => {
      standIn.server.faults.inject({ verb: 'LIST' }, { do: 'answer', status }, 3)
      standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'answer', status }, 4)
      const view = await start(undefined, standIn.client())
      expect(view.objects('Kustomization').size).toBe(3)
      await watching()
      suspend('a')
      await tells('MODIFIED a')
    })

    it('pauses as long as the server asks for', async () => {
      standIn.server.faults.inject({ verb: 'LIST' }, { do: 'answer', status: 429, retryAfterSeconds: 20 })
      const began = standIn.clock.now()
      await start()
      expect(standIn.clock.now() - began).toBe(20_000)
    })

    it('pauses longer from try to try', async () => {
      standIn.server.faults.inject({ verb: 'LIST' }, { do: 'answer', status: 500 }, 4)
      const began = standIn.clock.now()
      await start()
      expect(standIn.clock.now() - began).toBe(250 + 500 + 1000 + 2000)
    })

    it('gives up a first list after five tries', async () => {
      standIn.server.faults.inject({ verb: 'LIST', kind: 'Kustomization' }, { do: 'answer', status: 500 }, 9)
      await expect(start(['Terraform', 'Kustomization'])).rejects.toMatchObject({ name: 'ClusterUnavailable' })
      expect(standIn.server.requests().LIST).toEqual({ Kustomization: 5, Terraform: 1 })
    })

    it('gives up watches after five tries in a row, and ends the others', async () => {
      const view = await start(['Terraform', 'Kustomization'])
      await watching(2)
      standIn.server.faults.inject({ verb: 'WATCH', kind: 'Kustomization' }, { do: 'answer', status: 500 }, 9)
      standIn.server.dropWatches()
      await expect(view.closed).rejects.toMatchObject({ name: 'ClusterUnavailable', status: 500 })
      await watching(0)
      await sleep(standIn.clock, 1000)
      const before = standIn.server.requests()
      // Long enough for a watch that still runs to be ended by the server and begun again.
      await sleep(standIn.clock, 3_600_000)
      expect(standIn.server.requests()).toEqual(before)
    })

    it('counts only failures in a row', async () => {
      const view = await start()
      await watching()
      for (let round = 0; round < 3; round++) {
        standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'answer', status: 500 }, 3)
        standIn.server.dropWatches()
        suspend(['a', 'b', 'c'][round] ?? '')
        await eventually(() => expect(events.length).toBe(round + 1))
      }
      await watching()
      expect(view.objects('Kustomization').size).toBe(3)
    })

    it('goes on through watches that are cut every few seconds', async () => {
      let begun = 0
      const cut = async () => {
        begun++
        await sleep(standIn.clock, 3000)
        throw new ClusterError('ClusterUnavailable', 'fake', 0, 'Cut.', 'Nothing.')
      }
      const view = await start(undefined, { ...fake(), watch: cut })
      await Promise.race([eventually(() => expect(begun).toBeGreaterThan(20)), view.closed])
      ending.abort()
      await view.closed
    })

    it.each([
      [401, 'ClusterUnauthorized', 1],
      // The client asks once more whether it is really forbidden.
      [403, 'ClusterForbidden', 2],
    ])('does not try again after %i', async (status, name, asked) => {
      standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'answer', status }, asked)
      const view = await start()
      await expect(view.closed).rejects.toMatchObject({ name, status })
      standIn.server.faults.inject({ verb: 'LIST' }, { do: 'answer', status }, asked)
      await expect(start()).rejects.toMatchObject({ name, status })
      expect(standIn.server.requests()).toEqual({
        LIST: { Kustomization: 1 + asked },
        WATCH: { Kustomization: asked },
      })
    })

    it('gives up when the history is gone as soon as it was listed, again and again', async () => {
      standIn.server.faults.inject({ verb: 'WATCH' }, { do: 'answer', status: 410 }, 9)
      const view = await start()
      // Not ClusterGone, which is for a caller to answer by listing: a step that is begun again does that.
      await expect(view.closed).rejects.toMatchObject({ name: 'ClusterUnavailable' })
    })

    it('ends with what its listener throws', async () => {
      const view = await start()
      await watching()
      onEvent = () => {
        throw new Error('mine')
      }
      suspend('a')
      await expect(view.closed).rejects.toThrow('mine')
      await watching(0)
    })

    it('gives up a watch that ends as soon as it begins, again and again', async () => {
      const view = await start(undefined, fake())
      await expect(view.closed).rejects.toThrow('ended as soon as it began')
    })

    it('takes an object without a name for a broken watch', async () => {
      const cluster: Cluster = {
        ...fake(),
        watch: async (_kind, _version, listener) => listener({ type: 'ADDED', object: { metadata: {} } }),
      }
      const view = await start(undefined, cluster)
      await expect(view.closed).rejects.toThrow('told of an object without a name')
    })
  })

  describe('end', () => {
    it('is prompt and quiet', async () => {
      const view = await start(['Kustomization', 'Terraform'])
      await watching(2)
      ending.abort()
      suspend('a')
      await view.closed
      await watching(0)
      expect(events).toEqual([])
    })

    it('is quiet in the middle of a difference, too', async () => {
      await start()
      await watching()
      onEvent = (event) => {
        events.push(event)
        ending.abort()
      }
      standIn.server.dropWatches()
      for (const name of ['a', 'b', 'c']) suspend(name)
      standIn.store.forgetHistory()
      await tells('MODIFIED a')
    })

    it('does not wait for a first list that hangs', async () => {
      standIn.server.faults.inject({ verb: 'LIST' }, { do: 'hang' })
      const began = standIn.clock.now()
      standIn.clock.after(1000, () => ending.abort())
      const view = await start()
      await view.closed
      expect(standIn.clock.now() - began).toBe(1000)
      expect(view.objects('Kustomization').size).toBe(0)
    })

    it('does not wait for a pause between tries', async () => {
      const busy = new ClusterError('ClusterThrottled', 'fake', 429, '', '', { retryAfterMs: 50_000 })
      const began = standIn.clock.now()
      standIn.clock.after(1000, () => ending.abort())
      const view = await start(undefined, { ...fake(), watch: () => Promise.reject(busy) })
      await view.closed
      expect(standIn.clock.now() - began).toBe(1000)
    })
  })
})

function fake(): Cluster {
  const none = () => Promise.reject(new ClusterError('ClusterNotFound', 'fake', 404, '', ''))
  return {
    name: 'fake',
    list: async () => ({ items: [], resourceVersion: '1' }),
    watch: async () => {},
    get: none,
    patch: none,
    create: none,
    delete: none,
  }
}
