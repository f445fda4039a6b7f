import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import type { ObjectKey } from './cluster/api.ts'
import { type RunningCluster, startCluster } from './cluster/cluster.ts'
import { kinds } from './cluster/kinds.ts'
import { type Kubelet, startKubelet } from './cluster/kubelet.ts'
import type { PodProgram } from './cluster/kubelet-pod.ts'
import { type RunnerNetwork, startRunnerNetwork } from './cluster/runner-network.ts'

/**
 * The rules of a kubelet, on the real API server, with small programs in place of tofu-controller's. They write what
 * they see to `$OUT/<pod>.<what>`.
 */
let cluster: RunningCluster
let network: RunnerNetwork
let kubelet: Kubelet
let out: string
const said: string[] = []

/** Waits in pieces, so that a signal is acted on soon. */
const forever = 'while :; do sleep 0.05; done'
const scripts: Record<string, string> = {
  obedient: `trap 'echo term >> "$OUT/$POD_NAME.signals"; exit 0' TERM; ${forever}`,
  stubborn: `trap 'echo term >> "$OUT/$POD_NAME.signals"' TERM; ${forever}`,
  // In a process group of its own, as tofu is.
  parent: `setsid sleep 600 & echo $! > "$OUT/$POD_NAME.child"; trap 'exit 0' TERM; ${forever}`,
  curious: `env > "$OUT/$POD_NAME.env"; hostname > "$OUT/$POD_NAME.hostname"; echo "$@" > "$OUT/$POD_NAME.args"; ${forever}`,
  crashing: 'echo it hurts; exit 3',
  late: forever,
  ticking: `while :; do date +%s%N > "$OUT/$POD_NAME.tick"; sleep 0.05; done`,
}

const programOf = (name: string): PodProgram => ({
  name,
  command: ['/bin/sh', '-c', scripts[name] ?? '', name],
  env: { PATH: '/usr/bin:/bin', OUT: out },
  args: (args, port) => [...args, `${port}`],
  ready: async () => !['late', 'crashing'].includes(name) || existsSync(join(out, `${name}.ready`)),
})

beforeAll(async () => {
  cluster = await startCluster({ upstream: inject('upstream'), flux: false })
  out = join(cluster.directory, 'out')
  await mkdir(out)
  network = await startRunnerNetwork()
  const { api, guardian } = cluster
  const programs = Object.keys(scripts).map(programOf)
  kubelet = await startKubelet({ api, guardian, network, programs, say: (line) => said.push(line) })
})
afterAll(async () => {
  await kubelet?.stop()
  await network?.close()
  await cluster?.stop()
})

const keyOf = (name: string): ObjectKey => ({ ...kinds.Pod, namespace: 'default', name })

interface PodOptions {
  readonly graceSeconds?: number
  readonly env?: readonly object[]
  readonly args?: readonly string[]
}

async function createPod(program: string, name: string, options: PodOptions = {}): Promise<KubernetesObject> {
  return cluster.api.create({
    ...kinds.Pod,
    metadata: { name, namespace: 'default', labels: { 'app.kubernetes.io/name': program } },
    spec: {
      terminationGracePeriodSeconds: options.graceSeconds ?? 30,
      containers: [
        {
          name: 'main',
          image: 'none',
          args: options.args ?? [],
          env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }, ...(options.env ?? [])],
        },
      ],
    },
  })
}

const isReady = (pod: KubernetesObject) => containerOf(pod)?.ready === true
const until = (name: string, what: string, wanted: (pod: KubernetesObject) => boolean) =>
  cluster.api.until(keyOf(name), what, wanted)
const untilReady = (name: string) => until(name, 'ready', isReady)
const untilGone = (name: string) => cluster.api.untilGone(keyOf(name))
const containerOf = (pod: KubernetesObject) => pod.status?.containerStatuses?.[0]

async function startedPod(program: string, name: string, options?: PodOptions) {
  await createPod(program, name, options)
  const pod = await untilReady(name)
  const run = kubelet.find('default', name)
  if (!run) throw new Error(`${name} was not started`)
  return { pod, run }
}

