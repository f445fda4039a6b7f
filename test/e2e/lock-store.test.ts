import { KubeConfig } from '@kubernetes/client-node'
import { inject } from 'vitest'
import { systemClock } from '../../functions/lib/clock.ts'
import { KubernetesClient } from '../../functions/lib/kubernetes/kubernetes-client.ts'
import { LeaseLockStore } from '../../functions/lib/locks/stores/lease-lock-store.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { lockBucketAt, lockTableAt, withServer } from '../contracts/lock-store.client.ts'
import { lockStoreContract } from '../contracts/lock-store.contract.ts'
import { startCluster } from './cluster/cluster.ts'
import { kinds } from './cluster/kinds.ts'
import { startMoto } from './moto/moto-server.ts'

const moto = () => startMoto({ python: inject('python') })

lockStoreContract('DynamoDB client on moto', async () => {
  const server = await moto()
  return withServer(await lockTableAt(server.url), server)
})

for (const versions of [false, true]) {
  lockStoreContract(`S3 client on moto, ${versions ? 'with' : 'without'} versions`, async () => {
    const server = await moto()
    return withServer(await lockBucketAt(server.url, { versions }), server)
  })
}

lockStoreContract('Kubernetes client on kube-apiserver', async () => {
  const cluster = await startCluster({ upstream: inject('upstream'), flux: false })
  const config = new KubeConfig()
  config.loadFromFile(cluster.kubeconfigs.admin)
  const store = new LeaseLockStore(new KubernetesClient({ name: 'staging', config, clock: systemClock }))
  const namespace = 'default'
  const leaseName = (name: string) => `lock-tfstate-default-${name}`
  const address = (name: string) =>
    ({ store: 'kubernetes', cluster: 'staging', namespace, name: leaseName(name) }) as const
  const lease = (name: string, annotations: object, spec: object) => ({
    ...kinds.Lease,
    metadata: { namespace, name, annotations },
    spec,
  })
  const apply = async (name: string, annotations: object, spec: object) => {
    await cluster.api.apply(lease(leaseName(name), annotations, spec) as KubernetesObject, { fieldManager: 'OpenTofu' })
  }
  return {
    store,
    address,
    tellsTime: true,
    now: () => Date.now(),
    take: (name, raw) => apply(name, { 'app.terraform.io/lock-info': raw }, { holderIdentity: 'holder' }),
    release: (name) => apply(name, {}, {}),
    clutter: async (name) => {
      const elected = `elected-${name}`
      const spec = { holderIdentity: 'tofu-controller-0', leaseDurationSeconds: 15 }
      await cluster.api.create(lease(elected, {}, spec) as KubernetesObject)
      const read = async () => cluster.api.get({ ...kinds.Lease, namespace, name: elected })
      return { address: { ...address(name), name: elected }, read }
    },
    close: () => cluster.stop(),
  }
})
