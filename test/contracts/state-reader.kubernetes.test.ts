import { gzipSync } from 'node:zlib'
import { SecretStateReader } from '../../functions/lib/locks/states/secret-state-reader.ts'
import { builtinResources } from '../../infra/local/kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../infra/local/kubernetes/object-store.ts'
import { standInCluster } from '../fixtures/stand-in-cluster.ts'
import { stateReaderContract } from './state-reader.contract.ts'

const { Secret } = builtinResources
const namespace = 'infra'

stateReaderContract('Kubernetes client on the stand-in', async () => {
  let isOpen = true
  const standIn = await standInCluster({ authenticate: () => 'lockstep', authorize: () => isOpen })
  const { store, clock } = standIn
  const client = standIn.client()
  const secretName = (name: string) => `tfstate-default-${name}`
  const reader = new SecretStateReader(client)
  return {
    reader,
    denied: {
      read: async (address) => {
        isOpen = false
        return reader.read(address).finally(() => {
          isOpen = true
        })
      },
    },
    address: (name) => ({ store: 'kubernetes', cluster: 'staging', namespace, name: secretName(name) }),
    now: () => clock.now(),
    write: async (name, state) => {
      const data = { tfstate: gzipSync(state).toString('base64') }
      const change = (secret: KubernetesObject) => void Object.assign(secret, { data })
      const written = store.update(Secret, namespace, secretName(name), change, { manager: 'OpenTofu' })
      if (written) return
      const metadata = { namespace, name: secretName(name), annotations: { encoding: 'gzip' } }
      store.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata, data }, 'OpenTofu')
    },
    remove: async (name) => {
      store.delete(Secret, namespace, secretName(name))
    },
    close: () => standIn.close(),
  }
})
