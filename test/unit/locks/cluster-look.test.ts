import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AnyKind, builtinResources, type Cluster, resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { ClusterLook } from '../../../functions/lib/locks/evidence/cluster-look.ts'
import { evidenceSchema, type Piece, readingOf, whyUnknown } from '../../../functions/lib/locks/evidence.ts'
import { readPermissions } from '../../../infra/cluster/permissions.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { type StandInCluster, standInCluster, standInToken } from '../../fixtures/stand-in-cluster.ts'

const namespace = 'flux-system'
const runner = { namespace, name: 'vpc-tf-runner' }
const second = 1_000
const minute = 60 * second
/** When the clock of the tests starts. */
const start = Date.UTC(2026, 0, 5, 9)

let standIn: StandInCluster
let look: ClusterLook

beforeEach(async () => {
  standIn = await standInCluster()
  look = newLook()
})

afterEach(() => standIn.close())

const newLook = () => new ClusterLook({ cluster: asWritten(standIn.client()), clock: standIn.clock })

const resourceOf = (kind: AnyKind) => ({ ...resources, ...builtinResources })[kind]

interface Shape {
  readonly namespace?: string
  readonly labels?: Record<string, string>
  readonly spec?: object
  readonly status?: object
  readonly data?: unknown
}

/** As others make it, and its status as its controller or kubelet writes it. */
function create(kind: AnyKind, name: string, { labels = {}, status, ...shape }: Shape = {}): void {
  const { store } = standIn
  const resource = resourceOf(kind)
  const { group, version } = resource
  const where = kind === 'Node' ? '' : (shape.namespace ?? namespace)
  const metadata = { name, labels, ...(where && { namespace: where }) }
  const body = { ...(shape.spec && { spec: shape.spec }), ...(shape.data !== undefined && { data: shape.data }) }
  store.create(resource, { apiVersion: group ? `${group}/${version}` : version, kind, metadata, ...body }, 'tests')
  if (status) change(kind, where, name, (object) => Object.assign(object, { status }), { subresource: 'status' })
}

function change(
  kind: AnyKind,
  where: string,
  name: string,
  how: (object: KubernetesObject) => void,
  options: { subresource?: 'status' } = {},
): void {
  standIn.store.update(resourceOf(kind), where, name, how, { manager: 'tests', ...options })
}

/** In whole seconds, as Kubernetes writes most times. */
const time = (at: number) => new Date(at).toISOString().replace(/\.\d+Z/, 'Z')
const microTime = (at: number) => new Date(at).toISOString().replace('Z', '000Z')
const wholeSeconds = (at: number) => Math.floor(at / second) * second

const condition = (type: string, status: string, more: object = {}) => ({
  ...{ type, status, reason: '', message: '', lastTransitionTime: time(start) },
  ...more,
})

const pod = (container: object, more: object = {}): Shape => ({
  spec: { nodeName: 'node-1', containers: [{ name: 'tf-runner' }] },
  status: {
    ...{ phase: 'Running', reason: null, message: null, hostIP: '10.0.0.1', podIP: '10.244.0.7' },
    conditions: [condition('Ready', 'True')],
    containerStatuses: [
      { name: 'istio-proxy', ready: true, restartCount: 9, state: { running: { startedAt: time(start - minute) } } },
      {
        ...{ name: 'tf-runner', image: 'tf-runner', imageID: '', ready: true, started: true },
        ...{ restartCount: 0, lastState: {} },
        ...container,
      },
    ],
    ...more,
  },
})

const node = (status: string, heartbeatAt?: number): Shape => ({
  status: {
    conditions: [
      condition('MemoryPressure', 'False'),
      condition('Ready', status, heartbeatAt === undefined ? {} : { lastHeartbeatTime: time(heartbeatAt) }),
    ],
  },
})

const renewed = (holder: string, renewedAt: number, where = 'kube-node-lease'): Shape => ({
  namespace: where,
  spec: { holderIdentity: holder, leaseDurationSeconds: 40, renewTime: microTime(renewedAt) },
})