/** What a program wrote, once it has. */
async function written(file: string): Promise<string> {
  const path = join(out, file)
  await seen(`${file} is written`, () => existsSync(path) && readFileSync(path, 'utf8').endsWith('\n'))
  return readFileSync(path, 'utf8').trim()
}

async function seen(what: string, condition: () => boolean): Promise<void> {
  for (const giveUpAt = Date.now() + 240_000; !condition(); await pause(20)) {
    if (Date.now() > giveUpAt) throw new Error(`${what}: not seen within 20 s`)
  }
}

/** Pids, on this machine, of what runs for a pod. */
function processesOf(name: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && environmentOf(pid).includes(`POD_NAME=${name}`) && stateOf(pid) !== 'Z')
}

function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  } catch {
    return []
  }
}

/** R, S, T (stopped), Z, … */
function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2)[0] ?? ''
}

describe.concurrent('a pod', () => {
  it('of a program that the node does not know is left alone', async () => {
    await createPod('somebody-else', 'stranger')
    await startedPod('obedient', 'after-stranger')
    const pod = await cluster.api.get(keyOf('stranger'))
    expect(pod.spec.nodeName).toBeUndefined()
    expect(pod.status.phase).toBe('Pending')
  })

  it('is bound, and shown as running with an address when its container is ready', async () => {
    await createPod('late', 'late')
    await until('late', 'bound', (pod) => pod.spec.nodeName === 'fake')
    await seen('its process', () => kubelet.find('default', 'late')?.alive === true)
    const early = await cluster.api.get(keyOf('late'))
    expect(early.status).toMatchObject({ phase: 'Pending' })
    expect(early.status.podIP).toBeUndefined()
    writeFileSync(join(out, 'late.ready'), '')
    const pod = await untilReady('late')
    const ip = kubelet.find('default', 'late')?.ip
    expect(pod.status).toMatchObject({
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      hostIP: '127.0.0.1',
      containerStatuses: [
        {
          name: 'main',
          ready: true,
          started: true,
          restartCount: 0,
          state: { running: { startedAt: expect.any(String) } },
        },
      ],
    })
    const conditions = Object.fromEntries(
      pod.status.conditions.map(({ type, status }: { type: string; status: string }) => [type, status]),
    )
    expect(conditions).toMatchObject({
      PodScheduled: 'True',
      Initialized: 'True',
      ContainersReady: 'True',
      Ready: 'True',
    })
  })

  it('has an address of its own', async () => {
    const [one, other] = await Promise.all([startedPod('obedient', 'ip-1'), startedPod('obedient', 'ip-2')])
    expect(one.pod.status.podIP).not.toBe(other.pod.status.podIP)
  })

  it('gets its arguments and its variables, and nothing of whoever runs the cluster', async () => {
    await startedPod('curious', 'curious', {
      args: ['--grpc-port'],
      env: [
        { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
        { name: 'PLAIN', value: 'value' },
        { name: 'HTTPS_PROXY', value: 'http://127.0.0.1:1' },
        { name: 'no_proxy', value: '*' },
      ],
    })
    const variables = new Map(
      (await written('curious.env')).split('\n').map((line) => line.split('=') as [string, string]),
    )
    expect(Object.fromEntries(variables)).toMatchObject({
      POD_NAME: 'curious',
      POD_NAMESPACE: 'default',
      PLAIN: 'value',
    })
    expect(variables.get('HOME')).toContain(cluster.directory)
    expect(variables.get('TMPDIR')).toContain(cluster.directory)
    const expected = ['POD_NAME', 'POD_NAMESPACE', 'PLAIN', 'HOME', 'TMPDIR', 'PATH', 'OUT', 'LOCKSTEP_CLUSTER']
    // The shell's own.
    const shells = ['PWD', '_', 'SHLVL', 'OLDPWD']
    expect([...variables.keys()].filter((name) => !shells.includes(name)).sort()).toEqual(expected.sort())
    expect(await written('curious.args')).toMatch(/^--grpc-port \d+$/)
  })

  it('is a host of its own name', async ({ skip }) => {
    if (kubelet.isolation === 'none') skip('namespaces are not allowed here')
    const { run } = await startedPod('curious', 'some-tf-runner')
    expect(await written('some-tf-runner.hostname')).toBe('some-tf-runner')
    expect(readlinkSync(`/proc/${run.pid}/ns/pid`)).not.toBe(readlinkSync('/proc/self/ns/pid'))
  })

  it('that asks for what this kubelet cannot give says so, and can be deleted', async () => {
    const valueFrom = { secretKeyRef: { name: 'some', key: 'key' } }
    await createPod('obedient', 'wishful', { env: [{ name: 'WISH', valueFrom }] })
    const pod = await until('wishful', 'refused', (found) => containerOf(found)?.state?.waiting !== undefined)
    expect(containerOf(pod)?.state.waiting).toMatchObject({
      reason: 'CreateContainerError',
      message: expect.stringContaining('the variable WISH'),
    })
    expect(said.join('\n')).toContain('Pod default/wishful')
    await cluster.api.delete(keyOf('wishful'))
    await untilGone('wishful')
  })
})

describe.concurrent('deleting a pod', () => {
  it('tells its process once, and waits for its end', async () => {
    const { run } = await startedPod('obedient', 'deleted')
    const directory = readdirSync(join(cluster.directory, 'pods')).find((name) => name.includes('_deleted_'))
    await cluster.api.delete(keyOf('deleted'))
    await untilGone('deleted')
    await run.done
    expect(readFileSync(join(out, 'deleted.signals'), 'utf8')).toBe('term\n')
    expect(processesOf('deleted')).toEqual([])
    expect(existsSync(join(cluster.directory, 'pods', directory ?? ''))).toBe(false)
    expect(kubelet.find('default', 'deleted')).toBeUndefined()
  })

  it('shows how its container ended before it is gone', async () => {
    await startedPod('obedient', 'well-ended')
    const phases = new Set<string>()
    const signal = AbortSignal.timeout(240_000)
    await cluster.api.delete(keyOf('well-ended'))
    for await (const { type, object } of cluster.api.follow(kinds.Pod, {
      ...{ namespace: 'default', fieldSelector: 'metadata.name=well-ended', signal },
    })) {
      phases.add(object.status.phase)
      if (type === 'DELETED') break
    }
    expect(phases).toContain('Succeeded')
  })

  it('waits for a process that does not obey, until a later delete shortens its grace', async () => {
    const { run } = await startedPod('stubborn', 'shortened', { graceSeconds: 600 })
    await cluster.api.delete(keyOf('shortened'))
    await until('shortened', 'terminating', (pod) => pod.metadata.deletionTimestamp !== undefined)
    await pause(500)
    expect(run.alive).toBe(true)
    await cluster.api.delete(keyOf('shortened'), { graceSeconds: 1 })
    await untilGone('shortened')
    await run.done
    expect(readFileSync(join(out, 'shortened.signals'), 'utf8')).toBe('term\n')
    expect(processesOf('shortened')).toEqual([])
  })

  it('by force kills what still runs', async () => {
    const { run } = await startedPod('stubborn', 'forced', { graceSeconds: 600 })
    await cluster.api.delete(keyOf('forced'), { graceSeconds: 0 })
    await untilGone('forced')
    await run.done
    expect(run.alive).toBe(false)
    expect(processesOf('forced')).toEqual([])
    expect(existsSync(join(out, 'forced.signals'))).toBe(false)
  })

  it('leaves nothing running, however early it comes', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `early-${index}`)
    await Promise.all(
      names.map(async (name, index) => {
        await createPod('stubborn', name, { graceSeconds: 600 })
        await pause(index * 10)
        await cluster.api.delete(keyOf(name), { graceSeconds: 0 })
      }),
    )
    await seen('the kubelet knows none of them', () => names.every((name) => !kubelet.find('default', name)))
    expect(names.flatMap(processesOf)).toEqual([])
  })

  it('leaves the next pod of its name alone', async () => {
    const { run } = await startedPod('stubborn', 'again', { graceSeconds: 600 })
    await cluster.api.delete(keyOf('again'), { graceSeconds: 0 })
    const { run: next, pod } = await startedPod('stubborn', 'again')
    await run.done
    expect(next.uid).toBe(pod.metadata.uid)
    expect(next.uid).not.toBe(run.uid)
    expect(next.alive).toBe(true)
  })
})

