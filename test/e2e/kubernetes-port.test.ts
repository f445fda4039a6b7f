import { KubeConfig } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { systemClock } from '../../functions/lib/clock.ts'
import type { ObjectRef } from '../../functions/lib/kubernetes/cluster.ts'
import { KubernetesClient } from '../../functions/lib/kubernetes/kubernetes-client.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { clusterContract } from '../contracts/cluster.contract.ts'
import { type RunningCluster, startCluster } from './cluster/cluster.ts'
import { applyCrds } from './cluster/crds.ts'
import { grantLockstep } from './cluster/grant-lockstep.ts'
import { kinds } from './cluster/kinds.ts'

let cluster: RunningCluster
/** Flux's kinds without its controllers, and Lockstep with the rights that infra/cluster grants. */
beforeAll(async () => {
  const upstream = inject('upstream')
  cluster = await startCluster({ upstream, flux: false })
  await applyCrds(cluster.api, upstream.crds)
  await grantLockstep(cluster.api)
  await grantAllVerbs()
})

/** What the contract needs beside that: no function of today needs all of it, and autoscalers are optional. */
async function grantAllVerbs(): Promise<void> {
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'all-verbs' } }
  const rules = [
    { apiGroups: ['apps'], resources: ['deployments'], verbs: ['get', 'patch'] },
    { apiGroups: ['apps'], resources: ['deployments/scale'], verbs: ['get', 'patch'] },
    { apiGroups: ['kustomize.toolkit.fluxcd.io'], resources: ['kustomizations/status'], verbs: ['patch'] },
    { apiGroups: [''], resources: ['pods'], verbs: ['get', 'create', 'patch', 'delete'] },
    { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'create'] },
    { apiGroups: ['autoscaling'], resources: ['horizontalpodautoscalers'], verbs: ['get', 'list'] },
  ]
  await cluster.api.apply({ ...role, rules })
  await cluster.api.apply({
    ...{ ...role, kind: 'ClusterRoleBinding' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'all-verbs' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'lockstep' }],
  })
}

afterAll(() => cluster?.stop())

function kubeconfig(): KubeConfig {
  const config = new KubeConfig()
  config.loadFromFile(cluster.kubeconfigs.lockstep)
  return config
}

function clientOf(config: KubeConfig, options: { watchSeconds?: number } = {}): KubernetesClient {
  return new KubernetesClient({ name: 'kube-apiserver', config, clock: systemClock, ...options })
}

clusterContract('kube-apiserver', async (options) => ({
  cluster: clientOf(kubeconfig(), options),
  unserved: 'Terraform',
  create: async (raw) => {
    await cluster.api.create(raw as KubernetesObject)
  },
  apply: async (raw) => {
    await cluster.api.apply(raw as KubernetesObject, { fieldManager: 'kustomize-controller' })
  },
  update: async (raw) => {
    const object = raw as KubernetesObject
    const { status, body } = await cluster.api.request('PUT', await cluster.api.path(object, object.metadata), {
      body: object,
    })
    expect(status, JSON.stringify(body)).toBe(200)
  },
  delete: ({ kind, namespace, name }) => cluster.api.delete({ ...kinds[kind], namespace, name }),
  close: async () => {},
}))

describe('kube-apiserver, where the stand-in has no rules', () => {
  const ref: ObjectRef = { kind: 'Kustomization', namespace: 'default', name: 'rules' }

  beforeAll(async () => {
    await cluster.api.create({
      ...kinds.Kustomization,
      metadata: { namespace: ref.namespace, name: ref.name },
      spec: { interval: '1h', prune: true, sourceRef: { kind: 'GitRepository', name: 'app' } },
    })
  })

  it('refuses an object that does not match its schema, and names the field', async () => {
    const lockstep = clientOf(kubeconfig())
    const refused = { name: 'ClusterRejected', status: 422, message: expect.stringContaining('spec.suspend') }
    const merge = lockstep.patch(ref, { type: 'merge', body: { spec: { suspend: 'yes' } } })
    await expect(merge).rejects.toMatchObject(refused)
    const operation = { op: 'add', path: '/spec/suspend', value: 'yes' } as const
    await expect(lockstep.patch(ref, { type: 'json', operations: [operation] })).rejects.toMatchObject(refused)
  })

  it('gives a new object the observedGeneration -1, so that it is not taken for reconciled', async () => {
    const object = await cluster.api.get({ ...kinds.Kustomization, ...ref })
    expect(object.status).toEqual({ observedGeneration: -1 })
  })

  it('does not know a token that it did not give', async () => {
    const config = kubeconfig()
    const server = config.getCurrentCluster()
    const stranger = new KubeConfig()
    if (server) stranger.loadFromClusterAndUser(server, { name: 'stranger', token: 'made-up' })
    await expect(clientOf(stranger).get(ref)).rejects.toMatchObject({ name: 'ClusterUnauthorized', status: 401 })
  })
})
