import * as z from 'zod'
import type { Approver } from '../fleet.ts'
import { shownPlanSchema } from '../plans/shown-plan.ts'
import { pushSchema, unknownPusher } from '../push.ts'
import { rungs } from '../unlock/plan/rung.ts'

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

/**
 * - `approved`, `denied`: by people.
 * - `changed`: it is not what people were asked about any more.
 * - `expired`: too few have decided in time.
 * - `gone`: the task waits for no answer any more.
 * - `ended`: so does its execution, which is over.
 * - `stopped`: a person has stopped that execution.
 */
export const closings = ['approved', 'denied', 'changed', 'expired', 'gone', 'ended', 'stopped'] as const

const askedSchema = z.object({
  /** Of an unlock its execution's name; of a plan see `planApprovalId`; of a wave see `waveApprovalId`. */
  id: z.string().min(1),
  /** Counts the writes: every write is conditional on it. */
  version: z.number().int(),
  /** How many people have to agree. */
  needed: z.number().int().min(1),
  requestedBy: z.string(),
  reason: z.string(),
  askedAt: time,
  expiresAt: time,
  /** A fingerprint of what people are shown: decisions count for nothing else. */
  judged: z.string(),
  /** Of the task that waits. Not there any more once it is closed. */
  token: z.string().optional(),
  decisions: z.array(decisionSchema),
  /** The task that waited has its answer, or waits no more. */
  closed: z.object({ how: z.enum(closings), at: time }).optional(),
})

/** One unlock of one lock, as it was judged. */
const unlockApprovalSchema = askedSchema.extend({
  kind: z.literal('unlock'),
  cluster: z.string(),
  /** Of the lock: see `placeKey`. */
  place: z.string(),
  /** `Terraform/flux-system/vpc` */
  object: z.string(),
  /** The ID of the lock. */
  lock: z.string(),
  rung: z.enum(rungs),
  /** What the unlock would do, a line an entry, as it was when people were asked. Empty once it is closed. */
  plan: z.array(z.string()),
})

/** One plan of one Terraform object, which the rollout of a push waits for. */
const planApprovalSchema = askedSchema.extend({
  kind: z.literal('plan'),
  cluster: z.string(),
  rollout: z.string(),
  /** `Terraform/flux-system/vpc` */
  object: z.string(),
  /** The object's UID. */
  uid: z.string(),
  /** What `spec.approvePlan` has to be for the plan to be applied: `plan-main-c1139c7fe7`. */
  plan: z.string(),
  /** When it was made, as the object says it: RFC 3339. */
  plannedAt: z.string(),
  /** Of the branch and commit that it was made for. */
  commit: z.string(),
  /** Key of the Kustomization whose manifest sets `spec.approvePlan`, where one does. */
  ownedBy: z.string().optional(),
  /** Without secrets. Not there any more once it is closed. */
  shown: shownPlanSchema.optional(),
  /** Everybody has been sent a link. */
  told: z.boolean().optional(),
  /** What people decided has been carried out. */
  carriedOut: z.boolean().optional(),
})

/** A wave of clusters that the fleet asks about before a push reaches it. */
const waveApprovalSchema = askedSchema.extend({
  kind: z.literal('wave'),
  /** ARN of the execution of the fleet's state machine that asks. */
  execution: z.string(),
  push: pushSchema,
  /** See `branchOf`. */
  branch: z.string(),
  commit: z.string(),
  /** Counts from 1. */
  wave: z.number().int().min(1),
  waves: z.number().int().min(1),
  /** Some of them; `clusterCount` is how many they are. */
  clusters: z.array(z.string()),
  clusterCount: z.number().int(),
  /** What became of the clusters of the waves before. */
  before: z.object({ succeeded: z.number().int(), failed: z.number().int(), other: z.number().int() }),
})

/**
 * What people are asked to agree to. Times are in milliseconds since the epoch. `token` is a secret, and is shown to
 * nobody: whoever has it can answer in the people's place.
 */
export const approvalSchema = z.discriminatedUnion('kind', [
  unlockApprovalSchema,
  planApprovalSchema,
  waveApprovalSchema,
])
export type Approval = z.infer<typeof approvalSchema>
export type UnlockApproval = z.infer<typeof unlockApprovalSchema>
export type PlanApproval = z.infer<typeof planApprovalSchema>
export type WaveApproval = z.infer<typeof waveApprovalSchema>
export type Closing = (typeof closings)[number]

