import { LeaseLockStore } from '../../functions/lib/locks/stores/lease-lock-store.ts'
import { builtinResources } from '../../infra/local/kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { standInCluster } from '../fixtures/stand-in-cluster.ts'
import { lockStoreContract } from './lock-store.contract.ts'

const { Lease } = builtinResources
const annotation = 'app.terraform.io/lock-info'
const namespace = 'flux-system'

lockStoreContract('Kubernetes client on the stand-in', async () => {
  const standIn = await standInCluster()
  const { store: objects, clock } = standIn
  const leaseName = (name: string) => `lock-tfstate-default-${name}`
  const address = (name: string) =>
    ({ store: 'kubernetes', cluster: 'staging', namespace, name: leaseName(name) }) as const
  const create = (name: string, annotations: Record<string, string>, spec: object) =>
    objects.create(
      Lease,
      { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name, annotations }, spec },
      'OpenTofu',
    )
  const change = (name: string, how: (lease: KubernetesObject) => void) =>
    objects.update(Lease, namespace, leaseName(name), how, { manager: 'OpenTofu' })
  return {
    store: new LeaseLockStore(standIn.client()),
    address,
    tellsTime: true,
    now: () => clock.now(),
    take: async (name, raw) => {
      const taken = change(name, (lease) => {
        if (lease.spec.holderIdentity !== undefined) throw new Error('held')
        lease.metadata.annotations = { [annotation]: raw }
        lease.spec = { holderIdentity: 'holder' }
      })
      if (!taken) create(leaseName(name), { [annotation]: raw }, { holderIdentity: 'holder' })
    },
    release: async (name) => {
      change(name, (lease) => {
        lease.metadata.annotations = {}
        lease.spec = {}
      })
    },
    clutter: async (name) => {
      const elected = `elected-${name}`
      create(elected, {}, { holderIdentity: 'tofu-controller-0', leaseDurationSeconds: 15 })
      return { address: { ...address(name), name: elected }, read: async () => objects.get(Lease, namespace, elected) }
    },
    close: () => standIn.close(),
  }
})
