import { beforeEach, describe, expect, it } from 'vitest'
import { readClusterNow } from '../../../functions/lib/unlock/plan/read-cluster-now.ts'
import { tofuDeployment } from '../../../infra/local/simulation/tofu/tofu-deployment.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'
import { helmRelease, kustomization, ownedBy, terraform } from '../../fixtures/raw-objects.ts'

type Raw = ConstructorParameters<typeof MemoryCluster>[1]

const released = (name: string) => ({
  'helm.toolkit.fluxcd.io/name': name,
  'helm.toolkit.fluxcd.io/namespace': 'flux-system',
})
const declaring = (manager: string, ...fields: readonly string[]) => ({
  managedFields: [{ manager, fieldsV1: { 'f:spec': Object.fromEntries(fields.map((field) => [`f:${field}`, {}])) } }],
})

function deployment({
  labels = {},
  replicas = 1,
  pod = {},
}: {
  labels?: object
  replicas?: number
  pod?: object
} = {}) {
  const raw = structuredClone(tofuDeployment()) as unknown as {
    kind: string
    metadata: { name: string; namespace: string; labels: object }
    spec: { replicas: number; template: { spec: object } }
  }
  raw.metadata.labels = { ...raw.metadata.labels, ...labels }
  raw.spec.replicas = replicas
  raw.spec.template.spec = { ...raw.spec.template.spec, ...pod }
  return raw
}
const args = (...words: readonly string[]) => ({ containers: [{ name: 'manager', args: words }] })

const pod = (name: string, more: object = {}) => ({
  kind: 'Pod',
  metadata: { namespace: 'flux-system', name, uid: `uid-${name}`, labels: {}, ...more },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
})
const controllerLabels = {
  'app.kubernetes.io/name': 'tofu-controller',
  'app.kubernetes.io/instance': 'tofu-controller',
}

const conditions = (...all: readonly [type: string, status: string, reason?: string][]) => ({
  conditions: all.map(([type, status, reason = 'Progressing']) => ({ type, status, reason, message: '' })),
})

const autoscaler = (target: string, more: object = {}) => ({
  kind: 'HorizontalPodAutoscaler',
  metadata: { namespace: 'flux-system', name: `hpa-${target}`, ...more },
  spec: { scaleTargetRef: { kind: 'Deployment', name: target } },
})

let cluster: MemoryCluster
beforeEach(() => {
  cluster = new MemoryCluster('staging', deployment(), terraform('vpc'))
})

const put = (...objects: readonly unknown[]) => cluster.put(...(objects as Raw[]))
const read = () => readClusterNow(cluster, { namespace: 'flux-system', name: 'vpc', region: 'eu-west-1' })

async function value<Name extends keyof Awaited<ReturnType<typeof read>>>(name: Name) {
  const found = (await read())[name]
  if ('unknown' in found) throw new Error(found.unknown)
  return found.value as Extract<Awaited<ReturnType<typeof read>>[Name], { value: unknown }>['value']
}

