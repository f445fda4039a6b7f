import { describe, expect, it } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { type Push, pushSchema } from '../../../functions/lib/push.ts'
import type { Secrets } from '../../../functions/lib/rotating-secret.ts'
import type { WebhookRequest } from '../../../functions/webhook/delivery.ts'
import { webhook } from '../../../functions/webhook/webhook.ts'
import { deliveryId, pushPayload, secret, signed } from './signed.ts'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main', 'release/1.x'] }],
  clusters: [{ name: 'staging', eks: 'staging-eks-01', region: 'us-east-1', environment: 'staging' }],
})

/** A webhook whose executions are remembered by name, as Step Functions does. */
function host(secrets: Secrets | Error = { current: secret }, outage?: Error) {
  const executions = new Map<string, Push>()
  const logged: unknown[] = []
  const log = (message: string, ...fields: unknown[]) => void logged.push(message, ...fields)
  const handle = webhook({
    fleet,
    secrets: async () => {
      if (secrets instanceof Error) throw secrets
      return secrets
    },
    start: async (name, input) => {
      if (outage) throw outage
      if (executions.has(name)) return 'exists'
      executions.set(name, input)
      return 'started'
    },
    log: { info: log, warn: log },
  })
  const post = async (request: WebhookRequest) => {
    const { statusCode, body } = await handle(request)
    return { status: statusCode, ...JSON.parse(body) }
  }
  return { post, executions, logged }
}

const text = (changes: object = {}) => JSON.stringify({ ...pushPayload(), ...changes })
const repository = (changes: object) => ({ repository: { ...(pushPayload().repository as object), ...changes } })

describe('a push to the fleet', () => {
  it('starts one execution, named by the delivery, with the projection as its input', async () => {
    const { post, executions } = host()
    expect(await post(await signed(text()))).toEqual({ status: 202, execution: deliveryId })
    expect([...executions]).toEqual([
      [
        deliveryId,
        {
          repository: { name: 'my-org/fleet-infra', host: 'github.com' },
          branch: 'main',
          before: '5f1d0c9be2a74c6d83b1e0f9a7c2d4e68b03a5f7',
          after: 'c4a8e21f7d3b59067e1f2ab8c90d4563ef817a2b',
          pushedAt: 1767603582000,
          pusher: 'ada-example',
          delivery: deliveryId,
        },
      ],
    ])
    expect(pushSchema.parse(executions.get(deliveryId))).toEqual(executions.get(deliveryId))
  })

  it('delivered again, is a success with the same execution', async () => {
    const { post, executions } = host()
    const request = await signed(text())
    await post(request)
    expect(await post(request)).toEqual({ status: 200, execution: deliveryId, reason: 'It was started before.' })
    expect(executions.size).toBe(1)
  })

  it('may come in base64', async () => {
    const request = await signed(text({ zen: 'ümläut' }))
    const body = Buffer.from(request.body ?? '').toString('base64')
    expect(await host().post({ ...request, body, isBase64Encoded: true })).toMatchObject({ status: 202 })
  })

  it('may come as a form', async () => {
    const body = new URLSearchParams({ payload: text({ head: 'a b&c=ü' }) }).toString()
    const { post, executions } = host()
    const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
    expect(await post(await signed(body, headers))).toEqual({ status: 202, execution: deliveryId })
    expect(executions.get(deliveryId)?.branch).toBe('main')
  })

  it('may have headers in any case', async () => {
    const request = await signed(text())
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([key, value]) => [key.toUpperCase(), value]),
    )
    expect(await host().post({ ...request, headers })).toMatchObject({ status: 202, execution: deliveryId })
  })

  it('needs no head commit, and may be the first of its branch', async () => {
    const { post, executions } = host()
    const changes = {
      head_commit: null,
      commits: [],
      before: '0'.repeat(40),
      created: true,
      ref: 'refs/heads/release/1.x',
    }
    expect(await post(await signed(text(changes)))).toMatchObject({ status: 202, execution: deliveryId })
    expect(executions.get(deliveryId)).toMatchObject({ branch: 'release/1.x', before: '0'.repeat(40) })
  })

  it('is found by the repository’s name in any case', async () => {
    const { post, executions } = host()
    await post(await signed(text(repository({ full_name: 'My-Org/Fleet-Infra' }))))
    expect(executions.get(deliveryId)?.repository.name).toBe('my-org/fleet-infra')
  })

  it('may tell its time in ISO 8601', async () => {
    const { post, executions } = host()
    await post(await signed(text(repository({ pushed_at: '2026-01-05T08:59:42Z' }))))
    expect(executions.get(deliveryId)?.pushedAt).toBe(1767603582000)
  })

  it('has a pusher whose name is short and can be printed', async () => {
    const { post, executions } = host()
    await post(await signed(text({ pusher: { name: `\u001b[31m${'x'.repeat(200)}` } })))
    expect(executions.get(deliveryId)?.pusher).toBe(`?[31m${'x'.repeat(95)}`)
  })
})

