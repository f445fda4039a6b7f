import { each } from '../each.ts'
import { gateAnnotation, requestedAt } from '../flux/annotations.ts'
import { gateOf } from '../flux/object.ts'
import { parseWorkload, type Workload, type WorkloadKind, workloadKinds } from '../flux/workload.ts'
import { type Cluster, ClusterError, type ObjectRef } from '../kubernetes/cluster.ts'
import { listServed } from '../kubernetes/list-served.ts'
import type { PlannedObject, Rollout } from './rollout.ts'
import type { UnlockHolds } from './unlock-holds.ts'

/**
 * How many patches are under way at once. The API server's own limit for one client is 20 to 50 (priority and
 * fairness gives each user a share); more than this only queues there.
 */
export const patchesAtOnce = 16

export function refOf(key: string): ObjectRef & { kind: WorkloadKind } {
  const [kind = '', namespace = '', name = ''] = key.split('/')
  return { kind: kind as WorkloadKind, namespace, name }
}

/** What became of an attempt to hold an object. */
export type Held = 'held' | 'suspended by a person' | 'held by another rollout' | 'gone'

/**
 * Suspends an object and marks it, in one patch that fails if the object has changed since it was read: a person who
 * suspends it at the same moment is never taken for us. `takeOver` says which gates of others are ours to take. What a guarded
 * unlock holds is marked, and so stays held when that is over. Throws ClusterError; LedgerUnavailable.
 */
export async function holdObject(
  cluster: Cluster,
  workload: Workload | undefined,
  mark: string,
  takeOver: (mark: string) => boolean,
  unlock: Pick<UnlockHolds, 'holds'>,
): Promise<Held> {
  let current = workload
  for (let tries = 1; current; tries++) {
    if (current.suspended) {
      if (current.gate === mark) return 'held'
      if (current.gate === undefined && !(await unlock.holds(current))) return 'suspended by a person'
      if (current.gate !== undefined && !takeOver(current.gate)) return 'held by another rollout'
    }
    const body = { spec: { suspend: true }, metadata: { annotations: { [gateAnnotation]: mark } } }
    try {
      await cluster.patch(current, { type: 'merge', body, resourceVersion: current.resourceVersion })
      return 'held'
    } catch (error) {
      if (isClusterError(error, 'ClusterNotFound')) return 'gone'
      if (!isClusterError(error, 'ClusterConflict') || tries >= mostTries) throw error
    }
    current = await readWorkload(cluster, current)
  }
  return 'gone'
}

/** A controller writes an object's status a few times a second at most: five losses in a row are not chance. */
const mostTries = 5

/** What became of an attempt to open a gate. */
export type Opened = 'opened' | 'not ours any more' | 'gone'

/**
 * Opens a gate, and with `token` asks for a reconcile in the same patch, so that the controller runs once. The patch
 * tests that the gate still has this mark and is still closed; else nothing is changed.
 */
export async function openGate(cluster: Cluster, key: string, mark: string, token?: string): Promise<Opened> {
  try {
    await cluster.patch(refOf(key), {
      type: 'json',
      operations: [
        { op: 'test', path: annotation(gateAnnotation), value: mark },
        { op: 'test', path: '/spec/suspend', value: true },
        // Removed, not set to false: the object is as it was before it was held.
        { op: 'remove', path: '/spec/suspend' },
        { op: 'remove', path: annotation(gateAnnotation) },
        ...(token === undefined ? [] : [{ op: 'add' as const, path: annotation(requestedAt), value: token }]),
      ],
    })
    return 'opened'
  } catch (error) {
    if (isClusterError(error, 'ClusterNotFound')) return 'gone'
    if (isClusterError(error, 'PatchTestFailed')) return 'not ours any more'
    throw error
  }
}

/** An annotation as a JSON pointer (RFC 6901). */
function annotation(name: string): string {
  return `/metadata/annotations/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** Asks an object for a reconcile. Answers false when it is gone. */
export async function requestReconcile(cluster: Cluster, ref: ObjectRef, token: string): Promise<boolean> {
  try {
    await cluster.patch(ref, { type: 'merge', body: { metadata: { annotations: { [requestedAt]: token } } } })
    return true
  } catch (error) {
    if (isClusterError(error, 'ClusterNotFound')) return false
    throw error
  }
}

/**
 * Opens every gate whose mark `isOurs` accepts, whatever the ledger says: what is suspended returns to what it was.
 * A gate whose object a person has resumed meanwhile only loses its mark. One object that refuses does not keep the
 * others closed: it is told. Throws ClusterError for what can pass, so that all of it is tried again.
 */
export async function openAllGates(cluster: Cluster, isOurs: (mark: string) => boolean): Promise<OpenedGates> {
  const held: { workload: Workload; mark: string }[] = []
  await each(workloadKinds, workloadKinds.length, async (kind) => {
    for (const raw of (await listServed(cluster, kind)) ?? []) {
      const mark = gateOf(raw)
      if (mark !== undefined && isOurs(mark)) held.push({ workload: parseWorkload(kind, raw), mark })
    }
  })
  const opened: string[] = []
  const refused: { key: string; error: string }[] = []
  await each(held, patchesAtOnce, async ({ workload: { key, suspended }, mark }) => {
    try {
      const result = suspended ? await openGate(cluster, key, mark) : 'not ours any more'
      if (result === 'opened') opened.push(key)
      if (result === 'not ours any more') await removeMark(cluster, key, mark)
    } catch (error) {
      if (!isClusterError(error, 'ClusterRejected') && !isClusterError(error, 'ClusterForbidden')) throw error
      refused.push({ key, error: (error as ClusterError).name })
    }
  })
  return { opened: opened.sort(), refused }
}

/** What became of gates: keys of objects. */
export interface OpenedGates {
  readonly opened: readonly string[]
  readonly refused: readonly { readonly key: string; readonly error: string }[]
}

/** Removes a gate's mark from an object that somebody else has opened. */
export async function removeMark(cluster: Cluster, key: string, mark: string): Promise<void> {
  const path = annotation(gateAnnotation)
  try {
    await cluster.patch(refOf(key), {
      type: 'json',
      operations: [
        { op: 'test', path, value: mark },
        { op: 'remove', path },
      ],
    })
  } catch (error) {
    if (!isClusterError(error, 'ClusterNotFound') && !isClusterError(error, 'PatchTestFailed')) throw error
  }
}

/** A token for an object's next request. A new one each time: the same text again would ask for nothing. */
export function nextToken(rollout: Rollout, object: PlannedObject, now: number): string {
  object.asked += 1
  return `${new Date(now).toISOString()}/${rollout.id}/${object.asked}`
}

async function readWorkload(cluster: Cluster, ref: ObjectRef & { kind: WorkloadKind }): Promise<Workload | undefined> {
  try {
    return parseWorkload(ref.kind, await cluster.get(ref))
  } catch (error) {
    if (isClusterError(error, 'ClusterNotFound')) return undefined
    throw error
  }
}

function isClusterError(error: unknown, name: ClusterError['name']): boolean {
  return error instanceof ClusterError && error.name === name
}