describe.concurrent('a container that ends unasked', () => {
  it('is started again in the same pod', async () => {
    const { pod, run } = await startedPod('obedient', 'restarted')
    await run.kill('restart')
    const after = await until(
      'restarted',
      'restarted',
      (found) => containerOf(found)?.restartCount === 1 && isReady(found),
    )
    expect(after.metadata.uid).toBe(pod.metadata.uid)
    expect(after.status.podIP).toBe(pod.status.podIP)
    const container = containerOf(after)
    expect(container).toMatchObject({ lastState: { terminated: { exitCode: 137, reason: 'Error' } } })
    expect(container.lastState.terminated.startedAt).toBe(containerOf(pod).state.running.startedAt)
    expect(Date.parse(container.state.running.startedAt)).toBeGreaterThanOrEqual(
      Date.parse(container.lastState.terminated.finishedAt),
    )
    expect(run.alive).toBe(true)
  })

  it('can fail its pod, for good', async () => {
    const { run } = await startedPod('obedient', 'failed')
    await run.kill('fail')
    const pod = await until('failed', 'failed', (found) => found.status.phase === 'Failed')
    expect(containerOf(pod)).toMatchObject({ ready: false, restartCount: 0, state: { terminated: { exitCode: 137 } } })
    expect(pod.status.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'False' }))
    expect(run.alive).toBe(false)
    // Nothing is left that would have to be waited for.
    await cluster.api.delete(keyOf('failed'))
    await untilGone('failed')
  })

  it('can be an eviction', async () => {
    const { run } = await startedPod('obedient', 'evicted')
    await run.evict('Evicted', 'The node was low on resource: memory.')
    const pod = await until('evicted', 'failed', (found) => found.status.phase === 'Failed')
    expect(pod.status).toMatchObject({ reason: 'Evicted', message: 'The node was low on resource: memory.' })
  })

  it('can go unnoticed, until somebody notices', async () => {
    const { pod, run } = await startedPod('obedient', 'held')
    await run.kill('hold')
    expect(run.alive).toBe(false)
    await pause(500)
    expect((await cluster.api.get(keyOf('held'))).metadata.resourceVersion).toBe(pod.metadata.resourceVersion)
    run.resume('restart')
    await until('held', 'restarted', (found) => containerOf(found)?.restartCount === 1 && isReady(found))
    expect(run.alive).toBe(true)
  })

  it('can go unnoticed until the pod is deleted', async () => {
    const { run } = await startedPod('obedient', 'held-deleted', { graceSeconds: 600 })
    await run.kill('hold')
    await cluster.api.delete(keyOf('held-deleted'))
    await untilGone('held-deleted')
  })

  it('again and again is given time', async () => {
    await createPod('crashing', 'crashing')
    const pod = await until('crashing', 'backing off', (found) => {
      const state = containerOf(found)?.state
      return state?.waiting?.reason === 'CrashLoopBackOff'
    })
    expect(containerOf(pod)).toMatchObject({ ready: false, lastState: { terminated: { exitCode: 3 } } })
    expect(pod.status.podIP).toBeUndefined()
    expect(said.join('\n')).toContain('it hurts')
    await cluster.api.delete(keyOf('crashing'))
    await untilGone('crashing')
  })

  it('takes its children along', async ({ skip }) => {
    const { run } = await startedPod('parent', 'parent')
    await written('parent.child')
    // The shell, its sleep, and what keeps them apart.
    expect(processesOf('parent').length).toBeGreaterThanOrEqual(2)
    if (kubelet.isolation === 'none') skip('what has left the process tree is not found without namespaces')
    await run.kill('hold')
    expect(processesOf('parent')).toEqual([])
  })
})

