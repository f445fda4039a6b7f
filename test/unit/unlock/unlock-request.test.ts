import fc from 'fast-check'
import { expect, it } from 'vitest'
import { placeOf, theScan, unlockInputSchema, unlockRequest } from '../../../functions/lib/unlock/run/unlock-request.ts'

const asked = {
  place: '0123456789abcdef',
  lock: '41f02d46-56c1-f301-2a82-f65b2ddf7b54',
  cluster: 'production',
  requestedBy: theScan,
  reason: 'its holder is dead',
  attempt: 0,
}

it('is an execution with the request as its input', () => {
  const { attempt: _, ...input } = asked
  expect(unlockRequest(asked).input).toEqual(input)
  expect(unlockInputSchema.parse(unlockRequest(asked).input)).toEqual(input)
})

it('has one name for one request, by which its place is known', () => {
  const { name } = unlockRequest(asked)
  expect(unlockRequest({ ...asked }).name).toBe(name)
  expect(placeOf(name)).toBe(asked.place)
})

it.each([
  { place: 'fedcba9876543210' },
  { lock: 'another' },
  { cluster: 'staging' },
  { requestedBy: 'ana' },
  { reason: 'another' },
  { attempt: 1 },
])('has another name with %j', (other) => {
  expect(unlockRequest({ ...asked, ...other }).name).not.toBe(unlockRequest(asked).name)
})

it('has a name that Step Functions takes, whatever is asked', () => {
  const text = fc.string({ unit: 'binary' })
  const any = fc.record({ lock: text, cluster: text, requestedBy: text, reason: text, attempt: fc.nat() })
  fc.assert(
    fc.property(any, (other) => {
      expect(unlockRequest({ ...asked, ...other }).name).toMatch(/^[0-9a-f-]{1,80}$/)
    }),
    { numRuns: 30 },
  )
})
