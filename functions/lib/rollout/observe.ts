import { type Reading, readWorkload } from '../flux/readiness.ts'
import { commitOf, shortCommit } from '../flux/revision.ts'
import type { Source } from '../flux/source.ts'
import type { Workload } from '../flux/workload.ts'
import { note, type PlannedObject, type Rollout } from './rollout.ts'

/** What an observation asks for. */
export interface Observation {
  /** The object's phase or detail is not what it was. */
  readonly changed: boolean
  /**
   * The object should be asked to reconcile (again): nobody is working on it, or its controller would only look
   * again after an interval although all that it depends on is ready.
   */
  readonly ask: 'no' | 'soon' | 'patiently' | 'late'
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
): Observation {
  if (workload === undefined || workload.uid !== object.uid) return observeAbsence(rollout, object, now)
  // What it applies is known only after it has applied: its inventory is the first to tell.
  object.appliesWorkloads ||= workload.appliesWorkloads
  if (object.phase === 'pending') return observePending(rollout, object, workload, now)
  if (object.phase !== 'open' && object.phase !== 'failed') return nothing
  const { follows, token } = object
  return settle(object, readWorkload(workload, { follows, token, commits: rollout.commits, source }), now)
}

/** Deleted, or deleted and made again under the same name: the plan has to be made again. */
function observeAbsence(rollout: Rollout, object: PlannedObject, now: number): Observation {
  if (object.phase === 'gone') return nothing
  note(rollout, `${object.key} was deleted during the rollout.`)
  object.phase = 'gone'
  object.gated = false
  object.settledAt = now
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
  return { changed: true, ask: 'no' }
}

function settle(object: PlannedObject, reading: Reading, now: number): Observation {
  switch (reading.state) {
    case 'ready':
      return enter(object, 'ready', reading.detail, now)
    case 'failed':
      if (reading.final) object.final = true
      else delete object.final
      return enter(object, 'failed', reading.detail, now, reasonOf(reading.detail))
    case 'suspended':
      return enter(object, 'failed', suspendedDetail(object), now, 'Suspended')
    case 'terminating':
      return describe(object, reading.detail, 'no')
    case 'dependency':
      return describe(object, reading.detail, 'soon')
    case 'idle':
      return describe(object, reading.detail, 'patiently')
    case 'starting':
      return describe(object, reading.detail, 'late')
    case 'reconciling':
    case 'approval':
      return describe(object, reading.detail, 'no')
  }
}

function suspendedDetail(object: PlannedObject): string {
  return object.notHeld === 'other' ? 'is held by another rollout' : 'is suspended, by a person'
}

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
 * Takes in a source as it is now. When it serves a commit that we did not know, a newer push has reached the cluster
 * before its webhook: objects at that commit count as ready too. Answers whether that is so.
 */
export function observeSource(rollout: Rollout, source: Source): boolean {
  const commit = commitOf(source.revision)
  if (commit === undefined || rollout.commits.includes(commit)) return false
  if (!rollout.sources.some(({ key }) => key === source.key)) return false
  rollout.commits.push(commit)
  rollout.commit = commit
  note(rollout, `The source moved on to ${shortCommit(commit)} during the rollout, which goes on with that.`)
  return true
}
