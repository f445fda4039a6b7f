import { expect, test } from 'vitest'
import { shortened, told } from '../../../functions/lib/flux/told.ts'

test.each([
  ["clone 'https://ana:hunter2@git.example.com/x': denied", 'hunter2'],
  ['key AKIAIOSFODNN7EXAMPLE is not valid', 'AKIAIOSFODNN7EXAMPLE'],
  ['remote: ghp_abcdefghijklmnopqrstuvwxyz0123456789', 'ghp_'],
  ['header Authorization: Bearer abc.def.ghi', 'abc.def'],
  ['db_password = "s3cret value"', 's3cret value'],
  ["client_secret: 'xyz'", 'xyz'],
  [`${'x'.repeat(230)} token=abcdefghijklmnop`, 'abcdef'],
])('blots out the secret in: %s', (message, secret) => {
  expect(shortened(message)).not.toContain(secret)
})

test('keeps what a person needs', () => {
  const message = 'authentication required for https://github.com/my-org/fleet-infra (token expired)'
  const condition = { type: 'Ready', status: 'False' as const, reason: 'GitOperationFailed', message }
  expect(told(condition)).toBe(`GitOperationFailed: ${message}`)
})