describe('a delivery that starts nothing', () => {
  const cases: [string, object, Record<string, string>, object][] = [
    ['ping', { zen: 'Keep it logically awesome.' }, { 'x-github-event': 'ping' }, { status: 200, reason: 'pong' }],
    [
      'another event',
      {},
      { 'x-github-event': 'pull_request' },
      { status: 202, reason: 'Only push events start a rollout.' },
    ],
    ['a tag', { ref: 'refs/tags/main' }, {}, { status: 202, reason: 'Only branches are rolled out, no tags.' }],
    [
      'a deleted branch',
      { deleted: true, after: '0'.repeat(40), head_commit: null },
      {},
      { status: 202, reason: 'The branch was deleted.' },
    ],
    ['another branch', { ref: 'refs/heads/Main' }, {}, { status: 202, reason: 'The branch is not in the fleet.' }],
    ['a branch below', { ref: 'refs/heads/main/x' }, {}, { status: 202, reason: 'The branch is not in the fleet.' }],
    [
      'another repository',
      repository({ full_name: 'my-org/other' }),
      {},
      { status: 202, reason: 'The repository is not in the fleet.' },
    ],
    [
      'the same repository elsewhere',
      repository({ html_url: 'https://github.example.com/my-org/fleet-infra' }),
      {},
      { status: 202, reason: 'The repository is not in the fleet.' },
    ],
  ]

  it.each(cases)('%s', async (_, changes, headers, expected) => {
    const { post, executions } = host()
    expect(await post(await signed(text(changes), headers))).toEqual(expected)
    expect(executions.size).toBe(0)
  })
})

describe('a malformed delivery', () => {
  const cases: [string, string, Record<string, string | undefined>, string][] = [
    ['no event', text(), { 'x-github-event': undefined }, 'X-GitHub-Event is missing'],
    ['no delivery id', text(), { 'x-github-delivery': undefined }, 'X-GitHub-Delivery is missing'],
    ['a delivery id that is no name', text(), { 'x-github-delivery': '../../x' }, 'or is not a UUID'],
    ['truncated', text().slice(0, -20), {}, 'not a JSON payload'],
    ['a form without payload', 'a=b', { 'content-type': 'application/x-www-form-urlencoded' }, 'not a JSON payload'],
    [
      'JSON that is sent as a form',
      text(),
      { 'content-type': 'application/x-www-form-urlencoded' },
      'not a JSON payload',
    ],
    ['null', 'null', {}, 'the body: '],
    ['a list', '[]', {}, 'the body: '],
    ['no ref', text({ ref: undefined }), {}, 'ref: '],
    ['a commit that is none', text({ after: 'main' }), {}, 'after: '],
    ['no repository', text({ repository: null }), {}, 'repository: '],
    ['no time', text(repository({ pushed_at: null })), {}, 'repository.pushed_at: expected seconds since the epoch'],
    ['a time in milliseconds', text(repository({ pushed_at: 1767603582000 })), {}, 'repository.pushed_at: '],
    ['no address', text(repository({ html_url: 'my-org' })), {}, 'repository.html_url: '],
    ['no pusher', text({ pusher: {} }), {}, 'pusher.name: '],
  ]

  it.each(cases)('%s is a 400 that says what', async (_, body, headers, message) => {
    const { post, executions } = host()
    const { status, error } = await post(await signed(body, headers))
    expect({ status, error }).toEqual({ status: 400, error: expect.stringContaining(message) })
    expect(executions.size).toBe(0)
  })

  it('names all fields that are wrong', async () => {
    const { error } = await host().post(await signed(text({ before: 7, after: 7 })))
    expect(error).toMatch(/before: .*; after: /)
  })
})

