import { hasApplied, type Reading, readWorkload } from '../flux/readiness.ts'
import { commitOf, shortCommit } from '../flux/revision.ts'
import type { Source } from '../flux/source.ts'
import type { Workload } from '../flux/workload.ts'
import type { Observation as LockObservation } from '../locks/scan/observation.ts'
import { isSpent } from '../plans/approve-plan.ts'
import { lockWait } from './lock-wait.ts'
import { commitsFor, note, type PlannedObject, type Rollout } from './rollout.ts'

/** What an observation asks for. */
export interface Observation {
  /** The object's phase or detail is not what it was. */
  readonly changed: boolean
  /**
   * The object should be asked to reconcile (again): nobody is working on it, or its controller would only look
   * again after an interval although all that it depends on is ready.
   */
  readonly ask: 'no' | 'soon' | 'patiently' | 'late'
  /** Our mark is on an object that somebody else has opened: left there, it would claim their next suspension for us. */
  readonly unmark?: boolean
  /** The plan that people approved has failed: their approval must not count for the next one. */
  readonly handBack?: boolean
}

/** What is known of an object beside itself. */
export interface Known {
  /** What the scans know of its state's lock. */
  readonly lock?: LockObservation | undefined
  /** See `UnlockHolds`. */
  readonly heldByUnlock?: boolean | undefined
}

const nothing: Observation = { changed: false, ask: 'no' }

/**
 * Takes in one object as the cluster shows it now. Updates `object` (and notes on `rollout`).
 * `workload` is undefined when the object does not exist.
 */
export function observe(
  rollout: Rollout,
  object: PlannedObject,
  workload: Workload | undefined,
  source: Source | undefined,
  now: number,
  { lock, heldByUnlock = false }: Known = {},
): Observation {
  if (workload === undefined || workload.uid !== object.uid) return observeAbsence(rollout, object, now)
  // Its place in the order is wrong, whatever its controller makes of it.
  if (object.reason === 'OrderInvalid') return nothing
  // What it applies is known only after it has applied: its inventory is the first to tell.
  object.appliesWorkloads ||= workload.appliesWorkloads
  if (object.phase === 'pending') return observePending(rollout, object, workload, now)
  if (object.phase !== 'open' && object.phase !== 'failed') return nothing
  const applied = observeApply(rollout, object, workload)
  const { follows, token } = object
  const reading = readWorkload(workload, { follows, token, commits: commitsFor(rollout, object), source })
  const before = object.phase
  const seen = heldByUnlock
    ? describe(object, 'waits for the guarded unlock that holds it', 'no')
    : settle(object, workload, withLock(reading, lock), now)
  if (reading.state === 'approval' && workload.pendingPlan !== undefined) {
    object.waitsForPlan = { plan: workload.pendingPlan, plannedAt: workload.planning?.plannedAt ?? '' }
  } else delete object.waitsForPlan
  if (workload.planning?.approvedMark !== undefined) object.approvedPlan = true
  if (reading.lock === undefined) delete object.waitsForLock
  else object.waitsForLock = true
  // Even a failed apply may have changed the cluster, up to the object that it failed on.
  if (object.phase !== before && object.appliesWorkloads) rollout.planStale = true
  const handBack = reading.state === 'failed' && isSpent(workload)
  return { ...seen, changed: seen.changed || applied, ...(handBack && { handBack }) }
}

/** A Kustomization that waits for the health of what it applied: its objects may be opened now, in a new order. */
function observeApply(rollout: Rollout, object: PlannedObject, workload: Workload): boolean {
  const waits = workload.waitsFor === 'all' || workload.waitsFor.length > 0
  if (object.applied || !waits || !object.appliesWorkloads) return false
  if (!hasApplied(workload, commitsFor(rollout, object))) return false
  object.applied = true
  rollout.planStale = true
  return true
}

/** Deleted, or deleted and made again under the same name: the plan has to be made again. */
function observeAbsence(rollout: Rollout, object: PlannedObject, now: number): Observation {
  if (object.phase === 'gone') return nothing
  note(rollout, `${object.key} was deleted during the rollout.`)
  object.phase = 'gone'
  object.gated = false
  object.settledAt = now
  rollout.planStale = true
  return { changed: true, ask: 'no' }
}