describe('tofu-controller', () => {
  it('is read with its replicas and all its pods', async () => {
    put(deployment({ replicas: 3 }), pod('c-1', { labels: controllerLabels }), pod('other'))
    expect(await value('controller')).toEqual({
      ...{ key: 'Deployment/flux-system/tofu-controller', replicas: 3, graceMs: 250_000, shutdownMs: 240_000 },
      pods: [{ name: 'c-1', uid: 'uid-c-1', ready: true }],
      appliers: [],
    })
  })

  it.each([
    ['a flag', args('--graceful-shutdown-timeout=90s'), 90_000],
    ['a flag and its value', args('--concurrent=24', '--graceful-shutdown-timeout', '1m30s'), 90_000],
    ['a fraction', args('--graceful-shutdown-timeout=1.5m'), 90_000],
    ['the last of two flags', args('--graceful-shutdown-timeout=1s', '--graceful-shutdown-timeout=2m0s'), 120_000],
    ['a flag that is longer than the grace', args('--graceful-shutdown-timeout=1h'), 250_000],
    ['a flag that cannot be read', args('--graceful-shutdown-timeout=soon'), 250_000],
    ['no flag', args(), 240_000],
    ['a short grace', { terminationGracePeriodSeconds: 10 }, 10_000],
  ])('takes as long to end as %s says', async (_, podSpec, shutdownMs) => {
    put(deployment({ pod: podSpec }))
    expect(await value('controller')).toMatchObject({ shutdownMs })
  })

  it('may not be there', async () => {
    cluster.remove(deployment())
    expect(await value('controller')).toBeUndefined()
  })

  it('is followed to whoever would put it back', async () => {
    const suspend = declaring('kustomize-controller', 'suspend')
    put(
      deployment({ labels: { ...released('tofu'), ...ownedBy('chart-leftover') } }),
      helmRelease('tofu', { labels: ownedBy('infra'), ...suspend }),
      kustomization('infra', {
        ...{ labels: ownedBy('flux-system'), ...suspend, spec: { suspend: true } },
        annotations: { 'lockstep.dev/gate': 'r main' },
      }),
      kustomization('flux-system', { labels: ownedBy('flux-system'), ...suspend }),
    )
    expect(await value('controller')).toMatchObject({
      appliers: [
        { key: 'HelmRelease/flux-system/tofu', suspended: false },
        { key: 'Kustomization/flux-system/infra', suspended: true, gate: 'r main' },
        { key: 'Kustomization/flux-system/flux-system', suspended: false },
      ],
    })
  })

  it('is not followed to who does not declare spec.suspend, nor to who is gone', async () => {
    put(
      deployment({ labels: ownedBy('infra') }),
      kustomization('infra', { labels: ownedBy('flux-system'), ...declaring('kubectl', 'suspend') }),
      kustomization('flux-system'),
    )
    expect(await value('controller')).toMatchObject({ appliers: [{ key: 'Kustomization/flux-system/infra' }] })
    put(deployment({ labels: ownedBy('gone') }))
    expect(await value('controller')).toMatchObject({ appliers: [] })
  })

  it('has its autoscalers, and KEDA’s', async () => {
    const ownerReferences = [{ kind: 'ScaledObject', name: 'tofu' }]
    put(autoscaler('tofu-controller'), autoscaler('other'))
    expect(await value('autoscalers')).toEqual([{ key: 'HorizontalPodAutoscaler/flux-system/hpa-tofu-controller' }])
    put(autoscaler('tofu-controller', { ownerReferences }))
    expect(await value('autoscalers')).toMatchObject([{ scaledObject: 'ScaledObject/flux-system/tofu' }])
  })
})

