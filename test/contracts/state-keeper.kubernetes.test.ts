import { KubeConfig } from '@kubernetes/client-node'
import { builtinResources } from '../../infra/local/kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { standInCluster } from '../fixtures/stand-in-cluster.ts'
import { stateSecretsIn } from './state-keeper.client.ts'
import { stateKeeperContract } from './state-keeper.contract.ts'

const { Secret } = builtinResources

stateKeeperContract('Kubernetes client on the stand-in', async () => {
  const standIn = await standInCluster({
    authenticate: (token) => token,
    authorize: (user) => user !== 'stranger',
  })
  const { store } = standIn
  const stranger = new KubeConfig()
  stranger.loadFromClusterAndUser(
    { name: 'stand-in', server: standIn.server.url, skipTLSVerify: true },
    { name: 'stranger', token: 'stranger' },
  )
  const under = stateSecretsIn(
    { cluster: standIn.client(), denied: standIn.client({ config: stranger }), namespace: 'infra' },
    {
      write: async ({ namespace, name }, data) => {
        const change = (secret: KubernetesObject) => void Object.assign(secret, { data })
        if (store.update(Secret, namespace, name, change, { manager: 'OpenTofu' })) return
        const metadata = { namespace, name, annotations: { encoding: 'gzip' } }
        store.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata, data }, 'OpenTofu')
      },
      remove: async ({ namespace, name }) => store.delete(Secret, namespace, name),
    },
  )
  return { ...under, close: () => standIn.close() }
})
