import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { Approver } from '../../fleet.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import { type Rung, rungs } from '../plan/rung.ts'

const time = z.number()

export const decisions = ['approve', 'deny'] as const

export const decisionSchema = z.object({
  /** An approver's name, as the fleet writes it. */
  by: z.string().min(1),
  decision: z.enum(decisions),
  at: time,
  reason: z.string().optional(),
})
export type Decision = z.infer<typeof decisionSchema>

export const closings = ['approved', 'denied', 'changed', 'expired', 'gone'] as const

/**
 * What people are asked to agree to: one unlock of one lock, as it was judged. Times are in milliseconds since the
 * epoch. `token` is a secret, and is shown to nobody: whoever has it can answer in the people's place.
 */
export const approvalSchema = z.object({
  unlock: z.string().min(1),
  cluster: z.string(),
  /** Of the lock: see `placeKey`. */
  place: z.string(),
  /** `Terraform/flux-system/vpc` */
  object: z.string(),
  /** The ID of the lock. */
  lock: z.string(),
  /** Counts the writes: every write is conditional on it. */
  version: z.number().int(),
  /** How many people have to agree. */
  needed: z.number().int().min(1),
  requestedBy: z.string(),
  reason: z.string(),
  askedAt: time,
  expiresAt: time,
  rung: z.enum(rungs),
  /** The `fingerprintOf` what people are shown: decisions count for nothing else. */
  judged: z.string(),
  /** What the unlock would do, a line an entry, as it was when people were asked. Empty once it is closed. */
  plan: z.array(z.string()),
  /** Of the task that waits. Not there any more once it is closed. */
  token: z.string().optional(),
  decisions: z.array(decisionSchema),
  /** The task that waited has its answer, or waits no more. */
  closed: z.object({ how: z.enum(closings), at: time }).optional(),
})
export type Approval = z.infer<typeof approvalSchema>
export type Closing = (typeof closings)[number]

/** Why a decision does not count. */
export interface NotDecided {
  readonly outcome: 'not-decided'
  readonly rule: 'over' | 'expired' | 'not-an-approver' | 'requester' | 'repeated'
  readonly why: string
}

/**
 * The approval with one more decision, or why it does not count: only people of the fleet decide, each of them once,
 * and whoever asked for the unlock does not. One who denies ends it.
 */
export function decide(
  approval: Approval,
  { by, decision, at, reason }: Decision,
  people: readonly Approver[],
): Approval | NotDecided {
  const over = approval.closed?.how ?? outcomeOf(approval)
  if (over !== 'open') return notDecided('over', whyOver[over])
  if (at >= approval.expiresAt) return notDecided('expired', 'the time to decide is over')
  const person = people.find(({ name }) => isSame(name, by))
  if (!person) return notDecided('not-an-approver', `${by} is not among the approvers of the fleet`)
  if (isRequester(person, approval.requestedBy))
    return notDecided('requester', `${person.name} asked for this unlock, and somebody else has to agree to it`)
  const { name } = person
  const earlier = decisionBy(name, approval)
  if (earlier)
    return notDecided('repeated', `${name} has ${earlier.decision === 'approve' ? 'approved' : 'denied'} it already`)
  const made = { by: name, decision, at, ...(reason !== undefined && { reason }) }
  return { ...approval, version: approval.version + 1, decisions: [...approval.decisions, made] }
}

const whyOver: Readonly<Record<Closing, string>> = {
  approved: 'it is approved',
  denied: 'it is denied',
  changed: 'the lock is not what people were asked about any more',
  expired: 'the time to decide is over',
  gone: 'the unlock does not wait for people any more',
}

/** What people have decided so far. */
export function outcomeOf({ needed, decisions }: Approval): 'open' | 'approved' | 'denied' {
  if (decisions.some(({ decision }) => decision === 'deny')) return 'denied'
  return new Set(decisions.map(({ by }) => folded(by))).size >= needed ? 'approved' : 'open'
}

export function decisionBy(name: string, { decisions }: Approval): Decision | undefined {
  return decisions.find(({ by }) => isSame(by, name))
}

/** Those who may decide about an unlock that somebody asked for. */
export function approversOf(requestedBy: string, people: readonly Approver[]): Approver[] {
  return people.filter((person) => !isRequester(person, requestedBy))
}

/** The same person by name or address: approving what one has asked for is no second pair of eyes. */
function isRequester({ name, email }: Approver, requestedBy: string): boolean {
  return isSame(name, requestedBy) || (email !== undefined && isSame(email, requestedBy))
}

function isSame(a: string, b: string): boolean {
  return folded(a) === folded(b)
}

function folded(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase()
}

function notDecided(rule: NotDecided['rule'], why: string): NotDecided {
  return { outcome: 'not-decided', rule, why }
}

/**
 * One text for what people agree to: this lock in these places, judged by this rule, unlocked by this rung. A lock that
 * was released and taken again has another one.
 */
export function fingerprintOf({ key, evidence, judgement }: Observation, rung: Rung): string {
  const { parts, record } = evidence.lock
  const places = parts.map(({ address, version }) => [address, version ?? null]).sort()
  const judged = [key, evidence.owner?.object ?? null, record?.id ?? null, places, judgement.rule, rung]
  return createHash('sha256').update(JSON.stringify(judged)).digest('hex')
}
