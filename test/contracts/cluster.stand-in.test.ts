import { KubeConfig } from '@kubernetes/client-node'
import { type AnyKind, builtinResources, resources } from '../../functions/lib/kubernetes/cluster.ts'
import { KubernetesClient } from '../../functions/lib/kubernetes/kubernetes-client.ts'
import { startApiServer } from '../../infra/local/kubernetes/api-server.ts'
import { MemoryObjectStore } from '../../infra/local/kubernetes/memory-object-store.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { noActivity, scaledClock } from '../../infra/local/virtual-clock.ts'
import { clusterContract } from './cluster.contract.ts'

const resourceOf = (kind: AnyKind) => ({ ...resources, ...builtinResources })[kind]

clusterContract('the stand-in API server', async ({ watchSeconds }) => {
  const clock = scaledClock(20)
  const store = new MemoryObjectStore({ clock })
  const kind = resources.Kustomization
  for (const served of [kind, ...Object.values(builtinResources)]) store.register(served)
  const server = await startApiServer({ store, clock, activity: noActivity })
  const config = new KubeConfig()
  config.loadFromClusterAndUser(
    { name: 'stand-in', server: server.url, skipTLSVerify: true },
    { name: 'tests', token: 'any' },
  )
  return {
    cluster: new KubernetesClient({ name: 'stand-in', config, clock, watchSeconds, requestTimeoutMs: 600_000 }),
    unserved: 'Terraform',
    apply: async (raw) => {
      store.apply(kind, raw as KubernetesObject, 'kustomize-controller')
    },
    create: async (raw) => {
      const object = raw as KubernetesObject
      store.create(resourceOf(object.kind as AnyKind), object, 'tests')
    },
    update: async (raw) => {
      const object = raw as KubernetesObject
      const { namespace = '', name } = object.metadata
      store.update(kind, namespace, name, (current) => Object.assign(current, object), { manager: 'tests' })
    },
    delete: async (ref) => store.delete(resourceOf(ref.kind), ref.namespace, ref.name),
    close: () => server.close(),
  }
})
