import * as z from 'zod'
import type { Clock } from '../clock.ts'
import type { Message, MessageChannel } from './message.ts'
import { NotifierRefused } from './notifier-error.ts'
import { patientFetch } from './patient-fetch.ts'

/**
 * The secret: `{"webhook": "https://hooks.slack.com/…"}`, the address of an incoming webhook, or `{"token": "xoxb-…"}`, that of a
 * bot with the scope `chat:write`.
 */
export const slackSecretSchema = z.union([
  z.object({ webhook: z.url({ protocol: /^https$/ }) }),
  z.object({ token: z.string().startsWith('xox') }),
])
export type SlackSecret = z.output<typeof slackSecretSchema>

export interface SlackOptions {
  readonly secret: () => Promise<SlackSecret>
  /** Where a bot writes. A webhook has a channel of its own. */
  readonly channel: string | undefined
  readonly clock: Clock
  /** Default: https://slack.com/api */
  readonly apiUrl?: string
}

/** Longest texts of blocks: https://docs.slack.dev/reference/block-kit/blocks/ */
const longestHeader = 150
const longestSection = 3_000

/** Writes to a channel of Slack. */
export class SlackMessages implements MessageChannel {
  readonly name = 'slack'
  private readonly options: SlackOptions

  constructor(options: SlackOptions) {
    this.options = options
  }

  async send(message: Message, giveUpAt: number): Promise<void> {
    const { clock, channel, apiUrl = 'https://slack.com/api' } = this.options
    const secret = await this.options.secret()
    const send = patientFetch({ clock, channel: 'Slack', giveUpAt: () => giveUpAt })
    const post = (url: string, body: object, headers = {}) =>
      send(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
        body: JSON.stringify(body),
      })
    if ('webhook' in secret) {
      const answer = await post(secret.webhook, slackMessage(message))
      if (!answer.ok) throw refused(await reasonIn(answer))
      return
    }
    if (channel === undefined) throw refused('a bot has no channel of its own')
    const body = { channel, unfurl_links: false, unfurl_media: false, ...slackMessage(message) }
    const answer = await post(`${apiUrl}/chat.postMessage`, body, { authorization: `Bearer ${secret.token}` })
    const { ok, error } = answerSchema.parse(await answer.json().catch(() => ({})))
    if (!ok) throw refused(error ?? `status ${answer.status}`)
  }
}

/** https://docs.slack.dev/reference/methods/chat.postMessage */
const answerSchema = z
  .object({ ok: z.boolean(), error: z.string().max(100).optional() })
  .catch({ ok: false, error: undefined })

/** A webhook answers `no_service` and the like: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
async function reasonIn(answer: Response): Promise<string> {
  const text = await answer.text().catch(() => '')
  return /^[a-z_]{1,60}$/.test(text) ? text : `status ${answer.status}`
}

const refused = (reason: string) =>
  new NotifierRefused(
    'Slack',
    reason,
    'Check the secret and the channel of notifications.slack in the fleet, and that the app is in that channel.',
  )

/**
 * Texts of others are in blocks of plain text, in which Slack reads no mentions, links or formatting. `text` is what a
 * notification of the desktop shows, and is escaped: https://docs.slack.dev/messaging/formatting-message-text
 */
export function slackMessage({ title, facts, next, link, urgency }: Message): object {
  const lines = facts.map(([label, text]) => `${label}: ${text}`)
  const header = urgency === 'attention' ? `⚠ ${title}` : title
  return {
    text: escaped(header),
    blocks: [
      { type: 'header', text: plain(header, longestHeader) },
      { type: 'section', text: plain([...lines, `Next: ${next}`].join('\n'), longestSection) },
      ...(link === undefined ? [] : [{ type: 'context', elements: [{ type: 'mrkdwn', text: linkText(link) }] }]),
    ],
  }
}

const plain = (text: string, longest: number) => ({
  ...{ type: 'plain_text', emoji: false },
  text: text.length > longest ? `${text.slice(0, longest - 1)}…`.toWellFormed() : text,
})

const linkText = (link: string) => `<${escaped(link).replaceAll('|', '%7C')}|Execution>`

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