/** A gate that is open although we have not opened it: somebody else's decision, which stands. */
function observePending(rollout: Rollout, object: PlannedObject, workload: Workload, now: number): Observation {
  if (!object.gated || workload.suspended) return nothing
  const who = workload.suspendOwnedByGit ? 'Git (spec.suspend is in its manifest)' : 'a person'
  note(rollout, `${object.key} was released by ${who} before its turn.`)
  object.gated = false
  object.phase = 'open'
  object.openedAt = now
  return { changed: true, ask: 'no', unmark: true }
}

/** What is waited for, in words; and a lock that nobody holds any more is not waited for. */
function withLock(reading: Reading, known: LockObservation | undefined): Reading {
  if (reading.lock === undefined) return withSilentGhost(reading, known)
  if (known?.judgement.verdict === 'free') {
    // Its controller may look again only after hours.
    const state = reading.state === 'locked' ? 'idle' : reading.state
    return { ...reading, state, detail: 'nobody holds its state lock any more: it tries again' }
  }
  return { ...reading, detail: lockWait(reading.lock, known) }
}

/** Its controller waits for a run that is dead, and says "Applying" for as long as it lives. */
function withSilentGhost(reading: Reading, known: LockObservation | undefined): Reading {
  if (reading.state !== 'reconciling' || known?.judgement.scene !== 'silent ghost') return reading
  return { ...reading, detail: lockWait('', known) }
}

function settle(object: PlannedObject, workload: Workload, reading: Reading, now: number): Observation {
  switch (reading.state) {
    case 'ready':
      return enter(object, 'ready', reading.detail, now)
    case 'failed':
      if (reading.final) object.final = true
      else delete object.final
      return enter(object, 'failed', reading.detail, now, reasonOf(reading.detail))
    case 'suspended':
      // Another rollout opens its gates in its own time; a person may never come.
      if (workload.gate !== undefined) return describe(object, 'is held by another rollout', 'no')
      return enter(object, 'failed', 'is suspended, by a person', now, 'Suspended')
    case 'terminating':
      return describe(object, reading.detail, 'no')
    case 'dependency':
      return describe(object, reading.detail, 'soon')
    case 'idle':
      return describe(object, reading.detail, 'patiently')
    case 'starting':
      return describe(object, reading.detail, 'late')
    case 'approval':
      // What had failed has come as far as a plan again. Where people have refused that, it stays so.
      if (object.phase === 'failed' && !refused.has(object.reason ?? '')) {
        reopen(object, now)
        return { ...describe(object, reading.detail, 'no'), changed: true }
      }
      return describe(object, reading.detail, 'no')
    case 'reconciling':
    case 'locked':
      return describe(object, reading.detail, 'no')
  }
}

/** Reasons of failures that a plan which waits does not mend. */
const refused = new Set(['PlanDenied', 'PlanNotApproved', 'DeadlineExceeded'])

function enter(
  object: PlannedObject,
  phase: 'ready' | 'failed',
  detail: string,
  now: number,
  reason?: string,
): Observation {
  const changed = object.phase !== phase || object.detail !== detail
  if (object.phase !== phase) object.settledAt = now
  object.phase = phase
  object.detail = detail
  if (reason === undefined) {
    delete object.reason
    delete object.final
  } else {
    object.reason = reason
  }
  return { changed, ask: 'no' }
}

/** A failed object stays failed while its controller tries again: only success changes that. */
function describe(object: PlannedObject, detail: string, ask: Observation['ask']): Observation {
  if (object.phase === 'failed') return nothing
  const changed = object.detail !== detail
  object.detail = detail
  return { changed, ask }
}

function reasonOf(detail: string): string {
  return detail.split(':', 1)[0] ?? ''
}

/**
 * Takes in a source as it is now. When it serves another commit than before, a newer push has reached the cluster ahead
 * of its webhook: the rollout goes on with that, and what was ready is waited for again. Answers whether that is so.
 */
export function observeSource(rollout: Rollout, source: Source, now: number): boolean {
  const commit = commitOf(source.revision)
  const planned = rollout.sources.find(({ key }) => key === source.key)
  if (commit === undefined || !planned || planned.served === commit) return false
  planned.served = commit
  rollout.commit = commit
  note(rollout, `The source moved on to ${shortCommit(commit)} during the rollout, which goes on with that.`)
  for (const object of rollout.objects) if (object.phase === 'ready' && object.notHeld !== 'judged') reopen(object, now)
  return true
}

/** Waits for an object again that was ready, or had failed for a reason that is gone. */
export function reopen(object: PlannedObject, now: number): void {
  object.phase = 'open'
  object.openedAt = now
  for (const field of ['settledAt', 'token', 'reason', 'applied', 'waitsForLock'] as const) delete object[field]
}
