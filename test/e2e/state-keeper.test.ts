import { setTimeout } from 'node:timers/promises'
import { KubeConfig } from '@kubernetes/client-node'
import { inject } from 'vitest'
import { systemClock } from '../../functions/lib/clock.ts'
import { KubernetesClient } from '../../functions/lib/kubernetes/kubernetes-client.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { stateBucketAt, stateSecretsIn, type Versioning } from '../contracts/state-keeper.client.ts'
import { stateKeeperContract } from '../contracts/state-keeper.contract.ts'
import { startCluster } from './cluster/cluster.ts'
import { kinds } from './cluster/kinds.ts'
import { startMoto } from './moto/moto-server.ts'

// A write while versioning is suspended loses every version there: docs/fidelity.md.
for (const versioning of ['never', 'enabled'] satisfies Versioning[]) {
  stateKeeperContract(`S3 client on moto, versions ${versioning}`, async () => {
    const server = await startMoto({ python: inject('python') })
    const under = await stateBucketAt({ url: server.url, tick: () => setTimeout(1_000) }, versioning)
    return {
      ...under,
      close: async () => {
        await under.close()
        await server.close()
      },
    }
  })
}

stateKeeperContract('Kubernetes client on kube-apiserver', async () => {
  const cluster = await startCluster({ upstream: inject('upstream'), flux: false })
  const clientOf = (path: string) => {
    const config = new KubeConfig()
    config.loadFromFile(path)
    return new KubernetesClient({ name: 'staging', config, clock: systemClock })
  }
  const under = stateSecretsIn(
    // Nothing is granted to lockstep here.
    {
      cluster: clientOf(cluster.kubeconfigs.admin),
      denied: clientOf(cluster.kubeconfigs.lockstep),
      namespace: 'default',
    },
    {
      write: async ({ namespace, name }, data) => {
        const metadata = { namespace, name, annotations: { encoding: 'gzip' } }
        const secret = { ...kinds.Secret, metadata, data } as KubernetesObject
        await cluster.api.apply(secret, { fieldManager: 'OpenTofu' })
      },
      remove: ({ namespace, name }) => cluster.api.delete({ ...kinds.Secret, namespace, name }),
    },
  )
  return { ...under, close: () => cluster.stop() }
})
