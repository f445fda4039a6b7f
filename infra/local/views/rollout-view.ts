import type { Push } from '../../../functions/lib/push.ts'
import type { PlannedObject, Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { heldBehind } from '../../../functions/lib/rollout/turn.ts'
import type { ExecutionDescription } from '../states/interpreter.ts'

/** As in a rollout's record, and `held`: its gate is closed now. */
export type ObjectPhase = PlannedObject['phase'] | 'held'

/** `held`: the gates are held behind a failure, and the rollout waits for one of the ways out. */
export type RolloutStatus = 'running' | 'held' | 'succeeded' | 'failed' | 'superseded' | 'released' | 'aborted'

/** An object of a rollout, for people to look at. Times in milliseconds since the epoch, of the host's clock. */
export interface ObjectView {
  /** `Terraform/flux-system/vpc` */
  readonly key: string
  readonly phase: ObjectPhase
  /** What its controller last said. */
  readonly detail: string
  readonly openedAt?: number
  readonly settledAt?: number
  /** Why it has not begun, or why it could not be held back. */
  readonly why?: string
}

export interface LayerView {
  readonly index: number
  readonly name: string
  readonly phase: ObjectPhase
  readonly openedAt?: number
  readonly settledAt?: number
  readonly counts: Readonly<Record<ObjectPhase, number>>
  readonly objects: readonly ObjectView[]
}

/** One cluster's rollout of one push, as it is now. */
export interface RolloutView {
  readonly id: string
  readonly cluster: string
  /** ARN of its execution. */
  readonly execution: string
  /** The state that its execution is in, or was in last. */
  readonly state?: string
  readonly status: RolloutStatus
  /** `my-org/fleet-infra` */
  readonly repository: string
  readonly branch: string
  /** The commit that is rolled out: the pushed one, or a newer one that the source served in its place. */
  readonly commit: string
  readonly pusher: string
  readonly startedAt: number
  readonly endedAt?: number
  readonly layers: readonly LayerView[]
  readonly notes: readonly string[]
  /** Why it failed. */
  readonly failure?: string
  /** A step has failed and is tried again: what it said. */
  readonly trouble?: string
}

/** What a view is made from. */
export interface Seen {
  readonly execution: ExecutionDescription
  readonly cluster: string
  readonly push: Push
  readonly state: string | undefined
  readonly trouble: string | undefined
  /** Undefined until the claim has written it. */
  readonly rollout: Rollout | undefined
  /** Keys of pending objects whose gates are closed (true) or open (false) now, where the cluster has been seen. */
  readonly gates: ReadonlyMap<string, boolean>
}

export function viewOf(seen: Seen): RolloutView {
  const { execution, cluster, push, state, rollout, trouble } = seen
  const endedAt = rollout?.endedAt ?? (execution.stopDate === undefined ? undefined : Date.parse(execution.stopDate))
  const failure = rollout?.failure ?? failureOf(execution)
  return {
    id: execution.name,
    cluster,
    execution: execution.executionArn,
    ...(state !== undefined && { state }),
    status: statusOf(seen),
    repository: push.repository.name,
    branch: push.branch,
    commit: rollout?.commit ?? push.after,
    pusher: push.pusher,
    startedAt: rollout?.startedAt ?? Date.parse(execution.startDate),
    ...(endedAt !== undefined && { endedAt }),
    layers: rollout ? layersOf(rollout, seen) : [],
    notes: rollout?.notes ?? [],
    ...(failure !== undefined && { failure }),
    ...(trouble !== undefined && execution.status === 'RUNNING' && { trouble }),
  }
}

/** The state in which gates wait behind a failure (statemachines/rollout.asl.json). */
const holding = 'WaitForRecovery'

function statusOf({ execution, rollout, state }: Seen): RolloutStatus {
  switch (execution.status) {
    case 'RUNNING':
      return state === holding ? 'held' : 'running'
    case 'ABORTED':
      return 'aborted'
    case 'SUCCEEDED':
      return rollout?.outcome ?? 'succeeded'
    case 'FAILED':
    case 'TIMED_OUT':
      return rollout?.outcome === 'released' ? 'released' : 'failed'
  }
}

function failureOf({ status, error, cause }: ExecutionDescription): string | undefined {
  if (status === 'RUNNING' || status === 'SUCCEEDED') return undefined
  return [error, cause].filter((part) => part).join(': ') || undefined
}

function layersOf(rollout: Rollout, seen: Seen): LayerView[] {
  const explain = explainer(rollout)
  const byLayer = new Map<number, ObjectView[]>()
  for (const object of rollout.objects) {
    const view = objectView(object, seen, explain)
    const siblings = byLayer.get(object.layer)
    if (siblings) siblings.push(view)
    else byLayer.set(object.layer, [view])
  }
  return rollout.layers.map(({ index, name, openedAt, settledAt }) => {
    const objects = byLayer.get(index) ?? []
    const counts = countPhases(objects)
    const phase = phaseOfLayer(counts)
    const settled = settledAt ?? (phase === 'ready' ? lastSettled(objects) : undefined)
    return {
      ...{ index, name, phase, counts, objects },
      ...(openedAt !== undefined && { openedAt }),
      ...(settled !== undefined && { settledAt: settled }),
    }
  })
}

function objectView(
  object: PlannedObject,
  seen: Seen,
  explain: (object: PlannedObject) => string | undefined,
): ObjectView {
  const { key, detail, openedAt, settledAt } = object
  const why = explain(object)
  return {
    ...{ key, detail, phase: phaseOfObject(object, seen) },
    ...(openedAt !== undefined && { openedAt }),
    ...(settledAt !== undefined && { settledAt }),
    ...(why !== undefined && { why }),
  }
}

/** The record tells what was decided; the cluster tells whether a gate is closed while a step is still at it. */
function phaseOfObject({ key, phase, gated }: PlannedObject, { gates, execution }: Seen): ObjectPhase {
  if (phase !== 'pending') return phase
  const closed = gates.get(key)
  if (closed === undefined || execution.status !== 'RUNNING') return gated ? 'held' : 'pending'
  if (closed) return 'held'
  return gated ? 'open' : 'pending'
}

const notHeldText: Readonly<Record<NonNullable<PlannedObject['notHeld']>, string | undefined>> = {
  first: undefined,
  advisory: 'not held: the ordering of this cluster is advisory',
  judged: 'only waited for: the push does not change it',
  git: 'not held: spec.suspend is in its manifest',
  born: 'not held: it was created during the rollout',
  person: 'suspended by a person',
  other: 'held by another rollout',
}

/** Says why an object waits. What has the same predecessors has the same reason, and is looked at once. */
function explainer(rollout: Rollout): (object: PlannedObject) => string | undefined {
  const failed = rollout.objects.some(({ phase }) => phase === 'failed')
  const known = new Map<string, string | undefined>()
  const behind = (object: PlannedObject): string | undefined => {
    const same = JSON.stringify([object.after, object.awaitedBy, object.fleetLayer])
    if (!known.has(same)) known.set(same, behindText(heldBehind(rollout, object)))
    return known.get(same)
  }
  return (object) => {
    const held = failed && object.phase === 'pending' ? behind(object) : undefined
    return held ?? (object.notHeld && notHeldText[object.notHeld])
  }
}

function behindText(causes: readonly string[]): string | undefined {
  if (causes.length === 0) return undefined
  const more = causes.length > 3 ? ` and ${causes.length - 3} more` : ''
  return `behind ${causes.slice(0, 3).join(', ')}${more}`
}

function countPhases(objects: readonly ObjectView[]): Record<ObjectPhase, number> {
  const counts = { pending: 0, held: 0, open: 0, ready: 0, failed: 0, gone: 0 }
  for (const { phase } of objects) counts[phase] += 1
  return counts
}

function phaseOfLayer({ open, failed, held, pending }: LayerView['counts']): ObjectPhase {
  if (open > 0) return 'open'
  if (failed > 0) return 'failed'
  if (held > 0) return 'held'
  return pending > 0 ? 'pending' : 'ready'
}

function lastSettled(objects: readonly ObjectView[]): number | undefined {
  const times = objects.flatMap(({ settledAt }) => (settledAt === undefined ? [] : [settledAt]))
  return times.length > 0 ? times.reduce((latest, time) => Math.max(latest, time)) : undefined
}
