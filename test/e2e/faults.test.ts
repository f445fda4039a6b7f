import { once } from 'node:events'
import { request } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { type RunningCluster, startCluster } from './cluster/cluster.ts'
import { FaultImpossible, Faults } from './cluster/faults.ts'
import { kinds } from './cluster/kinds.ts'
import { type Kubelet, startKubelet } from './cluster/kubelet.ts'
import type { PodProgram } from './cluster/kubelet-pod.ts'
import { type RunnerNetwork, startRunnerNetwork } from './cluster/runner-network.ts'
import { tofuDeployment } from './cluster/tofu-controller-deployment.ts'
import { listens, managerName, runnerName } from './cluster/tofu-controller-programs.ts'

/** tofu-controller without tofu: its Deployment runs for real, and what its pods run are servers that echo. */
let cluster: RunningCluster
let network: RunnerNetwork
let kubelet: Kubelet
let faults: Faults

const echo = `
  const port = Number(process.argv.at(-1))
  require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(port, '127.0.0.1')
  process.on('SIGTERM', () => process.env.STUBBORN || process.exit())
`
const programOf = (name: string): PodProgram => ({
  name,
  command: [process.execPath, '-e', echo, '--'],
  env: {},
  args: (_args, port) => [`${port}`],
  ready: listens,
})

beforeAll(async () => {
  cluster = await startCluster({ upstream: inject('upstream'), flux: false })
  const { api, guardian } = cluster
  network = await startRunnerNetwork()
  kubelet = await startKubelet({ api, guardian, network, programs: [managerName, runnerName].map(programOf) })
  faults = new Faults({ api, kubelet, network })
  await api.apply(tofuDeployment())
  await faults.managerReady()
})
afterAll(async () => {
  await kubelet?.stop()
  await network?.close()
  await cluster?.stop()
})

/** A runner that is ready, and the reference of the object that it would work for. */
async function startRunner(name: string, { stubborn = false } = {}): Promise<string> {
  await cluster.api.create({
    ...kinds.Pod,
    metadata: {
      ...{ namespace: 'default', name: `${name}-tf-runner` },
      labels: { 'app.kubernetes.io/name': runnerName, 'app.kubernetes.io/created-by': 'tofu-controller' },
    },
    spec: {
      terminationGracePeriodSeconds: 600,
      containers: [{ name: 'tf-runner', image: 'none', env: stubborn ? [{ name: 'STUBBORN', value: 'yes' }] : [] }],
    },
  })
  await cluster.api.until(podKey(name), 'ready', isReady)
  return `Terraform/default/${name}`
}

const isReady = ({ status }: KubernetesObject) => status?.containerStatuses?.[0]?.ready === true

const podKey = (name: string) => ({ ...kinds.Pod, namespace: 'default', name: `${name}-tf-runner` })

/** A connection of a manager's to the runner, as gRPC makes it. */
async function dial(ref: string): Promise<Socket> {
  const ip = (await faults.runnerPod(ref))?.status.podIP as string
  const { hostname, port } = new URL(network.url)
  const path = `${ip.replaceAll('.', '-')}.default.pod.cluster.local:30000`
  const [response, socket] = await once(request({ hostname, port, method: 'CONNECT', path }).end(), 'connect')
  expect(response.statusCode).toBe(200)
  return socket.on('error', () => {}).resume()
}

async function echoes(socket: Socket, withinMs = 60_000): Promise<boolean> {
  const signal = AbortSignal.timeout(withinMs)
  socket.write('hello')
  return once(socket, 'data', { signal }).then(
    () => true,
    () => false,
  )
}

async function seen(what: string, condition: () => boolean): Promise<void> {
  for (const giveUpAt = Date.now() + 240_000; !condition(); await pause(20)) {
    if (Date.now() > giveUpAt) throw new Error(`${what}: not seen within 20 s`)
  }
}

