import { parseWorkload } from '../../flux/workload.ts'
import { getIfThere } from '../../kubernetes/get-if-there.ts'
import { readController } from '../plan/read-cluster-now.ts'
import type { UnderWay } from '../run/under-way.ts'
import { UnlockStopped } from '../run/unlock-stopped.ts'
import { isHeld, makeChange, standingOf } from './change.ts'
import { type Change, refOfKey } from './intent.ts'

/**
 * Makes one change of the intent, once; each is in the audit before it is made. Throws ChangedMeanwhile where somebody else
 * has decided on it since it was written down, TurnLost, ClusterError.
 */
export async function hold(change: Change, underWay: UnderWay): Promise<void> {
  const { object, field, from, to } = change
  const detail = { object, field, from: JSON.stringify(from), to: JSON.stringify(to) }
  const standing = await makeChange(await underWay.cluster(), change, async () => {
    await underWay.record(`change/${object}/${field}`, 'changing', detail)
    // The last thing before the change: whoever restores after this waits until the change must have arrived.
    await underWay.renewTurn()
  })
  if ('why' in standing && !isHeld(standing)) throw changed(change, standing.why)
}

/**
 * That what keeps everybody from the state is as the unlock has left it. Throws ChangedMeanwhile where somebody else has
 * decided otherwise, ClusterError.
 */
export async function checkHeld(changes: readonly Change[], underWay: UnderWay): Promise<void> {
  const cluster = await underWay.cluster()
  for (const change of changes) {
    const standing = await standingOf(cluster, change)
    if (isHeld(standing)) continue
    throw changed(change, 'why' in standing ? standing.why : 'it is as it was before the unlock')
  }
}

/**
 * That no controller works on the locked object, whoever has seen to that: it is suspended, or no tofu-controller is there.
 * Throws ChangedMeanwhile, ClusterError, UnexpectedShape.
 */
export async function checkNobodyWorks(underWay: UnderWay): Promise<void> {
  const { object = '' } = underWay.run
  const cluster = await underWay.cluster()
  const raw = await getIfThere(cluster, refOfKey<'Terraform'>(object))
  if (raw === undefined || parseWorkload('Terraform', raw).suspended) return
  const controller = await readController(cluster)
  if (!controller || (controller.replicas === 0 && controller.pods.length === 0)) return
  throw new UnlockStopped('ChangedMeanwhile', `${object} was resumed.`, 'What a person decides stands.')
}

function changed({ object, field }: Change, why: string): UnlockStopped {
  return new UnlockStopped('ChangedMeanwhile', `${object} (${field}): ${why}.`, 'What a person decides stands.')
}
