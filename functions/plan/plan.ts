import { LockstepError } from '../lib/errors.ts'
import { type Fleet, layerDeadline } from '../lib/fleet.ts'
import type { Follows } from '../lib/flux/readiness.ts'
import { commitOf } from '../lib/flux/revision.ts'
import type { Source } from '../lib/flux/source.ts'
import type { Workload } from '../lib/flux/workload.ts'
import { type OrderProblem, type Placement, placeWorkloads } from '../lib/order/edges.ts'
import { rankPlacements } from '../lib/order/layers.ts'
import type { Push } from '../lib/push.ts'
import { branchOf } from '../lib/rollout/branch.ts'
import { mayTakeOver } from '../lib/rollout/gate-mark.ts'
import { note, type PlannedLayer, type PlannedObject, type Rollout } from '../lib/rollout/rollout.ts'
import type { Snapshot } from '../lib/rollout/snapshot.ts'
import { affectedBy, type Feed, feedsOf, judgedFor, sourcesOf } from './affected.ts'

/** The cluster follows no branch that was pushed to. */
export class SourceNotFound extends LockstepError {
  constructor(cluster: string, push: Push) {
    super(
      'SourceNotFound',
      `Cluster ${cluster} has no GitRepository for ${push.repository.host}/${push.repository.name}, branch ${push.branch}.`,
      'Create one, or leave the repository out of this cluster in the fleet (clusters[].repositories).',
    )
  }
}

/** The objects of the cluster cannot be put in order. Nothing has been touched. */
export class OrderInvalid extends LockstepError {
  readonly problems: readonly OrderProblem[]

  constructor(cluster: string, problems: readonly OrderProblem[]) {
    const shown = problems.slice(0, 20).map((problem) => `  ${problem.message}`)
    if (problems.length > shown.length) shown.push(`  and ${problems.length - shown.length} more`)
    super(
      'OrderInvalid',
      `The objects of cluster ${cluster} cannot be put in order:\n${shown.join('\n')}\n`,
      'Correct them in Git and push again.',
    )
    this.problems = problems
  }
}

/** What stands in the cluster, and what is known around it. */
export interface PlanInput {
  readonly snapshot: Snapshot
  readonly fleet: Fleet
  readonly ordering: 'strict' | 'advisory'
  /** Other branches that no rollout works on any more: the gates that they left behind are ours to take. */
  readonly idleBranches: ReadonlySet<string>
  /** Keys of objects that are suspended only until a guarded unlock is over: as good as not suspended. */
  readonly heldByUnlock?: ReadonlySet<string>
}

/**
 * Makes the first plan: fills sources, layers and objects of `rollout`. Pure but for `rollout`.
 * Throws SourceNotFound and OrderInvalid.
 */
export function makePlan(rollout: Rollout, input: PlanInput): void {
  const scope = scopeOf(rollout.push, input.snapshot)
  if (scope.pushed.length === 0) throw new SourceNotFound(rollout.cluster, rollout.push)
  const order = orderOf(scope, input)
  if (order.problems.length > 0) throw new OrderInvalid(rollout.cluster, order.problems)
  rollout.sources = scope.pushed.map((source) => ({ key: source.key, before: commitOf(source.revision) }))
  rollout.objects = [
    ...[...order.ranks].map(([key, layer]) => plannedObject(rollout, key, layer, scope, order, input)),
    ...strays(rollout, 0, scope, order, input),
  ]
  nameLayers(rollout, 0, input.fleet)
  noteMissingKinds(rollout, input.snapshot)
  for (const object of rollout.objects) noteNotHeld(rollout, object)
}

/**
 * Makes the plan again after a layer whose objects may have created, changed or deleted others. What has been opened
 * keeps its place; what has not is put in order again, behind it. Objects that can no longer be ordered fail, and
 * hold what lies behind them.
 */
export function planAgain(rollout: Rollout, input: PlanInput): void {
  delete rollout.planStale
  const scope = scopeOf(rollout.push, input.snapshot)
  const order = orderOf(scope, input)
  const previous = new Map(rollout.objects.map((object) => [object.key, object]))
  const opened = rollout.objects.filter((object) => object.phase !== 'pending')
  const last = opened.reduce((most, object) => Math.max(most, object.layer), -1)
  const shift = shiftBehind(order, previous, last)

  const objects: PlannedObject[] = []
  for (const key of order.placements.keys()) {
    const old = previous.get(key)
    const rank = order.ranks.get(key)
    const problem = rank === undefined ? behindCycle : order.broken.get(key)
    if (old && old.phase !== 'pending' && old.uid === input.snapshot.workloads.get(key)?.uid) {
      objects.push({ ...old, ...edgesOf(order.placements.get(key)) })
      continue
    }
    const fresh = plannedObject(rollout, key, (rank ?? 0) + shift, scope, order, input)
    if (problem) objects.push(fail(rollout, fresh, order.broken.get(key) ?? problem))
    else if (old?.phase === 'pending' && old.uid === fresh.uid) objects.push(carryOn(rollout, old, fresh))
    else objects.push(newborn(rollout, fresh, input))
  }
  for (const old of rollout.objects) {
    if (order.placements.has(old.key)) continue
    if (!input.snapshot.workloads.has(old.key)) note(rollout, `${old.key} was deleted during the rollout.`)
    else if (old.phase !== 'pending') objects.push(old)
  }
  rollout.objects = [...objects, ...strays(rollout, last + 1, scope, order, input)]
  nameLayers(rollout, last + 1, input.fleet)
}

