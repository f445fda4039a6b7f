import type { Log } from '../lib/log.ts'
import type { Push } from '../lib/push.ts'
import type { Secrets } from '../lib/rotating-secret.ts'
import {
  type Decision,
  decide,
  deliveryOf,
  isSigned,
  largestBody,
  type Repositories,
  type WebhookRequest,
} from './delivery.ts'

export interface WebhookPorts {
  readonly fleet: Repositories
  /** Rejects where the secrets cannot be read now. */
  readonly secrets: () => Promise<Secrets>
  /**
   * Starts the fleet's state machine under that name. `exists` where an execution of the name was started before,
   * whatever became of it. Rejects where none was started.
   */
  readonly start: (name: string, input: Push) => Promise<'started' | 'exists'>
  readonly log: Log
}

export interface WebhookResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON: `execution`, `reason` or `error`. */
  readonly body: string
}

/**
 * The GitHub webhook. GitHub shows any answer but 2xx as a failed delivery, which a person can redeliver: so 5xx is
 * for what may pass, and 202 for what is none of ours. Never rejects.
 */
export function webhook(ports: WebhookPorts): (request: WebhookRequest) => Promise<WebhookResponse> {
  return async (request) => {
    const delivery = deliveryOf(request)
    if (delivery.body.byteLength > largestBody) return answer(413, { error: 'The body is larger than 6 MB.' })

    const secrets = await attempt(ports.secrets)
    if ('error' in secrets) {
      ports.log.warn('the webhook secrets cannot be read', { error: secrets.error })
      return answer(503, { error: 'The signature cannot be checked now. Redeliver this delivery later.' })
    }
    if (!isSigned(delivery, secrets.value)) {
      ports.log.info('refused an unsigned delivery')
      return answer(401, { error: 'The signature does not match.' })
    }
    return carryOut(decide(delivery, ports.fleet), ports)
  }
}

async function carryOut(decision: Decision, { start, log }: WebhookPorts): Promise<WebhookResponse> {
  switch (decision.kind) {
    case 'pong':
      return answer(200, { reason: 'pong' })
    case 'malformed':
      log.warn('refused a malformed delivery', { reason: decision.reason })
      return answer(400, { error: decision.reason })
    case 'ignore':
      log.info('ignored a delivery', { reason: decision.reason })
      return answer(202, { reason: decision.reason })
  }

  const { push } = decision
  const started = await attempt(() => start(push.delivery, push))
  const fields = { execution: push.delivery, repository: push.repository.name, branch: push.branch, after: push.after }
  if ('error' in started) {
    log.warn('a rollout could not be started', { ...fields, error: started.error })
    return answer(503, { error: 'The rollout could not be started. Redeliver this delivery later.' })
  }
  log.info('a push was received', { ...fields, outcome: started.value })
  if (started.value === 'exists') return answer(200, { execution: push.delivery, reason: 'It was started before.' })
  return answer(202, { execution: push.delivery })
}

/** Only the name of what went wrong: the message of a parser or of AWS may quote a secret or an account. */
async function attempt<T>(action: () => Promise<T>): Promise<{ value: T } | { error: string }> {
  try {
    return { value: await action() }
  } catch (error) {
    return { error: error instanceof Error ? error.name : 'unknown' }
  }
}

function answer(statusCode: number, body: Readonly<Record<string, string>>): WebhookResponse {
  return { statusCode, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}
