import { describe, expect, it } from 'vitest'
import { lockPlaceOf, stateText } from '../../../functions/lib/locks/backends/lock-place.ts'
import type { S3Backend } from '../../../functions/lib/locks/backends/object-backend.ts'

const s3: S3Backend = {
  ...{ type: 's3', bucket: 'tfst', key: 'vpc/terraform.tfstate', region: 'eu-west-1' },
  ...{ workspace: 'default', workspaceKeyPrefix: 'env:', lockfile: true, table: 'locks' },
}
const keyOf = (backend: Partial<S3Backend>) => {
  const { state } = lockPlaceOf({ ...s3, ...backend }, 'staging')
  return state.store === 's3' ? state.key : undefined
}

describe('the place of a lock', () => {
  it('is the lock file and then the item, where there are both', () => {
    expect(lockPlaceOf(s3, 'staging')).toEqual({
      parts: [
        { store: 's3', bucket: 'tfst', key: 'vpc/terraform.tfstate.tflock' },
        { store: 'dynamodb', region: 'eu-west-1', table: 'locks', lockId: 'tfst/vpc/terraform.tfstate' },
      ],
      state: { store: 's3', region: 'eu-west-1', bucket: 'tfst', key: 'vpc/terraform.tfstate' },
    })
  })

  it('is one of them, where there is one', () => {
    const { table: _, ...file } = s3
    expect(lockPlaceOf(file, 'staging').parts.map(({ store }) => store)).toEqual(['s3'])
    expect(lockPlaceOf({ ...s3, lockfile: false }, 'staging').parts.map(({ store }) => store)).toEqual(['dynamodb'])
  })

  it('has the workspace before the key', () => {
    expect(lockPlaceOf({ ...s3, workspace: 'blue' }, 'staging')).toMatchObject({
      parts: [{ key: 'env:/blue/vpc/terraform.tfstate.tflock' }, { lockId: 'tfst/env:/blue/vpc/terraform.tfstate' }],
      state: { key: 'env:/blue/vpc/terraform.tfstate' },
    })
    expect(keyOf({ workspace: 'blue', workspaceKeyPrefix: 'a/b' })).toBe('a/b/blue/vpc/terraform.tfstate')
    expect(keyOf({ workspace: 'blue', workspaceKeyPrefix: '' })).toBe('blue/vpc/terraform.tfstate')
  })

  it('is cleaned in a workspace only, as OpenTofu does', () => {
    expect(keyOf({ key: 'a//b/./c' })).toBe('a//b/./c')
    expect(keyOf({ key: 'a//b/./c', workspace: 'blue' })).toBe('env:/blue/a/b/c')
  })

  it('is a Lease beside the Secret of the state', () => {
    const backend = { type: 'kubernetes', namespace: 'infra', suffix: 'vpc', workspace: 'blue' } as const
    const at = { store: 'kubernetes', cluster: 'staging', namespace: 'infra' }
    expect(lockPlaceOf(backend, 'staging')).toEqual({
      parts: [{ ...at, name: 'lock-tfstate-blue-vpc' }],
      state: { ...at, name: 'tfstate-blue-vpc' },
    })
  })
})

it('a state has a name for people', () => {
  expect(stateText(lockPlaceOf(s3, 'staging').state)).toBe('s3://tfst/vpc/terraform.tfstate')
  const backend = { type: 'kubernetes', namespace: 'infra', suffix: 'vpc', workspace: 'default' } as const
  expect(stateText(lockPlaceOf(backend, 'staging').state)).toBe('Secret/infra/tfstate-default-vpc in staging')
})