const terraform = (status?: object, spec: object = {}): Shape => ({
  spec: { interval: '1h', path: './vpc', sourceRef: { kind: 'GitRepository', name: 'fleet' }, ...spec },
  ...(status && { status }),
})

/** The API server notes when a Lease was renewed; here all of them are written at the start. */
function asWritten(client: Cluster): Cluster {
  const list: Cluster['list'] = async (kind, options) => {
    const { items, ...listing } = await client.list(kind, options)
    return { ...listing, items: kind === 'Lease' ? items.map(withRenewalNoted) : items }
  }
  return Object.assign(Object.create(client), { list })
}

function withRenewalNoted(raw: unknown): unknown {
  const lease = raw as KubernetesObject
  const entries = (lease.metadata.managedFields ?? []) as object[]
  const managedFields = entries.map((entry) => ({ ...entry, time: lease.spec.renewTime }))
  return { ...lease, metadata: { ...lease.metadata, managedFields } }
}

const chart = { 'app.kubernetes.io/name': 'tofu-controller' }
const deployment = (labels: Record<string, string>, matchLabels: Record<string, string> = chart): Shape => ({
  labels,
  spec: { replicas: 2, selector: { matchLabels }, template: { metadata: { labels: matchLabels } } },
})
const controllerPod = (ready: boolean, labels: Record<string, string> = chart): Shape => ({
  labels,
  spec: { nodeName: 'node-1', containers: [{ name: 'manager' }] },
  status: { phase: 'Running', conditions: [condition('Ready', ready ? 'True' : 'False')] },
})

/** What a piece says. Throws why it is unknown. */
async function saidBy<Value>(piece: Promise<Piece<Value>>): Promise<Value> {
  const found = await piece
  const value = readingOf(found)
  if (value === undefined) throw new Error(whyUnknown(found))
  return value
}

const whyOf = async (piece: Promise<Piece<unknown>>) => whyUnknown(await piece)