interface Scope {
  readonly pushed: readonly Source[]
  readonly feeds: ReadonlyMap<string, Feed>
  readonly affected: ReadonlyMap<string, Follows>
  readonly judged: ReadonlySet<string>
}

function scopeOf(push: Push, { sources, workloads }: Snapshot): Scope {
  const pushed = sourcesOf(push, sources.values())
  const feeds = feedsOf(push, pushed, sources.values())
  const affected = affectedBy(feeds, workloads.values())
  return { pushed, feeds, affected, judged: judgedFor(new Set(affected.keys()), workloads) }
}

interface Order {
  readonly placements: ReadonlyMap<string, Placement>
  /** Layer by key, for all objects that have one. */
  readonly ranks: ReadonlyMap<string, number>
  readonly problems: readonly OrderProblem[]
  /** What is wrong with an object, by key. */
  readonly broken: ReadonlyMap<string, string>
}

function orderOf({ affected, judged }: Scope, { snapshot, fleet }: PlanInput): Order {
  const members: Workload[] = []
  for (const workload of snapshot.workloads.values()) {
    if (affected.has(workload.key)) members.push(workload)
    else if (judged.has(workload.key)) members.push(asJudged(workload, snapshot))
  }
  const { placements, problems: mistakes } = placeWorkloads(members, new Set(snapshot.workloads.keys()), fleet.layers)
  const { ranks, problems: cycles } = rankPlacements(placements, fleet.layers)
  const broken = new Map(mistakes.map(({ objects, message }) => [objects[0] ?? '', message]))
  for (const { objects, message } of cycles) for (const key of objects) broken.set(key, message)
  return { placements, ranks, problems: [...mistakes, ...cycles], broken }
}

/** What the push does not change has no place among the fleet's layers, and its mistakes are not this push's. */
function asJudged(workload: Workload, { workloads }: Snapshot): Workload {
  const dependsOn = workload.dependsOn.filter(({ key }) => workloads.has(key))
  return { ...workload, layer: undefined, malformedDependencies: [], dependsOn }
}

function edgesOf(placement: Placement | undefined): Pick<PlannedObject, 'after' | 'awaitedBy' | 'fleetLayer'> {
  return {
    after: [...(placement?.after.keys() ?? [])],
    ...(placement?.awaitedBy !== undefined && { awaitedBy: placement.awaitedBy }),
    ...(placement?.fleetLayer !== undefined && { fleetLayer: placement.fleetLayer }),
  }
}

function plannedObject(
  rollout: Rollout,
  key: string,
  layer: number,
  scope: Scope,
  order: Order,
  input: PlanInput,
): PlannedObject {
  const workload = input.snapshot.workloads.get(key)
  if (!workload) throw new Error(`${key} is planned but not in the snapshot`)
  const gated = workload.suspended && isOurs(rollout, workload, input.idleBranches)
  const object: PlannedObject = {
    key,
    uid: workload.uid,
    layer,
    ...edgesOf(order.placements.get(key)),
    follows: scope.affected.get(key) ?? 'generation',
    appliesWorkloads: workload.appliesWorkloads,
    gated,
    phase: 'pending',
    detail: '',
    asked: 0,
  }
  if (workload.source !== undefined) object.source = workload.source
  const notHeld = whyNotHeld(workload, { gated, layer, judged: scope.judged.has(key) }, input)
  if (notHeld) object.notHeld = notHeld
  return object
}

/** Objects behind a gate of ours that the push does not change (any more): they are opened as soon as possible. */
function strays(rollout: Rollout, layer: number, scope: Scope, order: Order, input: PlanInput): PlannedObject[] {
  const left: PlannedObject[] = []
  for (const workload of input.snapshot.workloads.values()) {
    if (order.placements.has(workload.key) || !workload.suspended) continue
    if (!isOurs(rollout, workload, input.idleBranches)) continue
    note(rollout, `${workload.key} was left behind by an earlier rollout (${workload.gate}): it is opened.`)
    left.push(plannedObject(rollout, workload.key, layer, scope, order, input))
  }
  return left
}

function isOurs(rollout: Rollout, workload: Workload, idleBranches: ReadonlySet<string>): boolean {
  return workload.gate !== undefined && mayTakeOver(workload.gate, branchOf(rollout.push), idleBranches)
}