describe.concurrent('a frozen container', () => {
  it('does nothing until it is thawed, and looks as before', async () => {
    const { run } = await startedPod('ticking', 'frozen')
    await written('frozen.tick')
    run.freeze()
    const [first] = [run.pid ?? 0]
    await seen('it is stopped', () => stateOf(first) === 'T')
    const tick = readFileSync(join(out, 'frozen.tick'), 'utf8')
    await pause(300)
    expect(readFileSync(join(out, 'frozen.tick'), 'utf8')).toBe(tick)
    expect(run.alive).toBe(true)
    expect(isReady(await cluster.api.get(keyOf('frozen')))).toBe(true)
    run.thaw()
    await seen('it goes on', () => readFileSync(join(out, 'frozen.tick'), 'utf8') !== tick)
  })

  it('can be killed', async () => {
    const { run } = await startedPod('ticking', 'frozen-killed', { graceSeconds: 1 })
    run.freeze()
    await cluster.api.delete(keyOf('frozen-killed'))
    await untilGone('frozen-killed')
    expect(processesOf('frozen-killed')).toEqual([])
  })
})

describe.concurrent('a node', () => {
  it('is ready, and gives signs of life', async () => {
    const { api } = cluster
    const node = await api.get({ ...kinds.Node, name: 'fake' })
    expect(node.status.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'True' }))
    const key = { ...kinds.Lease, namespace: 'kube-node-lease', name: 'fake' }
    const { renewTime } = (await api.get(key)).spec
    await api.until(key, 'renewed', ({ spec }) => Date.parse(spec.renewTime) > Date.parse(renewTime))
  })
})

