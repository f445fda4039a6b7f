import { isHeld, makeChange, standingOf } from './change.ts'
import type { Change } from './intent.ts'
import type { UnderWay } from './under-way.ts'
import { UnlockStopped } from './unlock-stopped.ts'

/**
 * Makes one change of the intent, once; each is in the audit before it is made. Throws ChangedMeanwhile where somebody else
 * has decided on it since it was written down, TurnLost, ClusterError.
 */
export async function hold(change: Change, underWay: UnderWay): Promise<void> {
  const { object, field, from, to } = change
  await underWay.renewTurn()
  const detail = { object, field, from: JSON.stringify(from), to: JSON.stringify(to) }
  await underWay.record(`change/${object}/${field}`, 'changing', detail)
  const standing = await makeChange(await underWay.cluster(), change)
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

function changed({ object, field }: Change, why: string): UnlockStopped {
  return new UnlockStopped('ChangedMeanwhile', `${object} (${field}): ${why}.`, 'What a person decides stands.')
}