describe('a pod', () => {
  const read = (shape: Shape) => {
    create('Pod', runner.name, shape)
    return saidBy(look.pod(runner))
  }

  it('that runs', async () => {
    const startedAt = start - 90 * second
    const found = await read(pod({ containerID: 'containerd://1', state: { running: { startedAt: time(startedAt) } } }))
    expect(found).toEqual({
      ...{ exists: true, uid: standIn.store.get(builtinResources.Pod, namespace, runner.name)?.metadata.uid },
      ...{ createdAt: wholeSeconds(start), phase: 'Running', node: 'node-1' },
      container: { id: 'containerd://1', state: 'running', startedAt, restarts: 0 },
    })
    expect(evidenceSchema.shape.pod.parse(await look.pod(runner))).toMatchObject({
      source: 'Pod/flux-system/vpc-tf-runner in staging',
      reading: { value: found },
    })
  })

  it('whose container was started again', async () => {
    const last = { exitCode: 137, reason: 'Error', startedAt: time(start - minute), finishedAt: time(start - 5_000) }
    const state = { running: { startedAt: time(start - 3_000) } }
    expect(await read(pod({ restartCount: 1, state, lastState: { terminated: last } }))).toMatchObject({
      container: { state: 'running', startedAt: start - 3_000, finishedAt: start - 5_000, restarts: 1 },
    })
  })

  it('whose container waits to be started again', async () => {
    const last = { exitCode: 137, reason: 'Error', startedAt: time(start - minute), finishedAt: time(start - 5_000) }
    const state = { waiting: { reason: 'CrashLoopBackOff', message: '' } }
    const found = await read(pod({ restartCount: 1, state, lastState: { terminated: last } }))
    expect(found).toMatchObject({ container: { state: 'waiting', finishedAt: start - 5_000 } })
    expect(found).not.toHaveProperty('container.startedAt')
  })

  it('that failed', async () => {
    const terminated = { exitCode: 137, reason: 'Error', startedAt: time(start), finishedAt: time(start + 1_000) }
    expect(await read(pod({ state: { terminated } }, { phase: 'Failed', reason: 'Evicted' }))).toMatchObject({
      phase: 'Failed',
      container: { state: 'terminated', finishedAt: start + 1_000, restarts: 0 },
    })
  })

  it('of which the kubelet has lost the times', async () => {
    const terminated = { exitCode: 137, reason: 'ContainerStatusUnknown', startedAt: null, finishedAt: null }
    const found = await read(pod({ state: { terminated } }, { phase: 'Failed' }))
    expect(found).toMatchObject({ container: { state: 'terminated' } })
    expect(found).not.toHaveProperty('container.finishedAt')
  })

  it('whose container is in no state yet waits', async () => {
    expect(await read(pod({ state: {} }))).toMatchObject({ container: { state: 'waiting' } })
  })

  it('that no kubelet has seen has no node and no container', async () => {
    const found = await read({ spec: { containers: [{ name: 'tf-runner' }] } })
    expect(Object.keys(found).sort()).toEqual(['createdAt', 'exists', 'phase', 'uid'])
    expect(found).toMatchObject({ phase: 'Pending' })
  })

  it('that is being deleted was asked to go when its grace began', async () => {
    create('Pod', runner.name, pod({ state: { running: { startedAt: time(start) } } }))
    standIn.store.delete(builtinResources.Pod, namespace, runner.name, { gracePeriodSeconds: 30 })
    expect(await saidBy(look.pod(runner))).toMatchObject({ deletingSince: wholeSeconds(start) })
  })

  it('that is not there', async () => {
    expect(await saidBy(look.pod(runner))).toEqual({ exists: false })
  })

  it('is read each time it is asked for', async () => {
    expect(await saidBy(look.pod(runner))).toEqual({ exists: false })
    expect(await read(pod({ state: {} }))).toMatchObject({ exists: true })
  })

  it.each([
    ['a container status that is none', pod({ state: 'running' }), 'status.containerStatuses.1.state'],
    ['a time that is none', pod({ state: { running: { startedAt: 'soon' } } }), 'state.running.startedAt'],
    ['a container that is no runner', pod({ name: 'other' }), 'status.containerStatuses'],
    ['a status that is none', { status: ['Running'] }, 'status'],
  ])('with %s is unknown', async (_what, shape, field) => {
    create('Pod', runner.name, shape)
    const why = await whyOf(look.pod(runner))
    expect(why).toContain('Pod/flux-system/vpc-tf-runner is not shaped as it should be')
    expect(why).toContain(field)
  })
})

