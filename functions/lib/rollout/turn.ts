import type { PlannedObject, Rollout } from './rollout.ts'

/** Whose turn it is, and what stands in the way of the others. Built from one rollout; build it again after changes. */
export interface Turn {
  /** The pending objects whose predecessors are all ready, of the earliest layer that has any. */
  readonly next: readonly PlannedObject[]
  /** Pending objects that cannot be opened because something before them has failed. */
  readonly blocked: readonly PlannedObject[]
  /**
   * Open objects that are waited for now. A Kustomization that waits for the health of objects whose turn has not
   * come is waited for until it has applied, and then with the last of them.
   */
  readonly unsettled: readonly PlannedObject[]
}

/**
 * Decides what may be opened. An object's turn comes when all that it depends on is ready at the revision: the
 * objects that it names with what those wait for, its owner, and every object of the fleet's earlier layers.
 */
export function turnOf(rollout: Rollout): Turn {
  const byKey = new Map(rollout.objects.map((object) => [object.key, object]))
  const awaited = new Awaited(rollout.objects)
  const unready = earliestUnreadyLayer(rollout.objects)
  const isClear = (object: PlannedObject): boolean => {
    const inTime = object.fleetLayer === undefined || object.fleetLayer <= unready
    return inTime && object.after.every((key) => awaited.isDone(key)) && ownerApplies(object)
  }
  // A Kustomization that waits for the health of what it applies is ready only after its objects: for them it is enough
  // that it has applied. Before that they do not even stand at what the push says.
  const ownerApplies = (object: PlannedObject): boolean => {
    const owner = byKey.get(object.awaitedBy ?? '')
    return owner === undefined || owner.applied === true || isPassed(owner)
  }
  const openable: PlannedObject[] = []
  const waiting: PlannedObject[] = []
  for (const object of rollout.objects) {
    if (object.phase === 'pending') (isClear(object) ? openable : waiting).push(object)
  }
  const awaiting = new Set(waiting.concat(openable).map((object) => object.awaitedBy))
  const unsettled = rollout.objects.filter(
    (object) => object.phase === 'open' && !(object.applied && awaiting.has(object.key)),
  )
  const layer = Math.min(...openable.map((object) => object.layer))
  return {
    next: openable.filter((object) => object.layer === layer),
    blocked: openable.length === 0 && unsettled.length === 0 ? waiting : [],
    unsettled,
  }
}

/**
 * Objects with those whose health they wait for. Flux takes an object that was Ready and is held for healthy, whatever
 * its revision: a Kustomization that waits for it may be Ready before its turn has come, and even if it fails then.
 */
class Awaited {
  private readonly byKey: ReadonlyMap<string, PlannedObject>
  private readonly by: ReadonlyMap<string | undefined, readonly PlannedObject[]>
  private readonly unpassed = new Map<string, readonly PlannedObject[]>()

  constructor(objects: readonly PlannedObject[]) {
    this.byKey = new Map(objects.map((object) => [object.key, object]))
    this.by = Map.groupBy(objects, ({ awaitedBy }) => awaitedBy)
  }

  isDone(key: string): boolean {
    return this.notPassed(key).length === 0
  }

  /** The object and all that it waits for, through others too, as far as they are not passed. */
  notPassed(key: string): readonly PlannedObject[] {
    const known = this.unpassed.get(key)
    if (known) return known
    // Should they wait for each other in a circle, which is a mistake that is told elsewhere, once round is enough.
    this.unpassed.set(key, [])
    const object = this.byKey.get(key)
    const own = object && !isPassed(object) ? [object] : []
    const found = [...own, ...(this.by.get(key) ?? []).flatMap((one) => this.notPassed(one.key))]
    this.unpassed.set(key, found)
    return found
  }
}

/** Ready, or deleted: a predecessor that no longer exists holds nobody back (the plan is made again without it). */
function isPassed(object: PlannedObject | undefined): boolean {
  return object === undefined || object.phase === 'ready' || object.phase === 'gone'
}

/** The lowest of the fleet's layers that has an object which is not ready: nothing labelled later may open. */
function earliestUnreadyLayer(objects: readonly PlannedObject[]): number {
  let lowest = Number.POSITIVE_INFINITY
  for (const object of objects) {
    if (object.fleetLayer === undefined || isPassed(object)) continue
    lowest = Math.min(lowest, object.fleetLayer)
  }
  return lowest
}

/**
 * The failed objects that hold `object` back, directly or through others. For the report: "held behind …".
 */
export function heldBehind(rollout: Rollout, object: PlannedObject): string[] {
  const byKey = new Map(rollout.objects.map((candidate) => [candidate.key, candidate]))
  const awaited = new Awaited(rollout.objects)
  const causes = new Set<string>()
  const seen = new Set<string>()
  const layersSeen = new Set<number>()
  const queue = [object]
  for (let current = queue.pop(); current; current = queue.pop()) {
    if (seen.has(current.key)) continue
    seen.add(current.key)
    if (current.phase === 'failed') {
      causes.add(current.key)
      continue
    }
    for (const key of current.after) queue.push(...awaited.notPassed(key))
    const owner = byKey.get(current.awaitedBy ?? '')
    if (owner && !isPassed(owner)) queue.push(owner)
    const layer = current.fleetLayer
    if (layer === undefined || layersSeen.has(layer)) continue
    layersSeen.add(layer)
    for (const earlier of rollout.objects) {
      if (earlier.fleetLayer !== undefined && earlier.fleetLayer < layer && !isPassed(earlier)) queue.push(earlier)
    }
  }
  return [...causes].sort()
}