describe.concurrent('a fault of a runner', () => {
  it('names what it cannot be done to', async () => {
    const impossible = (message: string) =>
      expect.objectContaining({ name: 'FaultImpossible', message: expect.stringContaining(message) })
    for (const ref of ['vpc', 'Kustomization/default/vpc', 'Terraform/default', 'Terraform/default/a/b', '']) {
      await expect(faults.killRunner(ref, 'fail')).rejects.toEqual(impossible('is no Terraform object'))
    }
    const nobody = 'Terraform/default/nobody'
    const done: (() => unknown)[] = [
      ...[() => faults.killRunner(nobody, 'fail'), () => faults.evictRunner(nobody), () => faults.deleteRunner(nobody)],
      ...[() => faults.forceDeleteRunner(nobody), () => faults.hangRunner(nobody), () => faults.resumeRunner(nobody)],
      ...[() => faults.partitionRunner(nobody), () => faults.healRunner(nobody), () => faults.cutRunner(nobody)],
      () => faults.reportRunner(nobody, 'fail'),
    ]
    for (const fault of done) {
      const outcome = (async () => fault())()
      await expect(outcome).rejects.toEqual(
        impossible('Terraform/default/nobody has no runner: there is no pod nobody-tf-runner'),
      )
    }
    expect(await faults.runnerPod(nobody)).toBeUndefined()
    expect(faults.isRunnerAlive(nobody)).toBe(false)
  })

  it('can be done once to what it kills', async () => {
    const ref = await startRunner('twice')
    await faults.killRunner(ref, 'hold')
    await expect(faults.killRunner(ref, 'fail')).rejects.toThrow(FaultImpossible)
    expect(() => faults.hangRunner(ref)).toThrow('has a pod, and no process')
  })

  it('kills it: the container starts again', async () => {
    const ref = await startRunner('restart')
    await faults.killRunner(ref, 'restart')
    const pod = await cluster.api.until(podKey('restart'), 'restarted', ({ status }) => {
      const [container] = status.containerStatuses
      return container.restartCount === 1 && container.ready
    })
    expect(pod.status.phase).toBe('Running')
    expect(faults.isRunnerAlive(ref)).toBe(true)
    expect(await echoes(await dial(ref))).toBe(true)
  })

  it('kills it: the pod fails', async () => {
    const ref = await startRunner('fail')
    const connection = await dial(ref)
    await faults.killRunner(ref, 'fail')
    await cluster.api.until(podKey('fail'), 'failed', ({ status }) => status.phase === 'Failed')
    expect(faults.isRunnerAlive(ref)).toBe(false)
    await seen('the manager hears of it', () => connection.destroyed)
  })

  it('kills it unnoticed, and notices it later', async () => {
    const ref = await startRunner('hold')
    expect(() => faults.reportRunner(ref, 'fail')).toThrow(`Nothing about the runner of ${ref} is held back.`)
    await faults.killRunner(ref, 'hold')
    expect(faults.isRunnerAlive(ref)).toBe(false)
    expect((await faults.runnerPod(ref))?.status).toMatchObject({
      phase: 'Running',
      containerStatuses: [{ ready: true }],
    })
    faults.reportRunner(ref, 'fail')
    await cluster.api.until(podKey('hold'), 'failed', ({ status }) => status.phase === 'Failed')
  })

  it('evicts it', async () => {
    const ref = await startRunner('evict')
    await faults.evictRunner(ref)
    const pod = await cluster.api.until(podKey('evict'), 'failed', ({ status }) => status.phase === 'Failed')
    expect(pod.status.reason).toBe('Evicted')
  })

  it('deletes it', async () => {
    const ref = await startRunner('delete')
    await faults.deleteRunner(ref)
    await cluster.api.untilGone(podKey('delete'))
    expect(faults.isRunnerAlive(ref)).toBe(false)
  })

  it('deletes it with a grace', async () => {
    const ref = await startRunner('grace', { stubborn: true })
    await faults.deleteRunner(ref, 1)
    await cluster.api.untilGone(podKey('grace'))
  })

  it('deletes it by force', async () => {
    const ref = await startRunner('force', { stubborn: true })
    await faults.forceDeleteRunner(ref)
    expect(await faults.runnerPod(ref)).toBeUndefined()
    expect(faults.isRunnerAlive(ref)).toBe(false)
  })

  it('makes it hang, and go on', async () => {
    const ref = await startRunner('hang')
    const connection = await dial(ref)
    faults.hangRunner(ref)
    expect(await echoes(connection, 300)).toBe(false)
    expect(faults.isRunnerAlive(ref)).toBe(true)
    const answer = once(connection, 'data')
    faults.resumeRunner(ref)
    await answer
  })

  it('parts it from its manager, and heals that', async () => {
    const ref = await startRunner('partition')
    const connection = await dial(ref)
    faults.partitionRunner(ref)
    expect(await echoes(connection, 300)).toBe(false)
    expect(connection.destroyed).toBe(false)
    const answer = once(connection, 'data')
    faults.healRunner(ref)
    await answer
  })

  it('cuts its connections', async () => {
    const ref = await startRunner('cut')
    const connection = await dial(ref)
    faults.cutRunner(ref)
    await seen('the manager hears of it', () => connection.destroyed)
    expect(await echoes(await dial(ref))).toBe(true)
  })
})