function whyNotHeld(
  workload: Workload,
  { gated, layer, judged }: { readonly gated: boolean; readonly layer: number; readonly judged: boolean },
  { ordering, heldByUnlock }: PlanInput,
): PlannedObject['notHeld'] {
  if (gated) return workload.suspendOwnedByGit ? 'git' : undefined
  if (workload.suspended && !heldByUnlock?.has(workload.key)) return workload.gate === undefined ? 'person' : 'other'
  if (judged) return 'judged'
  if (ordering === 'advisory') return 'advisory'
  if (workload.suspendOwnedByGit) return 'git'
  return layer === 0 ? 'first' : undefined
}

/** How far new ranks move so that everything that is still pending comes after what has been opened. */
function shiftBehind(order: Order, previous: ReadonlyMap<string, PlannedObject>, last: number): number {
  let first = Number.POSITIVE_INFINITY
  for (const [key, rank] of order.ranks) {
    const old = previous.get(key)
    if (!old || old.phase === 'pending') first = Math.min(first, rank)
  }
  return first === Number.POSITIVE_INFINITY ? 0 : last + 1 - first
}

function newborn(rollout: Rollout, fresh: PlannedObject, input: PlanInput): PlannedObject {
  if (fresh.notHeld === 'judged' || fresh.notHeld === 'person' || fresh.notHeld === 'other') return fresh
  note(rollout, `${fresh.key} was created during the rollout: it may have started before it could be held.`)
  return input.ordering === 'advisory' ? fresh : { ...fresh, notHeld: fresh.notHeld === 'git' ? 'git' : 'born' }
}

function carryOn(rollout: Rollout, old: PlannedObject, fresh: PlannedObject): PlannedObject {
  if (fresh.notHeld === 'git' && old.notHeld !== 'git') noteNotHeld(rollout, fresh)
  if (old.notHeld === 'born') return { ...fresh, notHeld: 'born', gated: fresh.gated }
  // It was held and is not any more, or was opened by hand: the next look at it says which.
  if (old.gated && !fresh.gated && fresh.notHeld === 'first') return { ...fresh, notHeld: 'born' }
  return fresh
}

const behindCycle = 'It comes after objects that cannot be put in order.'

/** A mistake that the push itself brought: the object fails, and what lies behind it stays held. */
function fail(rollout: Rollout, fresh: PlannedObject, problem: string): PlannedObject {
  note(rollout, problem)
  return { ...fresh, phase: 'failed', reason: 'OrderInvalid', detail: problem.slice(0, 240) }
}

/** Layers from `from` on are made anew; each takes its name from the fleet's layer of its objects. */
function nameLayers(rollout: Rollout, from: number, fleet: Fleet): void {
  const kept = rollout.layers.filter((layer) => layer.index < from)
  const count = rollout.objects.reduce((most, object) => Math.max(most, object.layer), -1) + 1
  const members = new Map<number, PlannedObject[]>()
  for (const object of rollout.objects) {
    const layer = members.get(object.layer)
    if (layer) layer.push(object)
    else members.set(object.layer, [object])
  }
  const used = new Map<string, number>()
  const fresh: PlannedLayer[] = []
  for (let index = 0; index < count; index++) {
    const membersOf = members.get(index) ?? []
    const name = layerName(membersOf, fleet.layers) ?? `layer ${index + 1}`
    const times = (used.get(name) ?? 0) + 1
    used.set(name, times)
    if (index < from) continue
    const deadlineMs = Math.max(...membersOf.map((object) => layerDeadline(fleet, layerOf(object, fleet))))
    fresh.push({ index, name: times > 1 ? `${name} ${times}` : name, deadlineMs })
  }
  rollout.layers = [...kept, ...fresh]
}

function layerOf({ fleetLayer }: PlannedObject, fleet: Fleet): string | undefined {
  return fleetLayer === undefined ? undefined : fleet.layers[fleetLayer]
}

function layerName(objects: readonly PlannedObject[], layers: readonly string[]): string | undefined {
  const indexes = objects.flatMap((object) => object.fleetLayer ?? [])
  return indexes.length === 0 ? undefined : layers[Math.min(...indexes)]
}

function noteMissingKinds(rollout: Rollout, { missingKinds }: Snapshot): void {
  for (const kind of missingKinds) {
    if (kind === 'Kustomization' || kind === 'HelmRelease' || kind === 'Terraform') {
      note(rollout, `The cluster does not serve ${kind}: its CRD is not installed, so none is part of the order.`)
    }
  }
}

function noteNotHeld(rollout: Rollout, object: PlannedObject): void {
  const text = {
    git: 'has spec.suspend in its manifest: the next apply of its parent opens it, whatever Lockstep does.',
    person: 'was suspended by a person and stays so; what depends on it is held.',
    other: 'is held by another rollout; what depends on it waits for that one.',
  }
  const why = object.notHeld
  if (why === 'git' || why === 'person' || why === 'other') note(rollout, `${object.key} ${text[why]}`)
}
