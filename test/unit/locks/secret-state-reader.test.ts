import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type Cluster, ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import { SecretStateReader } from '../../../functions/lib/locks/states/secret-state-reader.ts'

const address = { store: 'kubernetes', cluster: 'staging', namespace: 'infra', name: 'tfstate-default-vpc' } as const
const readerOf = (get: () => Promise<unknown>) => {
  const refused = () => Promise.reject(new Error('not part of this test'))
  const others = { list: refused, watch: refused, patch: refused, create: refused, delete: refused }
  const cluster: Cluster = { name: 'staging', get, ...others }
  return new SecretStateReader(cluster)
}
const read = (secret: unknown) => readerOf(async () => secret).read(address)
const secret = (tfstate: string, metadata: object = {}) => ({
  metadata: { resourceVersion: '7', ...metadata },
  data: { tfstate },
})
const stored = gzipSync('{"serial":1}').toString('base64')

describe('a Secret with a state', () => {
  it('tells when its data was written last, by whoever did', async () => {
    const written = (time: string, fields: object) => ({ time, fieldsV1: fields })
    const managedFields = [
      written('2026-11-21T08:00:00Z', { 'f:data': {} }),
      written('2026-11-21T09:00:00Z', { 'f:data': {} }),
      written('2026-11-21T10:00:00Z', { 'f:metadata': {} }),
      'x',
    ]
    expect(await read(secret(stored, { managedFields }))).toMatchObject({ modifiedAt: Date.UTC(2026, 10, 21, 9) })
    expect(await read(secret(stored, { managedFields: 'x' }))).not.toHaveProperty('modifiedAt')
  })

  it('that is not gzip, or a bomb, has the size that it takes', async () => {
    const version = '7'
    expect(await read(secret(Buffer.from('plain').toString('base64')))).toEqual({ exists: true, version, sizeBytes: 5 })
    expect(await read(secret(stored.slice(0, 12)))).toEqual({ exists: true, version, sizeBytes: 9 })
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
    const told = await read(secret(bomb.toString('base64')))
    expect(told).toEqual({ exists: true, version, sizeBytes: bomb.length })
  })

  it('without a state in it is no state yet', async () => {
    expect(await read({ metadata: { resourceVersion: '7' } })).toEqual({ exists: false })
    expect(await read({ metadata: { resourceVersion: '7' }, data: { other: 'x' } })).toEqual({ exists: false })
  })

  it.each([[undefined], ['x'], [{ metadata: {} }], [{ ...secret(stored), data: { tfstate: 7 } }]])(
    'of another shape is an error: %j',
    async (raw) => {
      await expect(read(raw)).rejects.toMatchObject({ name: 'LockStoreRejected' })
    },
  )
})

it.each([
  ['ClusterUnauthorized', 'LockStoreForbidden'],
  ['ClusterForbidden', 'LockStoreForbidden'],
  ['ClusterThrottled', 'LockStoreThrottled'],
  ['ClusterUnavailable', 'LockStoreUnavailable'],
  ['ClusterRejected', 'LockStoreRejected'],
] as const)('%s is told as %s', async (from, name) => {
  const reader = readerOf(async () => {
    throw new ClusterError(from, 'staging', 500, 'a secret', 'Do something.')
  })
  const error = await reader.read(address).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ name, store: 'Secret/infra/tfstate-default-vpc in staging' })
  expect(String(error)).not.toContain('a secret')
})