describe('a kubelet', () => {
  it('tells what happened while the API server was away', async () => {
    const { run } = await startedPod('obedient', 'unheard')
    const { run: leaving } = await startedPod('obedient', 'leaving')
    await cluster.stopProcess('kube-apiserver', 'SIGKILL')
    await run.kill('restart')
    await seen('it runs again', () => run.alive)
    await leaving.kill('fail')
    await cluster.startProcess('kube-apiserver')
    await until('unheard', 'restarted', (pod) => containerOf(pod)?.restartCount === 1 && isReady(pod))
    await until('leaving', 'failed', (pod) => pod.status.phase === 'Failed')
    expect(run.alive).toBe(true)
  })

  it('lets pods be where namespaces are not allowed, and says so', async () => {
    const lines: string[] = []
    const { api, guardian } = cluster
    const program = { ...programOf('parent'), name: 'unconfined' }
    const path = process.env.PATH
    process.env.PATH = out
    const unconfined = await startKubelet({
      api,
      guardian,
      network,
      programs: [program],
      say: (line) => lines.push(line),
    })
    process.env.PATH = path
    try {
      expect(unconfined.isolation).toBe('none')
      expect(lines.join()).toContain('unshare is not there or not allowed')
      await createPod('unconfined', 'unconfined')
      await untilReady('unconfined')
      await written('unconfined.child')
      await unconfined.find('default', 'unconfined')?.kill('hold')
      await seen('it is gone, with its child', () => processesOf('unconfined').length === 0)
    } finally {
      await unconfined.stop()
    }
  })

  it('that stops leaves no process, and the pods as they are', async () => {
    const { api, guardian } = cluster
    const program = { ...programOf('stubborn'), name: 'stopped' }
    await createPod('stopped', 'long-ended')
    await api.patch(keyOf('long-ended'), { status: { phase: 'Failed' } }, { subresource: 'status' })
    const other = await startKubelet({ api, guardian, network, programs: [program], node: 'other' })
    try {
      await createPod('stopped', 'stopped')
      const pod = await untilReady('stopped')
      expect(pod.spec.nodeName).toBe('other')
      expect(other.find('default', 'long-ended')).toBeUndefined()
    } finally {
      // A kubelet that outlives its cluster would start again what the guardian ends.
      await other.stop()
    }
    expect(processesOf('stopped')).toEqual([])
    expect((await api.get(keyOf('stopped'))).status).toMatchObject({ phase: 'Running' })
    // Bound to another node it is no concern of this one.
    expect(kubelet.find('default', 'stopped')).toBeUndefined()
  })
})