describe('a fault of the manager', () => {
  it('kills it unnoticed, until it is started', async () => {
    const [before] = await faults.managerPods()
    await faults.killManager({ connections: 'closed' })
    await expect(faults.killManager({ connections: 'closed' })).rejects.toThrow('No tofu-controller is running.')
    expect((await faults.managerPods())[0]?.status.containerStatuses[0]).toMatchObject({ ready: true, restartCount: 0 })
    await faults.startManager()
    const [after] = await faults.managerPods()
    expect(after?.metadata.uid).toBe(before?.metadata.uid)
    expect(after?.status.containerStatuses[0]).toMatchObject({ ready: true, restartCount: 1 })
  })

  it('kills it with its node: runners do not hear of it', async () => {
    const ref = await startRunner('orphan')
    const lost = await dial(ref)
    await faults.killManager({ connections: 'black-holed' })
    expect(await echoes(lost, 300)).toBe(false)
    expect(lost.destroyed).toBe(false)
    await faults.startManager()
    expect(await echoes(await dial(ref))).toBe(true)
  })

  it('that fails its pod has it replaced', async () => {
    const [before] = await faults.managerPods()
    const key = { ...kinds.Pod, namespace: 'flux-system', name: before?.metadata.name ?? '' }
    await faults.killManager({ connections: 'closed', afterExit: 'fail' })
    await cluster.api.until(key, 'failed', ({ status }) => status.phase === 'Failed')
    await faults.managerReady()
    const ready = (await faults.managerPods()).filter(isReady)
    expect(ready).toHaveLength(1)
    expect(ready[0]?.metadata.uid).not.toBe(before?.metadata.uid)
  })

  it('scales it to zero, and back', async () => {
    await faults.stopManager()
    expect((await faults.managerPods()).filter(({ status }) => status.phase === 'Running')).toEqual([])
    await faults.startManager()
    expect((await faults.managerPods()).filter(isReady)).toHaveLength(1)
  })

  it('scales it to zero after it was killed', async () => {
    await faults.killManager({ connections: 'closed' })
    await faults.stopManager()
    await faults.startManager()
    expect(await faults.managerTail()).toContain('wrote nothing')
  })

  it('that dies at its start is told, with its last words', async () => {
    const { api, guardian } = cluster
    const dying = { ...programOf(managerName), command: ['/bin/sh', '-c', 'echo no such flag; exit 1'] as const }
    await faults.stopManager()
    await kubelet.stop()
    kubelet = await startKubelet({ api, guardian, network, programs: [dying] })
    const others = new Faults({ api, kubelet, network })
    await others.scale(1)
    await expect(others.managerReady()).rejects.toThrow(/does not get ready.*no such flag/s)
  })
})
