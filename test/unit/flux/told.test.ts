import { expect, test } from 'vitest'
import { shortened, told } from '../../../functions/lib/flux/told.ts'

test.each([
  ["clone 'https://ana:hunter2@git.example.com/x': denied", 'hunter2'],
  ['key AKIAIOSFODNN7EXAMPLE is not valid', 'AKIAIOSFODNN7EXAMPLE'],
  ['remote: ghp_abcdefghijklmnopqrstuvwxyz0123456789', 'ghp_'],
  ['header Authorization: Bearer abc.def.ghi', 'abc.def'],
  ['db_password = "s3cret value"', 's3cret value'],
  ["client_secret: 'xyz'", 'xyz'],
  ['AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG is not valid', 'wJalr'],
  ['"secretAccessKey": "wJalr"', 'wJalr'],
  ['db_password_ro: hunter2', 'hunter2'],
  [String.raw`body {\"password\":\"hunter 2\", \"user\":\"ana\"}`, 'hunter'],
  ['api-key: abcdef', 'abcdef'],
  ['passphrase=abcdef', 'abcdef'],
  ['-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----', 'MIIEow'],
  ['-----BEGIN PRIVATE KEY-----\nMIIEow, which was cut', 'MIIEow'],
  ['id_jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmVk', 'c2lnbmVk'],
  ['POST https://hooks.slack.com/services/T000/B000/XXXX: 404', 'XXXX'],
  [`${'x'.repeat(230)} token=abcdefghijklmnop`, 'abcdef'],
])('blots out the secret in: %s', (message, secret) => {
  expect(shortened(message)).not.toContain(secret)
})

test.each([
  'authentication required for https://github.com/my-org/fleet-infra (token expired)',
  `failed to get secret 'flux-system/git': secrets "git" not found`,
  'spec.secretRef: name is required, secretName: git, secret_name: git, tokenreviews.k8s.io is forbidden',
  'TaskTokensUnavailable: Step Functions did not take it',
])('keeps what a person needs: %s', (message) => {
  const condition = { type: 'Ready', status: 'False' as const, reason: 'GitOperationFailed', message }
  expect(told(condition)).toBe(`GitOperationFailed: ${message}`)
})
