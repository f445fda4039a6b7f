import { each } from '../lib/each.ts'
import type { Cluster } from '../lib/kubernetes/cluster.ts'
import { branchOf } from '../lib/rollout/branch.ts'
import { gateMark, mayTakeOver } from '../lib/rollout/gate-mark.ts'
import { type Held, holdObject, patchesAtOnce } from '../lib/rollout/gates.ts'
import { note, type PlannedObject, type Rollout } from '../lib/rollout/rollout.ts'
import type { Snapshot } from '../lib/rollout/snapshot.ts'
import type { UnlockHolds } from '../lib/rollout/unlock-holds.ts'

/** What stands in the cluster, and who else holds something there. */
export interface Around {
  readonly snapshot: Snapshot
  readonly idleBranches: ReadonlySet<string>
  readonly unlock: UnlockHolds
}

/**
 * Holds every object that is planned to be held: suspends it and marks it as ours. Objects that a person or another
 * rollout holds stay theirs. Doing it again changes nothing. Updates `rollout`. Throws ClusterError.
 */
export async function closeGates(
  rollout: Rollout,
  { snapshot, idleBranches, unlock }: Around,
  cluster: Cluster,
): Promise<void> {
  const toHold = rollout.objects.filter(mayHold)
  const mark = gateMark(rollout)
  const takeOver = (other: string) => mayTakeOver(other, branchOf(rollout.push), idleBranches)
  await each(toHold, patchesAtOnce, async (object) => {
    const held = await holdObject(cluster, snapshot.workloads.get(object.key), mark, takeOver, unlock)
    record(rollout, object, held)
  })
}

/**
 * What was born is held from now on, even if it may have started; so is what cannot be put in order. Gates that were
 * taken over are marked again.
 */
function mayHold(object: PlannedObject): boolean {
  if (object.phase !== 'pending' && object.reason !== 'OrderInvalid') return false
  if (object.gated) return true
  return object.notHeld === undefined || object.notHeld === 'born'
}

function record(rollout: Rollout, object: PlannedObject, held: Held): void {
  object.gated = held === 'held'
  if (held === 'suspended by a person') {
    object.notHeld = 'person'
    note(rollout, `${object.key} was suspended by a person and stays so; what depends on it is held.`)
  }
  if (held === 'held by another rollout') {
    object.notHeld = 'other'
    note(rollout, `${object.key} is held by another rollout; what depends on it waits for that one.`)
  }
  if (held === 'gone') {
    object.phase = 'gone'
    rollout.planStale = true
    note(rollout, `${object.key} was deleted before it could be held.`)
  }
}