/** Why a decision does not count. */
export interface NotDecided {
  readonly outcome: 'not-decided'
  readonly rule: 'over' | 'expired' | 'not-an-approver' | 'requester' | 'repeated'
  readonly why: string
}

/**
 * The approval with one more decision, or why it does not count: only people of the fleet decide, each of them once,
 * and whoever asked for it does not. One who denies ends it.
 */
export function decide<A extends Approval>(
  approval: A,
  { by, decision, at, reason }: Decision,
  people: readonly Approver[],
): A | NotDecided {
  const over = approval.closed?.how ?? outcomeOf(approval)
  if (over !== 'open') return notDecided('over', overText(over, approval))
  if (at >= approval.expiresAt) return notDecided('expired', 'the time to decide is over')
  const person = people.find(({ name }) => isSame(name, by))
  if (!person) return notDecided('not-an-approver', `${by} is not among the approvers of the fleet`)
  if (isRequester(person, approval.requestedBy))
    return notDecided('requester', `${person.name} ${askedFor[approval.kind]}, and somebody else has to agree to it`)
  const { name } = person
  const earlier = decisionBy(name, approval)
  if (earlier)
    return notDecided('repeated', `${name} has ${earlier.decision === 'approve' ? 'approved' : 'denied'} it already`)
  const made = { by: name, decision, at, ...(reason !== undefined && { reason }) }
  return { ...approval, version: approval.version + 1, decisions: [...approval.decisions, made] }
}

const askedFor: Readonly<Record<Approval['kind'], string>> = {
  unlock: 'asked for this unlock',
  plan: 'pushed this',
  wave: 'pushed this',
}

/** That what people were asked about is something else by now, in words. */
export const changedText: Readonly<Record<Approval['kind'], string>> = {
  unlock: 'the lock is not what people were asked about any more',
  plan: 'the plan is not the one that people were asked about any more',
  wave: 'the push does not wait before this wave any more',
}

/** Why people cannot decide any more, in words. */
export function overText(how: Closing, { kind }: Pick<Approval, 'kind'>): string {
  const what = kind === 'unlock' ? 'unlock' : 'rollout'
  switch (how) {
    case 'approved':
      return 'it is approved'
    case 'denied':
      return 'it is denied'
    case 'changed':
      return changedText[kind]
    case 'expired':
      return 'the time to decide is over'
    case 'gone':
      return `the ${what} does not wait for people any more`
    case 'ended':
      return `the ${what} has ended`
    case 'stopped':
      return `somebody has stopped the ${what}`
  }
}

/** What people have decided so far. */
export function outcomeOf({
  needed,
  decisions,
}: Pick<Approval, 'needed' | 'decisions'>): 'open' | 'approved' | 'denied' {
  if (decisions.some(({ decision }) => decision === 'deny')) return 'denied'
  return new Set(decisions.map(({ by }) => folded(by))).size >= needed ? 'approved' : 'open'
}

export function decisionBy(name: string, { decisions }: Pick<Approval, 'decisions'>): Decision | undefined {
  return decisions.find(({ by }) => isSame(by, name))
}

/** Those who may decide about what somebody asked for. */
export function approversOf(requestedBy: string, people: readonly Approver[]): Approver[] {
  return people.filter((person) => !isRequester(person, requestedBy))
}

/**
 * How many have to agree that `count` others than whoever pushed agree. Where nobody knows who that was he may be among
 * them, and it takes one more.
 */
export function neededBeside(pusher: string, count: number): number {
  return pusher === unknownPusher ? count + 1 : count
}

/** What is asked, as it stands in a sentence: `the unlock of Terraform/flux-system/vpc in staging`. */
export function subjectOf(approval: Approval): string {
  switch (approval.kind) {
    case 'unlock':
      return `the unlock of ${approval.object} in ${approval.cluster}`
    case 'plan':
      return `${approval.plan} of ${approval.object} in ${approval.cluster}`
    case 'wave':
      return `wave ${approval.wave} of ${approval.waves} of ${approval.branch} at ${approval.commit.slice(0, 12)}`
  }
}

/** The same person by name, address, or name at GitHub: approving what one has asked for is no second pair of eyes. */
function isRequester({ name, email, github }: Approver, requestedBy: string): boolean {
  return [name, email, github].some((known) => known !== undefined && isSame(known, requestedBy))
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
