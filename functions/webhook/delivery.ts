import * as z from 'zod'
import type { Fleet, FleetRepository } from '../lib/fleet.ts'
import { type Push, pushSchema } from '../lib/push.ts'
import { isSignedBy, type Secrets } from '../lib/rotating-secret.ts'

/** The parts of an HTTP request that count: API Gateway's payload format 2.0, or any server's. */
export interface WebhookRequest {
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body?: string
  readonly isBase64Encoded: boolean
}

/** A request as received: nothing in it is to be believed before `isSigned`. */
export interface Delivery {
  readonly header: (name: string) => string | undefined
  /** Exactly the bytes that were sent: what GitHub signed. */
  readonly body: Buffer
}

/** What the webhook knows of the fleet: a Fleet is one. */
export type Repositories = Pick<Fleet, 'repositories'>

export type Decision =
  | { readonly kind: 'start'; readonly push: Push }
  /** It is none of ours, and that is fine. */
  | { readonly kind: 'ignore'; readonly reason: string }
  | { readonly kind: 'pong' }
  | { readonly kind: 'malformed'; readonly reason: string }

/** Lambda takes no larger request. GitHub sends up to 25 MB, but a push of a few commits is some kilobytes. */
export const largestBody = 6 * 1024 * 1024

export function deliveryOf(request: WebhookRequest): Delivery {
  const headers = new Map(Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]))
  return {
    header: (name) => headers.get(name.toLowerCase()),
    body: Buffer.from(request.body ?? '', request.isBase64Encoded ? 'base64' : 'utf8'),
  }
}

/**
 * Whether GitHub signed these bytes with one of the secrets. Works on bytes, not on text: decoding would make
 * different bodies equal.
 */
export function isSigned(delivery: Delivery, secrets: Secrets): boolean {
  const hex = /^sha256=([0-9a-f]{64})$/.exec(delivery.header('X-Hub-Signature-256') ?? '')?.[1]
  return hex !== undefined && isSignedBy(delivery.body, Buffer.from(hex, 'hex'), secrets)
}

/** What to do with a signed delivery. Never throws: what cannot be read is `malformed`, with the field's name. */
export function decide(delivery: Delivery, fleet: Repositories): Decision {
  const event = delivery.header('X-GitHub-Event')
  if (event === undefined) return { kind: 'malformed', reason: 'The header X-GitHub-Event is missing.' }
  if (event === 'ping') return { kind: 'pong' }
  if (event !== 'push') return { kind: 'ignore', reason: 'Only push events start a rollout.' }

  const id = pushSchema.shape.delivery.safeParse(delivery.header('X-GitHub-Delivery'))
  if (!id.success) return { kind: 'malformed', reason: 'The header X-GitHub-Delivery is missing or is not a UUID.' }

  const json = jsonOf(delivery)
  if (json === undefined) return { kind: 'malformed', reason: 'The body is not a JSON payload in UTF-8.' }
  const payload = payloadSchema.safeParse(json)
  if (!payload.success) return { kind: 'malformed', reason: `The payload is not a push: ${fieldsOf(payload.error)}.` }
  return decidePush(payload.data, id.data, fleet)
}

/** The payload, which GitHub sends as JSON or as a form's field, by the webhook's setting. */
function jsonOf({ header, body }: Delivery): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    const isForm = header('Content-Type')?.toLowerCase().startsWith('application/x-www-form-urlencoded')
    return JSON.parse(isForm ? (new URLSearchParams(text).get('payload') ?? '') : text)
  } catch {
    return undefined
  }
}

// A push event tells the time in seconds; other parts of GitHub's API in ISO 8601.
const time = z.union(
  [
    z
      .int()
      .positive()
      .max(99_999_999_999)
      .transform((seconds) => seconds * 1_000),
    z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)),
  ],
  'expected seconds since the epoch or an ISO 8601 time',
)

/** What is read of GitHub's push event. All of it, and nothing else, ends up in a Push. */
const payloadSchema = z.object({
  ref: z.string(),
  before: pushSchema.shape.before,
  after: pushSchema.shape.after,
  repository: z.object({ full_name: z.string().min(1), html_url: z.url(), pushed_at: time }),
  pusher: z.object({ name: z.string().min(1) }),
})

const fieldsOf = (error: z.ZodError) =>
  error.issues.map(({ path, message }) => `${path.join('.') || 'the body'}: ${message}`).join('; ')

const branchPrefix = 'refs/heads/'

function decidePush(payload: z.output<typeof payloadSchema>, delivery: string, fleet: Repositories): Decision {
  const { ref, before, after, repository, pusher } = payload
  if (!ref.startsWith(branchPrefix)) return { kind: 'ignore', reason: 'Only branches are rolled out, no tags.' }
  if (/^0+$/.test(after)) return { kind: 'ignore', reason: 'The branch was deleted.' }

  const ours = findRepository(fleet, repository.full_name, new URL(repository.html_url).hostname)
  if (!ours) return { kind: 'ignore', reason: 'The repository is not in the fleet.' }
  const branch = ref.slice(branchPrefix.length)
  if (!ours.branches.includes(branch)) return { kind: 'ignore', reason: 'The branch is not in the fleet.' }

  const push: Push = {
    repository: { name: ours.name, host: ours.host },
    branch,
    before,
    after,
    pushedAt: repository.pushed_at,
    pusher: printable(pusher.name),
    delivery,
  }
  return { kind: 'start', push }
}

/** GitHub does not tell names apart by case, and a URL's host name is in lower case. */
function findRepository({ repositories }: Repositories, name: string, host: string): FleetRepository | undefined {
  return repositories.find((each) => each.name.toLowerCase() === name.toLowerCase() && each.host === host)
}

/** A name that cannot play tricks on a terminal, and is no reason to lose a push. */
const printable = (name: string) => name.replace(/\p{C}/gu, '?').slice(0, 100).toWellFormed()
