import * as z from 'zod'
import { verdicts } from './locks/verdict/verdict.ts'
import { outcomeSchema } from './rollout/rollout.ts'
import { unlockOutcomes } from './unlock/run/unlock-run.ts'

/** Of all events that Lockstep publishes. */
export const eventSource = 'lockstep'

/** RFC 3339, in UTC. */
const time = z.iso.datetime()
const count = z.int().min(0)

/** What every event has. */
const every = {
  /** Of the fields of its type: raised when one goes, or means something else. A new field is no new version. */
  version: z.literal(1),
  /** The same for an event that is published twice. */
  id: z.string().min(1),
  /** When it happened. */
  at: time,
}

/** What every event has that is about a push. */
const ofPush = {
  ...every,
  /** The name of the execution of the state machine `fleet`: GitHub's id of the delivery. */
  delivery: z.string(),
  /** `github.com/my-org/fleet-infra` */
  repository: z.string(),
  branch: z.string(),
  /** The pushed commit. */
  commit: z.string(),
  /** Who pushed. */
  pusher: z.string(),
}

/** What every event of a rollout has. */
const ofRollout = {
  ...ofPush,
  cluster: z.string(),
  /** The name of the rollout's execution. */
  rollout: z.string(),
  /** ARN of the rollout's execution. */
  execution: z.string(),
  /** A newer commit that the source served in place of the pushed one: that is what is rolled out. */
  served: z.string().optional(),
}

const rolloutStarted = z.object({ type: z.literal('Rollout Started'), ...ofRollout })

const rolloutPlanned = z.object({
  type: z.literal('Rollout Planned'),
  ...ofRollout,
  layers: count,
  objects: count,
})

const layerDone = z.object({
  type: z.literal('Rollout Layer Done'),
  ...ofRollout,
  layer: z.string(),
  /** From 1. */
  number: z.int().min(1),
  /** How many layers there are by now. */
  layers: count,
  openedAt: time,
  ready: count,
  failed: count,
  /** Objects that were not opened, because what they depend on has failed. */
  pending: count,
})

const rolloutHeld = z.object({
  type: z.literal('Rollout Held'),
  ...ofRollout,
  /** Objects that failed, ten at most: `Terraform/flux-system/vpc`. */
  behind: z.array(z.string()),
  /** All that failed. */
  failed: count,
  /** Objects that wait for them. */
  pending: count,
  /** What the first of them says. */
  why: z.string(),
})

const rolloutFinished = z.object({
  type: z.literal('Rollout Finished'),
  ...ofRollout,
  outcome: outcomeSchema,
  startedAt: time,
  /** Why it failed. */
  why: z.string().optional(),
  objects: count,
  ready: count,
  failed: count,
  /** Objects that were not opened in their turn. */
  pending: count,
})

/** `withdrawn`: it is not any more what people were asked about, or nothing waits for it any more. */
const approvalChange = z.enum(['asked', 'approved', 'denied', 'expired', 'withdrawn'])

const planApprovalChanged = z.object({
  type: z.literal('Plan Approval Changed'),
  ...ofRollout,
  what: approvalChange,
  /** `Terraform/flux-system/vpc` */
  object: z.string(),
  /** The plan's id, as it would stand in `spec.approvePlan`. */
  plan: z.string(),
  /** What the plan would do, where it could be read. */
  changes: z.object({ add: count, change: count, destroy: count }).optional(),
  /** Who decided. */
  by: z.string().optional(),
  /** Until when people may decide. */
  until: time.optional(),
})

const waveApprovalChanged = z.object({
  type: z.literal('Wave Approval Changed'),
  ...ofPush,
  /** ARN of the execution of the state machine `fleet`. */
  execution: z.string(),
  what: approvalChange,
  /** From 1. */
  wave: z.int().min(1),
  /** How many waves the push has. */
  waves: z.int().min(1),
  /** How many clusters the wave has. */
  clusters: count,
  /** Ten of them at most. */
  names: z.array(z.string()),
  /** What became of the clusters of the waves before. */
  before: z.object({ succeeded: count, failed: count, other: count }),
  /** Who decided. */
  by: z.string().optional(),
  /** Until when people may decide. */
  until: time.optional(),
})

