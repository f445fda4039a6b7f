import { each } from '../lib/each.ts'
import { LockstepError } from '../lib/errors.ts'
import { parseWorkload } from '../lib/flux/workload.ts'
import type { Cluster } from '../lib/kubernetes/cluster.ts'
import { gateMark } from '../lib/rollout/gate-mark.ts'
import { nextToken, openGate, patchesAtOnce, refOf, removeMark, requestReconcile } from '../lib/rollout/gates.ts'
import { note, type PlannedLayer, type PlannedObject, type Rollout } from '../lib/rollout/rollout.ts'
import { turnOf } from '../lib/rollout/turn.ts'
import { keepsClosed } from '../lib/rollout/unlock-holds.ts'
import type { Intent } from '../lib/unlock/hold/intent.ts'

/** A guarded unlock is under way in the cluster, and what would be opened now has to stay closed until it is over. */
export class UnlockUnderWay extends LockstepError {
  constructor(cluster: string, unlock: string, keys: readonly string[]) {
    const more = keys.length > 3 ? ` and ${keys.length - 3} more` : ''
    super(
      'UnlockUnderWay',
      `Guarded unlock ${unlock} is under way in ${cluster}: ${keys.slice(0, 3).join(', ')}${more} cannot be opened before it is over.`,
      'It is tried again.',
    )
  }
}

export interface OpenOptions {
  readonly cluster: Cluster
  readonly now: number
  /** What a guarded unlock that is under way in the cluster changes. */
  readonly intent?: Intent | undefined
}

/**
 * Opens the next layer: the objects whose turn it is. An object that we hold is opened and asked to reconcile in one
 * patch. One that was never held has been started by the new artifact already; it is asked only when the source
 * served the commit before we asked it to fetch, because a second request would make its controller run twice.
 * What a guarded unlock keeps closed is left for a later call. Updates `rollout`; answers the layer, or undefined when nothing
 * can be opened. Throws UnlockUnderWay, ClusterError.
 */
export async function openLayer(
  rollout: Rollout,
  { cluster, now, intent }: OpenOptions,
): Promise<PlannedLayer | undefined> {
  // Something went while gates were closed: what depends on it must not open by the old plan.
  if (rollout.planStale) return undefined
  const { next } = turnOf(rollout)
  const layer = rollout.layers.find(({ index }) => index === next[0]?.layer)
  if (!layer) return undefined
  const open = next.filter(({ gated, key }) => !(gated && keepsClosed(intent, key)))
  if (intent && open.length === 0) {
    const keys = next.map(({ key }) => key)
    throw new UnlockUnderWay(rollout.cluster, intent.unlock, keys)
  }
  await each(open, patchesAtOnce, (object) => openObject(rollout, object, cluster, now))
  layer.openedAt ??= now
  return layer
}

async function openObject(rollout: Rollout, object: PlannedObject, cluster: Cluster, now: number): Promise<void> {
  const gone = object.gated
    ? await openHeld(rollout, object, cluster, now)
    : shouldAsk(rollout, object) && !(await ask(rollout, object, cluster, now))
  object.phase = gone ? 'gone' : 'open'
  if (gone) rollout.planStale = true
  object.openedAt = now
}

/** Answers whether the object is gone. */
async function openHeld(rollout: Rollout, object: PlannedObject, cluster: Cluster, now: number): Promise<boolean> {
  const token = nextToken(rollout, object, now)
  const result = await openGate(cluster, object.key, gateMark(rollout), token)
  object.gated = false
  if (result === 'opened') object.token = token
  if (result === 'not ours any more') {
    await seeWhoOpened(rollout, object, cluster)
    await removeMark(cluster, object.key, gateMark(rollout))
  }
  return result === 'gone'
}

/** This very step may have opened it before it was cut off: then our own request is on the object. */
async function seeWhoOpened(rollout: Rollout, object: PlannedObject, cluster: Cluster): Promise<void> {
  const ref = refOf(object.key)
  const { requested } = parseWorkload(ref.kind, await cluster.get(ref))
  if (requested?.includes(`/${rollout.id}/`)) object.token = requested
  else note(rollout, `${object.key} was released by somebody else before its turn.`)
}

function shouldAsk(rollout: Rollout, object: PlannedObject): boolean {
  if (object.notHeld === 'advisory') return true
  if (object.notHeld !== 'first') return false
  return rollout.sources.every(({ before, served }) => before !== undefined && before === served)
}

async function ask(rollout: Rollout, object: PlannedObject, cluster: Cluster, now: number): Promise<boolean> {
  const token = nextToken(rollout, object, now)
  object.token = token
  return requestReconcile(cluster, refOf(object.key), token)
}
