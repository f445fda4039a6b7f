import { createHmac, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as z from 'zod'
import { LockstepError } from '../../functions/lib/errors.ts'

/** A push payload as GitHub would send it. */
export interface PushFile {
  readonly body: string
  /** The branch's commit before the push, where the payload says it. */
  readonly before: string | undefined
}

/** The file is not there, or is no JSON object. What is in it is for the webhook to judge. */
export class PushFileUnreadable extends LockstepError {
  constructor(file: string, why: string) {
    super('PushFileUnreadable', `${file} ${why}.`, 'Give the payload of a GitHub push event in JSON with --push.')
  }
}

/** Throws PushFileUnreadable. */
export function readPushFile(file: string): PushFile {
  const body = read(file)
  const payload = parse(file, body)
  return { body, before: payload.before }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'unknown error'
    throw new PushFileUnreadable(file, `cannot be read (${code})`)
  }
}

const payloadSchema = z.looseObject({
  before: z
    .string()
    .regex(/^[0-9a-f]+$/)
    .optional()
    .catch(undefined),
})

function parse(file: string, text: string): z.output<typeof payloadSchema> {
  try {
    return payloadSchema.parse(JSON.parse(text))
  } catch {
    throw new PushFileUnreadable(file, 'is no JSON object')
  }
}

/** What the webhook answered. */
export interface DeliveryAnswer {
  readonly status: number
  /** Name of the fleet's execution, where the push has one. */
  readonly execution?: string | undefined
  /** Why there is none. */
  readonly reason?: string | undefined
}

const answerSchema = z.object({
  execution: z.string().optional(),
  reason: z.string().optional(),
  error: z.string().optional(),
})

/**
 * Delivers a payload to a webhook as GitHub does, signed:
 * https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
 */
export async function deliverPush(url: string, body: string, secret: string): Promise<DeliveryAnswer> {
  const signature = createHmac('sha256', secret).update(body).digest('hex')
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/local',
      'x-github-event': 'push',
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': `sha256=${signature}`,
    },
    body,
  })
  const { execution, reason, error } = answerSchema.catch({}).parse(await response.json())
  return { status: response.status, execution, reason: reason ?? error }
}
