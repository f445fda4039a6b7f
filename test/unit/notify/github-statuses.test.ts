import { generateKeyPairSync, verify } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as z from 'zod'
import type { CommitStatus, StatusCommit } from '../../../functions/lib/notify/commit-status.ts'
import { type GitHubSecret, GitHubStatuses, gitHubSecretSchema } from '../../../functions/lib/notify/github-statuses.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { head } from '../../fixtures/raw-objects.ts'
import { type ScriptedServer, startScriptedServer } from '../../fixtures/scripted-server.ts'

/** https://docs.github.com/en/rest/commits/statuses#create-a-commit-status */
const statusBody = z.strictObject({
  state: z.enum(['error', 'failure', 'pending', 'success']),
  target_url: z.url({ protocol: /^https?$/ }).optional(),
  description: z.string().max(140),
  context: z.string().min(1).max(255),
})

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
/** As GitHub gives it to whoever makes an App. */
const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
const app: GitHubSecret = { appId: 12, installationId: 34, privateKey: pem }
const token: GitHubSecret = { token: 'github_pat_hidden' }

const commit: StatusCommit = { host: 'github.com', repository: 'my-org/fleet-infra', sha: head('b') }
const status: CommitStatus = { state: 'pending', description: 'queued', url: 'https://console.aws.amazon.com/x' }
const context = 'lockstep/staging/layer 1'
const statuses = `/repos/my-org/fleet-infra/statuses/${commit.sha}`
const tokens = '/app/installations/34/access_tokens'

let server: ScriptedServer
let clock: VirtualClock
beforeEach(async () => {
  clock = new VirtualClock(Date.now())
  server = await startScriptedServer(({ path }) => {
    if (path !== tokens) return { status: 201, body: { id: 1 } }
    const expires_at = new Date(Date.now() + 3_600_000).toISOString()
    return { status: 201, body: { token: 'ghs_hidden', expires_at, permissions: { statuses: 'write' } } }
  })
})
afterEach(async () => {
  clock.stop()
  await server.close()
})

const gitHub = (secret: GitHubSecret = token) =>
  new GitHubStatuses({ secret: async () => secret, clock, apiUrl: () => server.url })
const set = (to = gitHub()) => to.set(commit, context, status, clock.now() + 30_000)
const failureOf = (promise: Promise<void>) =>
  promise.then(
    () => undefined,
    (error: Error) => error,
  )

describe('a commit status', () => {
  test('is created with a token, in the form of the API', async () => {
    await set()
    expect(server.requests).toMatchObject([
      {
        ...{ method: 'POST', path: statuses },
        headers: {
          ...{ 'x-github-api-version': '2022-11-28', accept: 'application/vnd.github.v3+json' },
          ...{ authorization: 'token github_pat_hidden', 'user-agent': expect.stringContaining('lockstep') },
        },
      },
    ])
    expect(statusBody.parse(server.requests[0]?.body)).toEqual({
      ...{ context, state: 'pending', description: 'queued', target_url: status.url },
    })
  })

  test('is created by an App, with one token for its installation', async () => {
    const statusesOfApp = gitHub(app)
    await set(statusesOfApp)
    await set(statusesOfApp)
    expect(server.requests.map(({ path }) => path)).toEqual([tokens, statuses, statuses])
    const [asked, created] = server.requests
    expect(created?.headers.authorization).toBe('token ghs_hidden')
    const [, header = '', payload = '', signature = ''] =
      asked?.headers.authorization?.match(/^bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/) ?? []
    const signed = Buffer.from(`${header}.${payload}`)
    expect(verify('RSA-SHA256', signed, publicKey, Buffer.from(signature, 'base64url'))).toBe(true)
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    expect(Number(claims.iss)).toBe(12)
    // GitHub takes ten minutes at most.
    expect(claims.exp - claims.iat).toBeLessThanOrEqual(660)
  })

  test('takes another secret as soon as there is one', async () => {
    let secret: GitHubSecret = token
    const rotated = new GitHubStatuses({ secret: async () => secret, clock, apiUrl: () => server.url })
    await set(rotated)
    secret = { token: 'another' }
    await set(rotated)
    expect(server.requests[1]?.headers.authorization).toBe('token another')
  })

  test('waits as long as GitHub says, by whichever header', async () => {
    const reset = String(Math.floor(clock.now() / 1_000) + 5)
    server.answers.push({ status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset } })
    server.answers.push({ status: 429, headers: { 'retry-after': '9' } }, { status: 500 })
    const began = clock.now()
    await set()
    expect(server.requests).toHaveLength(4)
    const waited = clock.now() - began
    expect(waited).toBeGreaterThan(9_000 + 5_000 + 4_000 - 1_000)
    expect(waited).toBeLessThanOrEqual(9_000 + 5_000 + 5_000)
  })

  test('is given up where that is too long', async () => {
    server.answers.push({ status: 403, headers: { 'retry-after': '3600' } })
    expect(await failureOf(set())).toMatchObject({ name: 'NotifierUnavailable', message: /rate limit/ })
    expect(server.requests).toHaveLength(1)
  })

  test.each([
    [401, /secret of notifications.github/],
    [403, /right to write commit statuses/],
    [404, /access to my-org\/fleet-infra/],
    [422, /is still in my-org\/fleet-infra/],
  ])('that is refused with %d says what to do, and nothing of a secret', async (answer, next) => {
    server.answers.push({ status: answer, body: { message: 'hidden' } })
    const error = await failureOf(set())
    expect(error).toMatchObject({ name: 'NotifierRefused', next: expect.stringMatching(next) })
    expect(JSON.stringify([error?.message, error?.stack, error])).not.toContain('hidden')
    expect(server.requests).toHaveLength(1)
  })

  test('of an App that is gone, or whose key is none, is an error without the key', async () => {
    server.answers.push({ status: 404, body: { message: 'Integration not found' } })
    expect(await failureOf(set(gitHub(app)))).toMatchObject({ name: 'NotifierRefused' })
    const broken = { ...app, privateKey: '-----BEGIN RSA PRIVATE KEY-----\nhidden\n-----END RSA PRIVATE KEY-----' }
    const error = await failureOf(set(gitHub(broken)))
    expect(error?.name).toMatch(/^Notifier/)
    expect(error?.message).not.toContain('hidden')
  })
})

test('the secret is that of an App, with its ids as numbers or digits, or a token', () => {
  const written = { appId: '12', installationId: 34, privateKey: pem }
  expect(gitHubSecretSchema.parse(written)).toEqual(app)
  expect(gitHubSecretSchema.parse({ token: 'a' })).toEqual({ token: 'a' })
  expect(gitHubSecretSchema.safeParse({ ...written, privateKey: 'a path' }).success).toBe(false)
})