describe('nodes', () => {
  it('say of each that does not answer when it was made and last heard of', async () => {
    create('Node', 'node-1', node('True', start))
    create('Node', 'node-2', node('Unknown', start - 4 * minute))
    create('Node', 'node-3', node('False', start))
    create('Node', 'node-4')
    const createdAt = wholeSeconds(start)
    expect(await saidBy(look.nodes('node-1'))).toEqual({
      total: 4,
      own: { name: 'node-1', state: 'ready', heartbeatAt: start },
      silent: [
        { name: 'node-2', createdAt, heartbeatAt: start - 4 * minute },
        { name: 'node-3', createdAt, heartbeatAt: start },
        { name: 'node-4', createdAt },
      ],
    })
    evidenceSchema.shape.nodes.parse(await look.nodes('node-1'))
  })

  it('are heard of by their Leases, which are newer than their conditions', async () => {
    create('Node', 'node-1', node('True', start - 4 * minute))
    create('Lease', 'node-1', renewed('node-1', start - 7 * second))
    expect(await saidBy(look.nodes('node-1'))).toMatchObject({
      own: { state: 'ready', heartbeatAt: start - 7 * second },
      silent: [],
    })
  })

  it.each([
    ['older than 2 minutes', -2 * minute - second, 'not ready'],
    ['2 minutes old', -2 * minute + 10 * second, 'ready'],
    ['far in the future', 3 * minute, 'not ready'],
  ])('that are ready by their condition with a heartbeat %s', async (_what, age, state) => {
    create('Node', 'node-1', node('True', start))
    create('Lease', 'node-1', renewed('node-1', start + age))
    expect(await saidBy(look.nodes('node-1'))).toMatchObject({
      own: { state, heartbeatAt: start + age },
      silent: state === 'ready' ? [] : [{ name: 'node-1' }],
    })
  })

  it('that are ready by their condition and have no Lease, with a condition older than 2 minutes', async () => {
    create('Node', 'node-1', node('True', start - 3 * minute))
    expect(await saidBy(look.nodes('node-1'))).toMatchObject({ own: { state: 'not ready' } })
  })

  it('are judged by the time when they were read, however long the look goes on', async () => {
    create('Node', 'node-1', node('True', start))
    create('Lease', 'node-1', renewed('node-1', start))
    await look.leases()
    await new Promise<void>((resolve) => standIn.clock.after(10 * minute, resolve))
    const piece = await look.nodes('node-1')
    expect(piece).toMatchObject({ reading: { value: { silent: [] } } })
    expect(piece.readAt).toBeLessThan(start + minute)
  })

  it('without any heartbeat are what their condition says', async () => {
    create('Node', 'node-1', node('True'))
    expect(await saidBy(look.nodes('node-1'))).toMatchObject({ own: { name: 'node-1', state: 'ready' } })
  })

  it('say nothing of an own one for a pod without', async () => {
    create('Node', 'node-1', node('True', start))
    expect(await saidBy(look.nodes(undefined))).toEqual({ total: 1, silent: [] })
  })

  it('are gone when they are not there by their name either', async () => {
    create('Node', 'node-1', node('True', start))
    expect(await saidBy(look.nodes('node-2'))).toEqual({
      total: 1,
      own: { name: 'node-2', state: 'gone' },
      silent: [],
    })
  })

  it('that came after the list are not gone', async () => {
    create('Node', 'node-1', node('True', start))
    await look.nodes(undefined)
    create('Node', 'node-2', node('False', start))
    expect(await saidBy(look.nodes('node-2'))).toMatchObject({
      total: 2,
      own: { name: 'node-2', state: 'not ready' },
      silent: [{ name: 'node-2' }],
    })
  })

  it('are unknown when one that is not listed cannot be looked for', async () => {
    create('Node', 'node-1', node('True', start))
    standIn.server.faults.inject({ verb: 'GET', kind: 'Node' }, { do: 'answer', status: 503 })
    expect(await whyOf(look.nodes('node-2'))).toContain('503')
    expect(await saidBy(look.nodes('node-1'))).toMatchObject({ own: { state: 'ready' } })
  })

  it('are unknown, not silent, where their Leases cannot be read', async () => {
    create('Node', 'node-1', node('True', start - 4 * minute))
    standIn.server.faults.inject({ verb: 'LIST', kind: 'Lease' }, { do: 'answer', status: 403 }, 2)
    expect(await whyOf(look.nodes('node-1'))).toContain('LIST Lease was answered with 403')
  })

  it.each([
    [
      'a Lease',
      'Lease/kube-node-lease/node-1',
      () => create('Lease', 'node-1', { ...renewed('node-1', 0), spec: { renewTime: 7 } }),
    ],
    ['a Node', 'a Node', () => create('Node', 'node-2', { status: { conditions: 'Ready' } })],
  ])('are unknown where %s is not shaped as it should be', async (_what, named, breakIt) => {
    create('Node', 'node-1', node('True', start))
    breakIt()
    expect(await whyOf(look.nodes('node-1'))).toContain(`${named} is not shaped as it should be`)
  })
})