const lockVerdictChanged = z.object({
  type: z.literal('Lock Verdict Changed'),
  ...every,
  /** Where it was judged: the ARN of the execution of a scan, or the name of that of an unlock. */
  execution: z.string(),
  /** Of the place: see `placeKey`. */
  place: z.string(),
  /** Empty where there is no lock, or no record to go by. */
  lock: z.string(),
  verdict: z.enum(verdicts),
  /** The verdict that was published before. */
  before: z.enum(verdicts).optional(),
  /** Since when this is the verdict. */
  since: time,
  rule: z.string(),
  reasons: z.array(z.string()),
  cluster: z.string().optional(),
  /** `Terraform/flux-system/vpc` */
  object: z.string().optional(),
  operation: z.string().optional(),
  who: z.string().optional(),
  addresses: z.array(z.string()),
})

const unlockChanged = z.object({
  type: z.literal('Unlock Changed'),
  ...every,
  /** The name of the unlock's execution. */
  unlock: z.string(),
  /** `restored`: what it had changed is put back; it comes beside the others, and may come after them. */
  what: z.enum(['asked', ...unlockOutcomes, 'restored']),
  cluster: z.string(),
  /** Of the lock: see `placeKey`. */
  place: z.string(),
  /** The ID of the lock. */
  lock: z.string(),
  /** `Terraform/flux-system/vpc` */
  object: z.string().optional(),
  requestedBy: z.string(),
  reason: z.string(),
  rung: z.string().optional(),
  /** Why it was refused, or failed. */
  why: z.string().optional(),
  /** Of `restored`: the unlock itself, or whatever puts back what an unlock has left that ended before its time. */
  by: z.enum(['unlock', 'watch']).optional(),
})

const findingChanged = z.object({
  type: z.literal('Finding Changed'),
  ...every,
  /** ARN of the sweep's execution. */
  execution: z.string(),
  /** The same for as long as it is found, and when it is found again. */
  finding: z.string(),
  /** `changed`: its text is not what it was. */
  what: z.enum(['new', 'changed', 'gone']),
  cluster: z.string(),
  /** What sort of finding: `drift`. */
  kind: z.string(),
  /** `Terraform/flux-system/vpc` */
  object: z.string().optional(),
  /** Since when it is so; when it was found first, where nothing tells. */
  since: time,
  /** What was found, for people. */
  text: z.string(),
  /** What a person can do about it. */
  next: z.string(),
})

/** Every type of event. Its `type` is EventBridge's `detail-type`, all else the detail. See docs/events.md. */
export const eventSchemas = [
  rolloutStarted,
  rolloutPlanned,
  layerDone,
  rolloutHeld,
  rolloutFinished,
  planApprovalChanged,
  waveApprovalChanged,
  lockVerdictChanged,
  unlockChanged,
  findingChanged,
] as const

/** Any event of Lockstep. It has names, ids and times: no secret, and no digest of a state. */
export const eventSchema = z.discriminatedUnion('type', eventSchemas)

export type LockstepEvent = Readonly<z.output<typeof eventSchema>>
export type ApprovalChange = z.infer<typeof approvalChange>
export type EventType = LockstepEvent['type']
export type EventOf<Type extends EventType> = Extract<LockstepEvent, { readonly type: Type }>
export type RolloutEvent = Extract<LockstepEvent, { readonly rollout: string }>
export type WaveEvent = EventOf<'Wave Approval Changed'>
export type LockEvent = EventOf<'Lock Verdict Changed'>
export type UnlockEvent = EventOf<'Unlock Changed'>
export type FindingEvent = EventOf<'Finding Changed'>

/** Where events go that people and other programs wait for. */
export interface Events {
  /** At least once. Rejects with EventsUnavailable. */
  publish(event: LockstepEvent): Promise<void>
}

/** Nobody listens. */
export const silentEvents: Events = { publish: async () => {} }
