import type { IncomingMessage } from 'node:http'
import * as z from 'zod'
import type { ApproveRequest, ApproveResponse } from '../../functions/approve/approve.ts'
import { decisions } from '../../functions/lib/approval/approval.ts'
import { oneLine } from '../../functions/lib/locks/evidence/one-line.ts'
import { type Answer, headersOf, isRead, json, Refused, readBody } from './http-answer.ts'
import type { ApprovalViews } from './views/approval-view.ts'
import type { UnlockRuns } from './views/unlock-run-view.ts'

export interface UnlockRoutes {
  readonly approvals: ApprovalViews
  readonly unlockRuns: UnlockRuns
  /** The page behind a signed link. */
  readonly approve: (request: ApproveRequest) => Promise<ApproveResponse>
}

/** A signed link is for whoever has it, as on AWS: the page looks after itself. */
export async function approvePage(request: IncomingMessage, token: string, routes: UnlockRoutes): Promise<Answer> {
  const body = isRead(request) ? undefined : (await readBody(request)).toString('base64')
  const { statusCode, ...answer } = await routes.approve({
    ...{ method: request.method ?? '', token, headers: headersOf(request), isBase64Encoded: true },
    ...(body !== undefined && { body }),
  })
  return { status: statusCode, ...answer }
}

const decisionSchema = z.object({
  as: z.string().min(1),
  decision: z.enum(decisions),
  /** What was shown. */
  judged: z.string(),
  reason: z.string().max(300).optional(),
})

/** `GET /api/approvals` and `POST /api/approvals/<id>`: whoever sits here may decide as anybody. */
export async function approvalRoute(
  request: IncomingMessage,
  names: readonly string[],
  { approvals }: UnlockRoutes,
  time: object,
): Promise<Answer> {
  const [approval, ...more] = names
  if (more.length > 0) throw new Refused(404, 'There is nothing here.')
  if (approval === undefined) {
    if (!isRead(request)) throw new Refused(405, 'The list can only be read.')
    return json(200, { ...time, approvals: await approvals.list() })
  }
  if (request.method !== 'POST') throw new Refused(405, 'An approval is decided by POST.')
  const { as: by, reason = '', ...asked } = await bodyOf(request, decisionSchema)
  const why = oneLine(reason)
  const made = await approvals.decide({ approval, by, ...asked, ...(why !== '' && { reason: why }) })
  if ('rule' in made) throw new Refused(409, `Nothing was decided: ${made.why}.`)
  return json(200, { ...time, approval: made })
}

const requestSchema = z.object({ by: z.string().max(100).optional(), reason: z.string().max(300).optional() })

/** `POST /api/locks/<key>/unlock`: starts a guarded unlock, unless one is under way. */
export async function startUnlock(
  request: IncomingMessage,
  key: string,
  { unlockRuns, person }: UnlockRoutes & { readonly person: string },
): Promise<Answer> {
  const { by, reason } = await bodyOf(request, requestSchema)
  const requestedBy = oneLine(by ?? '') || person
  const why = oneLine(reason ?? '') || 'no reason was given'
  return json(202, await unlockRuns.start({ key, requestedBy, reason: why }))
}

/** `GET /api/unlocks/<unlock>`: how far it is. */
export async function unlockRoute(
  request: IncomingMessage,
  names: readonly string[],
  { unlockRuns }: UnlockRoutes,
  time: object,
): Promise<Answer> {
  const [unlock, ...more] = names
  if (!isRead(request)) throw new Refused(405, 'An unlock can only be read.')
  const view = unlock === undefined || more.length > 0 ? undefined : await unlockRuns.get(unlock)
  if (!view) throw new Refused(404, 'There is no such unlock.')
  return json(200, { ...time, unlock: view })
}

async function bodyOf<T>(request: IncomingMessage, schema: z.ZodType<T>): Promise<T> {
  const text = (await readBody(request)).toString('utf8')
  const parsed = schema.safeParse(text === '' ? {} : jsonOf(text))
  if (parsed.success) return parsed.data
  const fields = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the body'}: ${message}`)
  throw new Refused(400, `That is not understood: ${fields.join('; ')}.`)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Refused(400, 'The body is no JSON.')
  }
}
