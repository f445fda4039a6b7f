import { readFileSync } from 'node:fs'
import { sign } from '@octokit/webhooks-methods'
import type { WebhookRequest } from '../../../functions/webhook/delivery.ts'

/** A push event as GitHub sends it: no spaces, and far more fields than anyone reads. */
export function pushPayload(): Record<string, unknown> {
  return JSON.parse(readFileSync(new URL('../../fixtures/github/push.json', import.meta.url), 'utf8'))
}

export const secret = 'a-secret-of-these-tests'
export const deliveryId = '2f6f7b10-ea13-11f0-9c0b-3f1d2a5b7c9e'

/** A request as API Gateway passes it on, signed by a library that is not the one under test. */
export async function signed(
  body: string,
  headers: Record<string, string | undefined> = {},
  key = secret,
): Promise<WebhookRequest> {
  return {
    headers: {
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/0a1b2c3',
      'x-github-delivery': deliveryId,
      'x-github-event': 'push',
      'x-hub-signature-256': await sign(key, body),
      ...headers,
    },
    body,
    isBase64Encoded: false,
  }
}