describe('the object', () => {
  it('is read with what an unlock touches', async () => {
    const backend =
      'backend "s3" {\n bucket = "states"\n key = "vpc"\n use_lockfile = true\n dynamodb_table = "locks"\n}'
    put(
      terraform('vpc', {
        labels: ownedBy('infra'),
        ...declaring('kustomize-controller', 'tfstate', 'suspend'),
        annotations: { 'lockstep.dev/gate': 'r main' },
        spec: {
          ...{ suspend: true, approvePlan: 'plan-1', runnerTerminationGracePeriodSeconds: 60 },
          tfstate: { forceUnlock: 'auto', lockIdentifier: 'old' },
          backendConfig: { customConfiguration: backend },
        },
        status: {
          ...conditions(['Ready', 'False', 'TFExecPlanFailed'], ['StateLocked', 'True', 'LockHeld']),
          ...{ lock: { pending: 'a-lock' }, plan: { pending: 'plan-1' } },
          ...{ lastPlannedRevision: 'main@1', lastAttemptedRevision: 'main@2' },
        },
      }),
      kustomization('infra'),
    )
    expect(await value('object')).toEqual({
      ...{ key: 'Terraform/flux-system/vpc', suspended: true, gate: 'r main', deleting: false, running: false },
      ...{ ready: 'False TFExecPlanFailed', metLock: 'a-lock', pendingLock: 'a-lock', pendingPlan: 'plan-1' },
      ...{ lastPlannedRevision: 'main@1', lastAttemptedRevision: 'main@2', approvePlan: 'plan-1' },
      ...{ forceUnlock: 'auto', lockIdentifier: 'old', forceUnlockByGit: true, runnerGraceMs: 60_000 },
      place: { parts: [expect.objectContaining({ store: 's3' }), expect.anything()], state: expect.anything() },
      appliers: [{ key: 'Kustomization/flux-system/infra', suspended: false }],
    })
  })

  it('has a lock that is left in its status, and does not count as met', async () => {
    put(terraform('vpc', { status: { lock: { pending: 'a-lock' } } }))
    const found = await value('object')
    expect(found).toMatchObject({ pendingLock: 'a-lock' })
    expect(found?.metLock).toBeUndefined()
  })

  it('may not be there', async () => {
    cluster.remove(terraform('vpc'))
    expect(await value('object')).toBeUndefined()
  })

  it.each([
    ['Reconciling', [['Reconciling', 'True']], true],
    ['Ready Unknown', [['Ready', 'Unknown']], true],
    ['Ready', [['Ready', 'True']], false],
    ['without a word', [], false],
  ] as const)('that is %s runs: %s', async (_, all, running) => {
    put(terraform('vpc', { status: conditions(...all.map(([type, status]) => [type, status] as [string, string])) }))
    expect(await value('object')).toMatchObject({ running })
  })
})

it('reads the other objects, which of them run, and who would resume them', async () => {
  put(
    terraform('db', {
      ...{ namespace: 'other', labels: ownedBy('infra'), ...declaring('kustomize-controller', 'suspend') },
      status: conditions(['Ready', 'Unknown']),
    }),
    terraform('vpc', { namespace: 'other', status: conditions(['Reconciling', 'True']), spec: { suspend: true } }),
    terraform('done', { status: conditions(['Ready', 'True']) }),
    kustomization('infra'),
  )
  expect(await value('others')).toEqual([
    {
      ...{ key: 'Terraform/other/db', suspended: false, running: true, sharesState: false },
      appliers: [{ key: 'Kustomization/flux-system/infra', suspended: false }],
    },
    { key: 'Terraform/other/vpc', suspended: true, running: true, sharesState: false, appliers: [] },
    { key: 'Terraform/flux-system/done', suspended: false, running: false, sharesState: false, appliers: [] },
  ])
})

it('reads the runner’s pod by its UID', async () => {
  expect(await value('runner')).toBeUndefined()
  put(pod('vpc-tf-runner', { deletionTimestamp: '2026-03-02T10:00:00Z' }))
  expect(await value('runner')).toEqual({
    ...{ key: 'Pod/flux-system/vpc-tf-runner', uid: 'uid-vpc-tf-runner', phase: 'Running', deleting: true },
  })
})

describe('what cannot be read', () => {
  it.each([
    ['Deployment', ['controller', 'autoscalers']],
    ['Terraform', ['object', 'others']],
    ['Pod', ['controller', 'runner']],
    ['HorizontalPodAutoscaler', ['autoscalers']],
  ] as const)('is told in its place: %s', async (kind, names) => {
    cluster.denied.add(kind)
    const unknown = Object.entries(await read()).flatMap(([name, found]) => ('unknown' in found ? name : []))
    expect(unknown.toSorted()).toEqual([...names].toSorted())
  })

  it('is an applier, too: what it would do is not known', async () => {
    put(deployment({ labels: released('tofu') }))
    cluster.denied.add('HelmRelease')
    expect((await read()).controller).toEqual({ unknown: 'HelmRelease is denied in staging. Grant it.' })
  })

  it('is another object of a shape that nobody knows: it may run', async () => {
    put(terraform('db', { status: { conditions: 'none' } as never }))
    expect((await read()).others).toHaveProperty('unknown')
  })
})
