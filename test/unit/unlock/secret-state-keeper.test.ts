import { gzipSync } from 'node:zlib'
import { beforeEach, expect, it } from 'vitest'
import { builtinResources } from '../../../functions/lib/kubernetes/cluster.ts'
import { SecretStateReader } from '../../../functions/lib/locks/states/secret-state-reader.ts'
import { SecretStateKeeper } from '../../../functions/lib/unlock/state/secret-state-keeper.ts'
import type { StateBackup } from '../../../functions/lib/unlock/state/state-backup.ts'
import { MemoryObjectStore } from '../../../infra/local/kubernetes/memory-object-store.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { StoreCluster } from '../../fixtures/store-cluster.ts'

const { Secret } = builtinResources
const namespace = 'infra'
const name = 'tfstate-default-vpc'
const address = { store: 'kubernetes', cluster: 'staging', namespace, name } as const
const labels = { tfstate: 'true', tfstateSecretSuffix: 'vpc', tfstateWorkspace: 'default' }
const stored = (serial: number) => gzipSync(`{"serial":${serial},"outputs":"hunter2"}`).toString('base64')

let store: MemoryObjectStore
let cluster: StoreCluster
let keeper: SecretStateKeeper

beforeEach(() => {
  const clock = new VirtualClock()
  store = new MemoryObjectStore({ clock })
  store.register(Secret)
  cluster = new StoreCluster('staging', store)
  keeper = new SecretStateKeeper(cluster, clock)
  const annotations = { encoding: 'gzip' }
  const metadata = { namespace, name, labels, annotations }
  store.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata, data: { tfstate: stored(3) } }, 'OpenTofu')
})

const change = (write: (secret: KubernetesObject) => void) =>
  store.update(Secret, namespace, name, write, { manager: 'tests' })
const backUp = async (unlock = 'Unlock_1') => {
  const state = await new SecretStateReader(cluster).read(address)
  return keeper.backUp(address, unlock, state.exists ? state.version : undefined)
}
const copyOf = (backup: StateBackup) => store.get(Secret, namespace, 'copy' in backup ? backup.copy : '')

it('the copy can be told from a state, tells what it is, and cannot be changed', async () => {
  const copy = copyOf(await backUp())
  expect(copy?.metadata.name).toMatch(/^lockstep-backup-[0-9a-f]{24}$/)
  expect(copy?.metadata.labels).toEqual({ 'app.kubernetes.io/managed-by': 'lockstep' })
  expect(copy?.metadata.annotations).toEqual({
    ...{ 'lockstep.dev/backup-of': name, 'lockstep.dev/backup-by': 'Unlock_1', encoding: 'gzip' },
  })
  expect(copy).toMatchObject({ type: 'Opaque', immutable: true, data: { tfstate: stored(3) } })
})

it('a state without anything in it is none yet, and nothing is copied', async () => {
  change((secret) => {
    delete secret.data
  })
  expect(await backUp()).toEqual({ kind: 'none', at: expect.any(Number) })
  expect(store.list(Secret).items).toHaveLength(1)
})

it('a label that somebody sets is no write, what is written is', async () => {
  const backup = await backUp()
  change(({ metadata }) => {
    metadata.labels = { ...labels, team: 'network' }
  })
  expect(await keeper.writesSince(address, backup)).toEqual([])
  change((secret) => {
    secret.data = { tfstate: stored(4) }
  })
  expect(await keeper.writesSince(address, backup)).toMatchObject([{ serial: 4, at: expect.any(Number) }])
})

it('a copy that is there already must be the same state', async () => {
  const backup = await backUp()
  change((secret) => {
    secret.data = { tfstate: stored(4) }
  })
  // The same unlock begins only once: somebody has made this Secret.
  const error = await backUp().catch((reason: unknown) => reason)
  expect(error).toMatchObject({ name: 'LockStoreRejected', message: expect.stringContaining('lockstep-backup-') })
  expect(String(error)).not.toContain('hunter2')
  expect(copyOf(backup)).toMatchObject({ data: { tfstate: stored(3) } })
})

it('a Secret of its name without a state in it is no backup', async () => {
  const backup = await backUp()
  const copy = copyOf(backup)?.metadata.name ?? ''
  store.update(Secret, namespace, copy, (secret) => void delete secret.data, { manager: 'tests' })
  await expect(backUp()).rejects.toMatchObject({ name: 'LockStoreRejected' })
})

it('backups hold nothing of what is in the state', async () => {
  expect(JSON.stringify(await backUp())).not.toContain('hunter2')
})
