import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sleep } from '../../../functions/lib/clock.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import { MemoryObjectStore } from '../../../infra/local/kubernetes/memory-object-store.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { DeploymentController } from '../../../infra/local/simulation/node/deployment-controller.ts'
import { VirtualKubelet } from '../../../infra/local/simulation/node/virtual-kubelet.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'

const { Deployment, Pod } = builtinResources

let clock: VirtualClock
let store: MemoryObjectStore
let kubelet: VirtualKubelet
/** What happened to the processes, in order. */
let log: string[]
let obedient: boolean

beforeEach(() => {
  clock = new VirtualClock()
  store = new MemoryObjectStore({ clock })
  for (const kind of [Deployment, Pod]) store.register(kind)
  log = []
  obedient = false
  kubelet = new VirtualKubelet({
    store,
    clock,
    make: () => {
      const { promise: ended, resolve } = Promise.withResolvers<void>()
      return {
        startMs: 1_000,
        ready: () => log.push('ready'),
        terminate: () => {
          log.push('terminate')
          if (obedient) resolve()
        },
        kill: () => log.push('kill'),
        ended,
      }
    },
  })
  kubelet.start()
})

afterEach(() => clock.stop())

function createPod(): void {
  const spec = { terminationGracePeriodSeconds: 30, containers: [{ name: 'main' }] }
  store.create(Pod, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'default' }, spec }, 'tests')
}

const pod = () => store.get(Pod, 'default', 'a')
const wait = (ms: number) => sleep(clock, ms)
const run = () => {
  const found = kubelet.find('default', 'a')
  if (!found) throw new Error('no such pod')
  return found
}

async function startedPod(): Promise<void> {
  createPod()
  await wait(1_100)
}

describe('a pod', () => {
  it('is bound at once, and has an address when its process is ready', async () => {
    createPod()
    expect(pod()?.spec.nodeName).toBe('node-1')
    expect(pod()?.status?.podIP).toBeUndefined()
    await wait(1_100)
    expect(pod()?.status).toMatchObject({ phase: 'Running', podIP: '10.244.0.1' })
    expect(pod()?.status.containerStatuses[0]).toMatchObject({ ready: true, restartCount: 0 })
  })

  it('whose process does not care for SIGTERM is gone after its grace', async () => {
    await startedPod()
    store.delete(Pod, 'default', 'a')
    await wait(29_000)
    expect(pod()).toBeDefined()
    await wait(2_000)
    expect(pod()).toBeUndefined()
    expect(log).toEqual(['ready', 'terminate', 'kill'])
  })

  it('whose process ends when it is told is gone then', async () => {
    obedient = true
    await startedPod()
    store.delete(Pod, 'default', 'a')
    await wait(100)
    expect(pod()).toBeUndefined()
  })

  it('is gone sooner when a later delete gives less grace', async () => {
    await startedPod()
    store.delete(Pod, 'default', 'a')
    await wait(1_000)
    store.delete(Pod, 'default', 'a', { gracePeriodSeconds: 1 })
    await wait(1_100)
    expect(pod()).toBeUndefined()
    expect(log).toEqual(['ready', 'terminate', 'kill'])
  })

  it('that is deleted by force has its process killed', async () => {
    await startedPod()
    store.delete(Pod, 'default', 'a', { gracePeriodSeconds: 0 })
    expect(log).toEqual(['ready', 'kill'])
  })

  it('keeps uid and address when its container restarts', async () => {
    await startedPod()
    const before = pod()
    run().kill('restart')
    expect(pod()?.status.containerStatuses[0].ready).toBe(false)
    await wait(1_100)
    expect(pod()?.metadata.uid).toBe(before?.metadata.uid)
    expect(pod()?.status).toMatchObject({ phase: 'Running', podIP: '10.244.0.1' })
    const [container] = pod()?.status.containerStatuses ?? []
    expect(container).toMatchObject({ restartCount: 1, lastState: { terminated: { exitCode: 137 } } })
    expect(Date.parse(container.state.running.startedAt)).toBeGreaterThan(
      Date.parse(before?.status.containerStatuses[0].state.running.startedAt),
    )
  })

  it('that fails stays as it is', async () => {
    await startedPod()
    run().kill('fail')
    await wait(60_000)
    expect(pod()?.status).toMatchObject({ phase: 'Failed' })
    expect(log).toEqual(['ready', 'kill'])
  })

  it('whose death goes unnoticed looks as before, until it is resumed', async () => {
    await startedPod()
    const before = pod()
    run().kill('hold')
    await wait(60_000)
    expect(pod()).toEqual(before)
    expect(run().alive).toBe(false)
    run().resume('restart')
    await wait(1_100)
    expect(pod()?.status.containerStatuses[0]).toMatchObject({ ready: true, restartCount: 1 })
  })
})

describe('a Deployment', () => {
  const labels = { app: 'web' }
  const active = () => store.list(Pod).items.filter(({ metadata }) => !metadata.deletionTimestamp)
  const status = () => store.get(Deployment, 'default', 'web')?.status
  const scale = (replicas: number) =>
    store.update(Deployment, 'default', 'web', (object) => Object.assign(object.spec, { replicas }), {
      manager: 'tests',
    })

  beforeEach(async () => {
    new DeploymentController(store, clock).start()
    const template = { metadata: { name: '', labels }, spec: { containers: [{ name: 'main' }] } }
    const deployment: KubernetesObject = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'default' },
      spec: { replicas: 2, selector: { matchLabels: labels }, template },
    }
    store.create(Deployment, deployment, 'tests')
    await wait(1_100)
  })

  it('has as many pods as it asks for, and counts those that are ready', () => {
    expect(active().map(({ metadata }) => metadata.labels)).toEqual([labels, labels])
    expect(status()).toMatchObject({ replicas: 2, readyReplicas: 2, observedGeneration: 1 })
  })

  it('does not count pods that are on their way out', () => {
    scale(0)
    expect(store.list(Pod).items).toHaveLength(2)
    expect(active()).toEqual([])
    expect(status().replicas).toBeUndefined()
  })

  it('replaces a pod that failed or was deleted', async () => {
    const [first, second] = active()
    kubelet.find('default', first?.metadata.name ?? '')?.kill('fail')
    store.delete(Pod, 'default', second?.metadata.name ?? '', { gracePeriodSeconds: 0 })
    await wait(1_100)
    expect(status()).toMatchObject({ readyReplicas: 2 })
    expect(store.list(Pod).items).toHaveLength(3)
  })
})