describe('the controller', () => {
  const lease = '1953de50.contrib.fluxcd.io'

  it('is found by its label, with its pods and its leader', async () => {
    create('Deployment', 'branch-planner', deployment({ 'app.kubernetes.io/name': 'branch-planner' }))
    create('Deployment', 'my-tofu', { ...deployment(chart), namespace: 'tofu' })
    create('Pod', 'my-tofu-1', { ...controllerPod(true), namespace: 'tofu' })
    create('Pod', 'my-tofu-2', { ...controllerPod(false), namespace: 'tofu' })
    create('Pod', 'my-tofu-3', { labels: chart, namespace: 'tofu', spec: {} })
    create('Pod', 'vpc-tf-runner', { labels: { 'app.kubernetes.io/name': 'tf-runner' }, namespace: 'tofu' })
    create('Pod', 'elsewhere', controllerPod(true))
    create('Lease', lease, renewed('my-tofu-1_41f02d46', start - 2 * second, 'tofu'))
    create('Lease', lease, renewed('another', start, 'elsewhere'))
    expect(await saidBy(look.controller())).toEqual({
      ...{ deployment: 'tofu/my-tofu', replicas: 2, ready: 1 },
      pods: [
        { name: 'my-tofu-1', phase: 'Running', ready: true },
        { name: 'my-tofu-2', phase: 'Running', ready: false },
        { name: 'my-tofu-3', phase: 'Pending', ready: false },
      ],
      leader: { holder: 'my-tofu-1_41f02d46', renewedAt: start - 2 * second, leaseMs: 40_000 },
    })
    evidenceSchema.shape.controller.parse(await look.controller())
  })

  it.each(['tofu-controller', 'tf-controller'])('is found by its name %s', async (name) => {
    const own = { app: name }
    create('Deployment', 'kustomize-controller', deployment({ app: 'kustomize-controller' }))
    create('Deployment', name, deployment({}, own))
    create('Pod', `${name}-1`, controllerPod(true, own))
    create('Pod', 'other', controllerPod(true))
    expect(await saidBy(look.controller())).toMatchObject({
      ...{ deployment: `flux-system/${name}`, ready: 1 },
      pods: [{ name: `${name}-1` }],
    })
  })

  it('is the one of its name among several with its label', async () => {
    create('Deployment', 'branch-planner', deployment(chart))
    create('Deployment', 'tofu-controller', deployment(chart))
    expect(await saidBy(look.controller())).toMatchObject({ deployment: 'flux-system/tofu-controller' })
  })

  it('is not there', async () => {
    expect(await saidBy(look.controller())).toEqual({ replicas: 0, ready: 0, pods: [] })
  })

  it('has no leader where the Lease was given back', async () => {
    create('Deployment', 'tofu-controller', deployment(chart))
    create('Lease', lease, renewed('', start, namespace))
    expect(await saidBy(look.controller())).not.toHaveProperty('leader')
  })

  it('is unknown where several could be it', async () => {
    create('Deployment', 'one', deployment(chart))
    create('Deployment', 'two', deployment(chart))
    expect(await whyOf(look.controller())).toContain('(flux-system/one, flux-system/two)')
  })

  it('is unknown where its pods cannot be told from others', async () => {
    create('Deployment', 'tofu-controller', deployment(chart, {}))
    expect(await whyOf(look.controller())).toContain('spec.selector.matchLabels')
  })
})

