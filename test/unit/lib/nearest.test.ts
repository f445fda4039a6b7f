import { expect, it } from 'vitest'
import { nearest } from '../../../functions/lib/nearest.ts'

it.each([
  ['prodution', 'production'],
  ['stagign', 'staging'],
  ['Staging', 'staging'],
  ['apps', 'apps'],
  ['databases', 'database'],
])('takes %s for %s', (word, meant) => {
  expect(nearest(word, ['staging', 'production', 'apps', 'database'])).toBe(meant)
})

it('does not guess where nothing is close', () => {
  expect(nearest('network', ['staging', 'apps'])).toBeUndefined()
  expect(nearest('x'.repeat(100_000), ['staging'])).toBeUndefined()
  expect(nearest('staging', [])).toBeUndefined()
})