describe('what GitHub did not sign', () => {
  it('is refused before anything is parsed', async () => {
    const { post } = host()
    const unauthorised = { status: 401, error: 'The signature does not match.' }
    const request = await signed(text())
    const withSignature = (value: string | undefined) => ({
      ...request,
      headers: { ...request.headers, 'x-hub-signature-256': value },
    })
    const signature = request.headers['x-hub-signature-256'] ?? ''
    expect(await post(withSignature(undefined))).toEqual(unauthorised)
    expect(await post(withSignature(''))).toEqual(unauthorised)
    expect(await post(withSignature(signature.replace('sha256=', 'sha1=')))).toEqual(unauthorised)
    expect(await post(withSignature(signature.toUpperCase()))).toEqual(unauthorised)
    expect(await post(withSignature(`${signature},${signature}`))).toEqual(unauthorised)
    expect(await post({ ...request, body: request.body?.slice(0, -1) ?? '' })).toEqual(unauthorised)
    expect(await post({ headers: {}, isBase64Encoded: false })).toEqual(unauthorised)
    expect(await post(await signed('{', {}, 'another secret'))).toEqual(unauthorised)
    expect(await post(await signed('{', { 'x-github-event': 'ping' }, 'another secret'))).toEqual(unauthorised)
  })

  it('over 6 MB is refused before its signature is looked at', async () => {
    const body = 'x'.repeat(6 * 1024 * 1024 + 1)
    expect(await host(new Error()).post({ headers: {}, body, isBase64Encoded: false })).toMatchObject({ status: 413 })
    const fits = { headers: {}, body: body.slice(1), isBase64Encoded: false }
    expect(await host().post(fits)).toMatchObject({ status: 401 })
  })
})

describe('a rotation of the secret', () => {
  it('takes both secrets, and the old one no longer than it is kept', async () => {
    const request = await signed(text(), {}, 'old secret')
    expect(await host({ current: secret, previous: 'old secret' }).post(request)).toMatchObject({ status: 202 })
    expect(await host({ current: 'old secret', previous: secret }).post(request)).toMatchObject({ status: 202 })
    expect(await host({ current: secret }).post(request)).toMatchObject({ status: 401 })
  })
})

describe('an outage', () => {
  it('of Step Functions is a 503 without internals, and is not a success the next time', async () => {
    const outage = new Error('arn:aws:states:us-east-1:123456789012:stateMachine:fleet')
    const { post, logged } = host({ current: secret }, outage)
    const answer = await post(await signed(text()))
    expect(answer).toEqual({
      status: 503,
      error: 'The rollout could not be started. Redeliver this delivery later.',
    })
    expect(JSON.stringify(logged)).not.toContain('123456789012')
  })

  it('of the secrets is a 503, for signed and unsigned alike', async () => {
    const { post, logged } = host(new Error(`Unexpected token in ${secret}`))
    expect(await post(await signed(text()))).toMatchObject({ status: 503 })
    expect(await post({ headers: {}, isBase64Encoded: false })).toMatchObject({ status: 503 })
    expect(JSON.stringify(logged)).not.toContain(secret)
  })
})

it('logs neither body, signature nor secret', async () => {
  const { post, logged } = host()
  const request = await signed(text())
  await post(request)
  await post({ ...request, body: `${request.body} ` })
  await post(await signed('{"ref": "visible?"}'))
  const log = JSON.stringify(logged)
  expect(log).toContain(deliveryId)
  for (const hidden of [
    'visible?',
    'Widen the VPC',
    secret,
    'sha256=',
    request.headers['x-hub-signature-256']?.slice(7),
  ])
    expect(log).not.toContain(hidden)
})