describe('an object', () => {
  const vpc = { namespace, name: 'vpc' }
  const read = (shape: Shape) => {
    create('Terraform', 'vpc', shape)
    return saidBy(look.object(vpc))
  }

  it('that met its lock', async () => {
    const locked = condition('StateLocked', 'True', { reason: 'LockHeld' })
    const ready = condition('Ready', 'False', {
      reason: 'TFExecPlanFailed',
      message: 'error:\n  ID:\t41f02d46\u001b[2J',
    })
    expect(await read(terraform({ conditions: [ready, locked], lock: { pending: '41f02d46' } }))).toEqual({
      ...{ exists: true, suspended: false, ready: 'False', reason: 'TFExecPlanFailed' },
      ...{ message: 'error: ID: 41f02d46 [2J', reconciling: false, stateLocked: true, pendingLock: '41f02d46' },
    })
    evidenceSchema.shape.object.parse(await look.object(vpc))
  })

  it('that applies', async () => {
    const conditions = [
      condition('Reconciling', 'True', { reason: 'Progressing', message: 'Applying' }),
      condition('Ready', 'Unknown', { reason: 'Progressing', message: 'Applying' }),
    ]
    expect(await read(terraform({ conditions, lock: {} }, { suspend: true }))).toEqual({
      ...{ exists: true, suspended: true, ready: 'Unknown', reason: 'Progressing', message: 'Applying' },
      ...{ reconciling: true, stateLocked: false },
    })
  })

  it('that no controller has seen', async () => {
    expect(await read(terraform())).toMatchObject({ ready: 'Unknown', reason: '', message: '', reconciling: false })
  })

  it('with a long message, and what looks secret in it', async () => {
    const message = `password=hunter2 ${'plan '.repeat(50_000)}`
    const found = await read(terraform({ conditions: [condition('Ready', 'False', { message })] }))
    expect(found).toMatchObject({ message: expect.stringMatching(/^password=\*\*\* plan .*…$/) })
    expect('message' in found && found.message.length).toBeLessThanOrEqual(300)
  })

  it('that is not there', async () => {
    expect(await saidBy(look.object(vpc))).toEqual({ exists: false })
  })

  it('in a cluster without tofu-controller', async () => {
    standIn.store.unregister(resources.Terraform)
    expect(await look.terraforms()).toEqual([])
    expect(await saidBy(look.object(vpc))).toEqual({ exists: false })
  })

  it.each([
    ['conditions', { conditions: { Ready: 'True' } }],
    ['lock', { lock: '41f02d46' }],
  ])('with %s that are none is unknown', async (field, status) => {
    create('Terraform', 'vpc', terraform(status))
    expect(await whyOf(look.object(vpc))).toContain(
      `Terraform/flux-system/vpc is not shaped as it should be (status.${field})`,
    )
  })
})

describe('a configuration', () => {
  const secret = { kind: 'Secret', namespace, name: 'backend' } as const
  const configMap = { ...secret, kind: 'ConfigMap' } as const

  it('is text, from a Secret and from a ConfigMap', async () => {
    create('Secret', 'backend', { data: { bucket: Buffer.from('états').toString('base64') } })
    create('ConfigMap', 'backend', { data: { bucket: 'états' } })
    expect(await look.readConfiguration(secret)).toEqual({ bucket: 'états' })
    expect(await look.readConfiguration(configMap)).toEqual({ bucket: 'états' })
  })

  it('is empty without data, and undefined where it does not exist', async () => {
    create('Secret', 'backend')
    expect(await look.readConfiguration(secret)).toEqual({})
    expect(await look.readConfiguration(configMap)).toBeUndefined()
  })

  it('that may not be read rejects', async () => {
    standIn.server.faults.inject({ kind: 'Secret' }, { do: 'answer', status: 403 }, 2)
    await expect(look.readConfiguration(secret)).rejects.toMatchObject({ name: 'ClusterForbidden' })
  })

  it('of another shape rejects, without what it holds', async () => {
    create('Secret', 'backend', { data: { bucket: { hunter2: 'hunter2' } } })
    const error = await look.readConfiguration(secret).catch((reason: Error) => reason)
    expect(error).toMatchObject({ name: 'UnexpectedShape', message: expect.stringContaining('(data.bucket)') })
    expect(String(error)).not.toContain('hunter2')
  })
})

