import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import * as z from 'zod'
import type { Message } from '../../../functions/lib/notify/message.ts'
import { SlackMessages, type SlackSecret, slackSecretSchema } from '../../../functions/lib/notify/slack-messages.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { type ScriptedServer, startScriptedServer } from '../../fixtures/scripted-server.ts'

/** https://docs.slack.dev/reference/block-kit/blocks/, as far as it is used. */
const blocks = z.tuple([
  z.strictObject({
    type: z.literal('header'),
    text: z.strictObject({ type: z.literal('plain_text'), text: z.string().max(150), emoji: z.boolean() }),
  }),
  z.strictObject({
    type: z.literal('section'),
    text: z.strictObject({ type: z.literal('plain_text'), text: z.string().max(3_000), emoji: z.boolean() }),
  }),
  z.strictObject({
    type: z.literal('context'),
    elements: z.array(z.strictObject({ type: z.literal('mrkdwn'), text: z.string() })).max(10),
  }),
])
const webhookBody = z.strictObject({ text: z.string(), blocks })
const postBody = webhookBody.extend({
  channel: z.string(),
  unfurl_links: z.literal(false),
  unfurl_media: z.literal(false),
})

const message: Message = {
  ...{
    id: 'e1',
    type: 'Rollout Held',
    cluster: 'staging',
    urgency: 'attention',
    title: 'Rollout to <staging> is held',
  },
  facts: [['Since', '2026-03-02T10:00:00Z']],
  next: 'Correct it.',
  link: 'https://console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/arn:a&b',
}
const path = '/services/T000/B000/hidden'
const token = 'xoxb-hidden'

let server: ScriptedServer
let clock: VirtualClock
beforeEach(async () => {
  clock = new VirtualClock(0)
  server = await startScriptedServer(({ path: asked }) =>
    asked === path ? { status: 200, body: 'ok' } : { status: 200, body: { ok: true, ts: '1.2' } },
  )
})
afterEach(async () => {
  clock.stop()
  await server.close()
})

const send = (how: 'webhook' | 'bot', channel: string | undefined = 'C1') => {
  const secret: SlackSecret = how === 'bot' ? { token } : { webhook: `${server.url}${path}` }
  const slack = new SlackMessages({ secret: async () => secret, channel, clock, apiUrl: `${server.url}/api` })
  return slack.send(message, clock.now() + 30_000)
}

describe('a message to Slack', () => {
  test('goes to an incoming webhook', async () => {
    await send('webhook')
    const [request] = server.requests
    expect(request).toMatchObject({
      method: 'POST',
      path,
      headers: { 'content-type': expect.stringContaining('json') },
    })
    expect(request?.headers).not.toHaveProperty('authorization')
    const body = webhookBody.parse(request?.body)
    expect(body.text).toBe('⚠ Rollout to &lt;staging&gt; is held')
    expect(body.blocks[1].text.text).toBe('Since: 2026-03-02T10:00:00Z\nNext: Correct it.')
    expect(body.blocks[2].elements[0]?.text).toBe(`<${message.link?.replace('&', '&amp;')}|Execution>`)
  })

  test('is posted by a bot', async () => {
    await send('bot')
    expect(server.requests[0]).toMatchObject({
      ...{ method: 'POST', path: '/api/chat.postMessage' },
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json; charset=utf-8' },
    })
    expect(postBody.parse(server.requests[0]?.body).channel).toBe('C1')
  })

  test('waits as long as Slack says, and as long as it must after a 5xx or a connection that broke', async () => {
    server.answers.push({ status: 429, headers: { 'retry-after': '7' } }, { status: 503 }, 'cut')
    await send('webhook')
    expect(server.requests).toHaveLength(4)
    expect(clock.now()).toBe(7_000 + 2_000 + 5_000)
  })

  test('is given up after four tries', async () => {
    for (let times = 0; times < 9; times++) server.answers.push({ status: 502 })
    await expect(send('bot')).rejects.toMatchObject({ name: 'NotifierUnavailable' })
    expect(server.requests).toHaveLength(4)
  })

  test('is given up where Slack wants more time than there is', async () => {
    server.answers.push({ status: 429, headers: { 'retry-after': '31' } })
    await expect(send('webhook')).rejects.toThrow(/Slack did not take a notification \(status 429\)/)
    expect(clock.now()).toBe(0)
  })

  test.each([
    ['webhook', { status: 404, body: 'no_service' }, /no_service/],
    ['webhook', { status: 400, body: '<html>hidden</html>' }, /status 400/],
    ['bot', { status: 200, body: { ok: false, error: 'channel_not_found' } }, /channel_not_found/],
    ['bot', { status: 200, body: 'hidden' }, /status 200/],
  ] as const)('that is refused says why, and nothing of a secret (%s, %j)', async (how, answer, why) => {
    server.answers.push(answer)
    const error: Error = (await send(how).catch((error: Error) => error)) as Error
    expect(error).toMatchObject({ name: 'NotifierRefused', message: expect.stringMatching(why) })
    expect(error.message).not.toContain('hidden')
    expect(server.requests).toHaveLength(1)
  })

  test('of a bot needs a channel', async () => {
    const slack = new SlackMessages({ secret: async () => ({ token }), channel: undefined, clock })
    await expect(slack.send(message, 1)).rejects.toThrow(/has no channel/)
  })

  test('is not sent after a redirect, to wherever that leads', async () => {
    server.answers.push({ status: 302, headers: { location: `${server.url}/elsewhere` } })
    await send('webhook')
    expect(server.requests.map((request) => request.path)).toEqual([path, path])
  })
})

test('the secret is an address over TLS, or a token of Slack', () => {
  expect(slackSecretSchema.safeParse({ webhook: 'https://hooks.slack.com/services/a' }).success).toBe(true)
  expect(slackSecretSchema.safeParse({ token: 'xoxb-1' }).success).toBe(true)
  expect(slackSecretSchema.safeParse({ webhook: 'http://hooks.slack.com/services/a' }).success).toBe(false)
  expect(slackSecretSchema.safeParse({ token: 'ghp_1' }).success).toBe(false)
})
