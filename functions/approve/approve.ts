import * as z from 'zod'
import { type Approval, decide, decisions } from '../lib/approval/approval.ts'
import { type ApprovalLink, readLink } from '../lib/approval/approval-link.ts'
import { peopleFor } from '../lib/approval/people.ts'
import { type DecisionPorts, doubtText, recordDecision } from '../lib/approval/record-decision.ts'
import { stillAsked } from '../lib/approval/still-asked.ts'
import { oneLine } from '../lib/locks/evidence/one-line.ts'
import { type Explanation, explain } from '../lib/locks/explain.ts'
import type { Observation } from '../lib/locks/scan/observation.ts'
import type { Secrets } from '../lib/rotating-secret.ts'
import { stillJudged } from '../lib/unlock/approval/still-judged.ts'
import { noticePage, type Viewer } from './page.ts'
import { planPage } from './plan-page.ts'
import { styleSource } from './style.ts'
import { unlockPage } from './unlock-page.ts'
import { wavePage } from './wave-page.ts'

export interface ApproveRequest {
  readonly method: string
  /** The last part of the address. */
  readonly token: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body?: string
  readonly isBase64Encoded: boolean
}

export interface ApproveResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface ApprovePorts extends DecisionPorts {
  /** Links are signed with it. Rejects where it cannot be read now. */
  readonly linkSecrets: () => Promise<Secrets>
}

/**
 * The page behind a link. GET and HEAD show it and change nothing, however often mail programs and previews look at it;
 * POST decides, once for each person. Never rejects.
 */
export function approve(ports: ApprovePorts): (request: ApproveRequest) => Promise<ApproveResponse> {
  return async (request) => {
    try {
      return await answerTo(request, ports)
    } catch (error) {
      // Only its name: a message may quote what a link is made of.
      ports.log.warn('an approval page failed', { error: error instanceof Error ? error.name : 'unknown' })
      return notice(503, 'Not now', 'This cannot be told now. Open the link again in a while.')
    }
  }
}

async function answerTo(request: ApproveRequest, ports: ApprovePorts): Promise<ApproveResponse> {
  const { method, token } = request
  const isRead = method === 'GET' || method === 'HEAD'
  if (!isRead && method !== 'POST')
    return {
      ...notice(405, 'Not like this', 'This page takes GET and POST.'),
      headers: { ...headers, allow: 'GET, HEAD, POST' },
    }
  const link = readLink(token, await ports.linkSecrets(), ports.clock.now())
  if (link === 'invalid') return notice(404, 'No such link', 'It is not complete, or not one of ours.')
  if (link === 'expired')
    return notice(410, 'Too late', 'The time to decide is over. Nothing was changed by this link.')
  return isRead ? show(link, ports) : act(link, request, ports)
}

async function show(link: ApprovalLink, ports: ApprovePorts, said?: string): Promise<ApproveResponse> {
  const { ledger, fleet, clock } = ports
  const approval = await ledger.readApproval(link.approval)
  if (approval?.judged !== link.judged)
    return notice(
      410,
      'Not any more',
      `The ${asks[approval?.kind ?? 'unlock']} is not what this link was about. Who still has to decide got a new one.`,
    )
  const observation = approval.kind === 'unlock' ? await ledger.readObservation(approval.place) : undefined
  const explanation = observation && explain(observation, { limits: fleet.locks, now: clock.now() })
  const whyNot = said ?? whyNotNow(approval, link, ports) ?? (await doubtAbout(approval, observation, ports))
  return page(said === undefined ? 200 : 409, pageFor(approval, { approver: link.approver, whyNot }, explanation))
}

const asks: Readonly<Record<Approval['kind'], string>> = { unlock: 'lock', plan: 'plan', wave: 'wave' }

/** Of a lock by the very observation that the page shows. */
async function doubtAbout(
  approval: Approval,
  observation: Observation | undefined,
  ports: ApprovePorts,
): Promise<string | undefined> {
  const still =
    approval.kind === 'unlock' ? stillJudged(approval, observation, ports.fleet) : await stillAsked(approval, ports)
  if (still === 'same') return undefined
  const doubt = doubtText(approval.kind, still)
  return still === 'unknown' ? `${doubt}: open this page again in a while` : doubt
}

function pageFor(approval: Approval, viewer: Viewer, explanation: Explanation | undefined): string {
  switch (approval.kind) {
    case 'unlock':
      return unlockPage(approval, viewer, explanation)
    case 'plan':
      return planPage(approval, viewer)
    case 'wave':
      return wavePage(approval, viewer)
  }
}

function whyNotNow(approval: Approval, { approver }: ApprovalLink, { clock, fleet }: ApprovePorts): string | undefined {
  const next = decide(approval, { by: approver, decision: 'approve', at: clock.now() }, peopleFor(approval.kind, fleet))
  return 'outcome' in next ? next.why : undefined
}

const formSchema = z.object({
  decision: z.enum(decisions),
  reason: z
    .string()
    .max(300)
    .transform((text) => oneLine(text) || undefined)
    .optional(),
})

/** A form of two short fields. */
const largestBody = 4_096

async function act(link: ApprovalLink, request: ApproveRequest, ports: ApprovePorts): Promise<ApproveResponse> {
  const body = Buffer.from(request.body ?? '', request.isBase64Encoded ? 'base64' : 'utf8')
  if (body.byteLength > largestBody)
    return notice(413, 'Too much', 'Nothing was decided: that is more than the form has.')
  const form = formSchema.safeParse(Object.fromEntries(new URLSearchParams(body.toString('utf8'))))
  if (!form.success)
    return notice(400, 'Not understood', 'Nothing was decided. Open the link again, and press a button.')
  const { approval, approver: by, judged } = link
  const { decision, reason } = form.data
  const made = await recordDecision({ approval, judged, by, decision, ...(reason !== undefined && { reason }) }, ports)
  if ('outcome' in made) return show(link, ports, made.why)
  // Loading the page again must not send the form again.
  return { statusCode: 303, headers: { ...headers, location: request.token }, body: '' }
}

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src ${styleSource}; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'cache-control': 'no-store',
  // The address is the key to this page.
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex, nofollow',
}

function page(statusCode: number, body: string): ApproveResponse {
  return { statusCode, headers, body }
}

function notice(statusCode: number, title: string, text: string): ApproveResponse {
  return page(statusCode, noticePage(title, text))
}