describe('one look', () => {
  const everything = async (of: ClusterLook) => {
    await Promise.all([of.terraforms(), of.leases()])
    for (const name of ['vpc', 'db', 'dns']) {
      await Promise.all([
        of.pod({ namespace, name: `${name}-tf-runner` }),
        ...[of.nodes('node-1'), of.controller(), of.object({ namespace, name })],
        of.readConfiguration({ kind: 'Secret', namespace, name: 'backend' }),
      ])
    }
  }

  it('reads once what many locks need', async () => {
    create('Node', 'node-1', node('True', start))
    create('Deployment', 'tofu-controller', deployment(chart))
    standIn.server.resetCounters()
    await everything(look)
    expect(standIn.server.requests()).toEqual({
      LIST: { Terraform: 1, Lease: 1, Node: 1, Deployment: 1, Pod: 1 },
      GET: { Pod: 3, Secret: 1 },
    })
  })

  it('needs no more than infra/cluster grants', async () => {
    await standIn.close()
    const granted = readPermissions()
    standIn = await standInCluster({
      authorize: (_user, { verb, resource: { group, plural } }) =>
        granted.some((each) => each.verb === verb.toLowerCase() && each.group === group && each.resource === plural),
    })
    create('Deployment', 'tofu-controller', deployment(chart))
    look = newLook()
    await everything(look)
    const refs = [look.pod(runner), look.nodes('gone'), look.controller(), look.object(runner)]
    expect((await Promise.all(refs)).map(whyUnknown)).toEqual([undefined, undefined, undefined, undefined])
  })

  it('does not ask again for what failed; the next look does', async () => {
    standIn.server.faults.inject({ kind: 'Node' }, { do: 'answer', status: 503 })
    expect(await whyOf(look.nodes(undefined))).toContain('503')
    expect(await whyOf(look.nodes(undefined))).toContain('503')
    expect(await saidBy(newLook().nodes(undefined))).toEqual({ total: 0, silent: [] })
  })
})

describe('what cannot be read is unknown, and says why', () => {
  const pieces: readonly (readonly [string, AnyKind, () => Promise<Piece<unknown>>])[] = [
    ['pod', 'Pod', () => look.pod(runner)],
    ['nodes', 'Node', () => look.nodes('node-1')],
    ['nodes', 'Lease', () => look.nodes('node-1')],
    ['controller', 'Deployment', () => look.controller()],
    ['controller', 'Pod', () => look.controller()],
    ['controller', 'Lease', () => look.controller()],
    ['object', 'Terraform', () => look.object({ namespace, name: 'vpc' })],
  ]
  const faults = [
    ['403', { do: 'answer', status: 403 }, /with 403.*apply infra\/cluster/],
    ['503', { do: 'answer', status: 503 }, /with 503.*try again/],
    ['no answer', { do: 'hang' }, /was not answered: nothing came for 15 s/],
    ['a connection cut', { do: 'drop' }, /failed with \w+/],
  ] as const

  beforeEach(() => {
    create('Node', 'node-1', node('True', start))
    create('Deployment', 'tofu-controller', deployment(chart))
    create('Terraform', 'vpc', terraform())
    create('Pod', runner.name, pod({ state: {} }))
  })

  for (const [piece, kind, read] of pieces) {
    it.each(faults)(`${piece}: ${kind} with %s`, async (_what, fault, expected) => {
      standIn.server.faults.inject({ kind }, fault, 2)
      const found = await read()
      const why = whyUnknown(found)
      expect(why).toMatch(expected)
      expect(why).toContain(kind)
      expect(why).not.toContain(standInToken)
      expect(found.source).toMatch(/ in staging$/)
      expect(found.readAt).toBeGreaterThanOrEqual(start)
    })
  }

  it('terraforms and leases reject', async () => {
    standIn.server.faults.inject({ kind: 'Terraform' }, { do: 'answer', status: 503 })
    standIn.server.faults.inject({ kind: 'Lease' }, { do: 'answer', status: 403 }, 2)
    await expect(look.terraforms()).rejects.toMatchObject({ name: 'ClusterUnavailable' })
    await expect(look.leases()).rejects.toMatchObject({ name: 'ClusterForbidden' })
  })

  it('an error that is not ours is not quoted', async () => {
    const cluster = standIn.client()
    cluster.get = () => Promise.reject(new TypeError('hunter2'))
    const broken = new ClusterLook({ cluster, clock: standIn.clock })
    expect(await whyOf(broken.pod(runner))).toBe(
      'Pod/flux-system/vpc-tf-runner in staging: could not be read (TypeError)',
    )
  })
})
