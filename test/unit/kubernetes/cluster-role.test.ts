import { STSClient } from '@aws-sdk/client-sts'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ClusterRole, roleIn } from '../../../functions/lib/kubernetes/cluster-role.ts'
import { type StsServer, startStsServer } from '../../../infra/local/kubernetes/sts-server.ts'

const arn = 'arn:aws:iam::111122223333:role/Lockstep-orders'
const minute = 60_000
let now: number
const clock = { now: () => now, after: () => () => {} }
let server: StsServer

beforeEach(async () => {
  now = Date.UTC(2026, 0, 5, 9, 0, 0)
  server = await startStsServer([{ arn }], { clock })
})
afterEach(() => server.close())

const client = (endpoint = server.url) =>
  new STSClient({
    ...{ endpoint, region: 'us-east-1', maxAttempts: 1 },
    credentials: { accessKeyId: 'AKIAFUNCTION', secretAccessKey: 'of-the-function' },
  })
const role = (options: { endpoint?: string; externalId?: string; arn?: string } = {}) =>
  new ClusterRole({ clock, sts: client(options.endpoint), arn, sessionName: 'plan', ...options })

it('takes on the role under the name of the function', async () => {
  const credentials = await role().credentials('staging')
  expect(server.sessions).toEqual([
    expect.objectContaining({ arn, sessionName: 'plan', accessKeyId: credentials.accessKeyId }),
  ])
  expect(credentials.secretAccessKey).toBe(server.sessions[0]?.secretAccessKey)
  expect(credentials.sessionToken).toMatch(/^[\w+/=]{80}$/)
  expect(credentials.expiration?.getTime()).toBe(now + 60 * minute)
})

it('keeps credentials while a token that they sign is good for all its time, and renews them then', async () => {
  const taken = role()
  const [first, second] = await Promise.all([taken.credentials('a'), taken.credentials('b')])
  expect(second).toBe(first)
  now += 39 * minute
  expect(await taken.credentials('a')).toBe(first)
  now += minute
  const renewed = await taken.credentials('a')
  expect(renewed.accessKeyId).not.toBe(first.accessKeyId)
  expect(server.sessions).toHaveLength(2)
})

it('goes on with the old ones while they are good and there are no new ones', async () => {
  const taken = role()
  const first = await taken.credentials('a')
  server.roles.length = 0
  now += 58 * minute
  expect(await taken.credentials('a')).toBe(first)
  now += minute
  await expect(taken.credentials('a')).rejects.toMatchObject({ name: 'ClusterRoleRefused' })
  server.roles.push({ arn })
  expect((await taken.credentials('a')).accessKeyId).not.toBe(first.accessKeyId)
})

it('tells who may not take on which role, for which cluster', async () => {
  server.roles.length = 0
  await expect(role().credentials('staging')).rejects.toMatchObject({
    name: 'ClusterRoleRefused',
    message: expect.stringContaining(`staging: AWS does not let "plan" take on the role ${arn} (AccessDenied).`),
  })
})

it('gives the external id that a role in another account asks for', async () => {
  server.roles.splice(0, 1, { arn, externalId: 'ours' })
  await expect(role().credentials('a')).rejects.toMatchObject({ name: 'ClusterRoleRefused' })
  await expect(role({ externalId: 'theirs' }).credentials('a')).rejects.toMatchObject({ name: 'ClusterRoleRefused' })
  await expect(role({ externalId: 'ours' }).credentials('a')).resolves.toBeDefined()
})

it('takes an STS that cannot be reached for one that can be tried again', async () => {
  await expect(role({ endpoint: 'http://127.0.0.1:9' }).credentials('staging')).rejects.toMatchObject({
    ...{ name: 'ClusterUnavailable', cluster: 'staging' },
    message: expect.stringMatching(/^staging: AWS could not give credentials of the role/),
  })
})

it('has the same name in every account', () => {
  expect(roleIn(undefined, arn)).toBe(arn)
  expect(roleIn('999988887777', arn)).toBe('arn:aws:iam::999988887777:role/Lockstep-orders')
  expect(roleIn('999988887777', 'arn:aws-cn:iam::111122223333:role/x')).toBe('arn:aws-cn:iam::999988887777:role/x')
})
