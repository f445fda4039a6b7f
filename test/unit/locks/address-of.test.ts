import fc from 'fast-check'
import { expect, it } from 'vitest'
import { addressOf, addressText, type LockAddress } from '../../../functions/lib/locks/stores/lock-store.ts'

/** Keys are anybody's choice; so they look like the rest of a text. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(' in table ', ' in ', ' (eu-west-1)', 'Lease/', 's3://', '/', ' ', '(', ')', '\n', '\\', '$1'),
      fc.string({ unit: 'binary', minLength: 1 }),
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((parts) => parts.join(''))
const table = fc.stringMatching(/^[\w.-]{3,40}$/)
const region = fc.constantFrom('us-east-1', 'ap-southeast-7', 'us-gov-west-1')
const bucket = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{1,30}[a-z0-9]$/)
const dnsName = fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?$/)

const address: fc.Arbitrary<LockAddress> = fc.oneof(
  fc.record({ store: fc.constant('dynamodb' as const), region, table, lockId: hostile }),
  fc.record({ store: fc.constant('s3' as const), bucket, key: hostile }),
  fc.record({ store: fc.constant('kubernetes' as const), cluster: hostile, namespace: dnsName, name: dnsName }),
)

it('every address comes back from its text', () => {
  fc.assert(
    fc.property(address, (given) => {
      expect(addressOf({ store: given.store, address: addressText(given) })).toEqual(given)
    }),
    { numRuns: 2_000 },
  )
})

it.each([
  ['dynamodb', 'states/app in table locks'],
  ['dynamodb', ' in table locks (eu-west-1)'],
  ['dynamodb', 's3://states/app.tflock'],
  ['s3', 's3://states'],
  ['s3', 's3:///app.tflock'],
  ['s3', 'states/app in table locks (eu-west-1)'],
  ['kubernetes', 'Lease/infra in staging'],
  ['kubernetes', 'Secret/infra/tfstate-default-vpc in staging'],
  ['kubernetes', ''],
] as const)('the text of something else is no address in %s: %j', (store, text) => {
  expect(addressOf({ store, address: text })).toBeUndefined()
})
