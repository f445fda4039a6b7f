import { describe, expect, it } from 'vitest'
import { backendConfigSchema } from '../../../functions/lib/locks/backends/backend-block.ts'
import { backendOf } from '../../../infra/local/simulation/tofu/backend-config.ts'

const backend = (config?: object) =>
  backendOf({
    ...{ namespace: 'infra', name: 'vpc', workspace: 'default' },
    backendConfig: config && backendConfigSchema.parse(config),
  })
const kubernetes = { type: 'kubernetes', namespace: 'infra', workspace: 'default', suffix: 'vpc' }

describe('the backend of a Terraform', () => {
  it('is Kubernetes by the name of the object, unless it says otherwise', () => {
    expect(backend()).toEqual(kubernetes)
    expect(backend({ inClusterConfig: false })).toEqual(kubernetes)
    expect(backend({ secretSuffix: 'net' })).toEqual({ ...kubernetes, suffix: 'net' })
  })

  it('is what a block of its own names', () => {
    const block = `backend "s3" {
      bucket = "tfst"
      key    = "vpc/terraform.tfstate"
      use_lockfile = true
      endpoints = { s3 = "http://127.0.0.1:1" }
    }`
    expect(backend({ customConfiguration: block })).toMatchObject({
      type: 'custom',
      name: 's3',
      attributes: { bucket: 'tfst', key: 'vpc/terraform.tfstate', use_lockfile: 'true' },
    })
    const other = 'backend "kubernetes" { secret_suffix = "net"\n namespace = "states" }'
    expect(backend({ customConfiguration: other })).toEqual({ ...kubernetes, namespace: 'states', suffix: 'net' })
  })

  it('can be none', () => {
    expect(backend({ disable: true })).toEqual({ type: 'disabled' })
  })
})
