import type { LockPorts } from '../lib/step.ts'
import { forgetPlan, requestRun } from '../lib/unlock/fresh-plan.ts'
import type { Intent } from '../lib/unlock/intent.ts'
import { holdsLocked, restore } from '../lib/unlock/restore.ts'
import { UnderWay } from '../lib/unlock/under-way.ts'
import { UnlockStopped } from '../lib/unlock/unlock-stopped.ts'

type Locked = Intent['locked']

export interface PutBack {
  /** How many fields the unlock was to change. */
  readonly held: number
  readonly undone: number
  /** What somebody else has decided on meanwhile, and stays. */
  readonly left: number
  /** A fresh plan was asked for. */
  readonly asked: boolean
}

/**
 * Puts back all that the unlock has changed. Once the lock is deleted it has the stored plan forgotten first, and asks for a
 * fresh one at the end; a run that was not unlocked is left to its schedule. The intent stays open until the unlock is
 * concluded: a request that was in flight may still arrive. Throws RestoreIncomplete, ClusterError, LedgerUnavailable: call
 * again.
 */
export async function putBack(unlock: string, ports: LockPorts): Promise<PutBack> {
  const underWay = await UnderWay.read(unlock, ports)
  const { locked, intent, deletedAt, cluster: name } = underWay.run
  const isUnlocked = deletedAt !== undefined
  // What has failed changes nothing more, be it that a try of it goes on somewhere.
  if (!isUnlocked && intent) await ports.ledger.beginRestore(name, unlock)
  if (isUnlocked && locked) await forget(locked, underWay, ports)
  if (!intent) return { held: 0, undone: 0, left: 0, asked: false }
  const cluster = await underWay.cluster()
  if (isUnlocked) await release(underWay, ports)
  const { undone, left, failed } = await restore(intent, { ...ports, cluster }, { keepOpen: true })
  if (failed.length > 0) {
    const what = failed.map(({ object, field, why }) => `${object} (${field}): ${why}`).join('; ')
    throw new UnlockStopped('RestoreIncomplete', `Not all could be put back in ${name}: ${what}.`, 'It is tried again.')
  }
  const asked = isUnlocked && (await askForPlan(underWay))
  return { held: intent.changes.length, undone: undone.length, left: left.length, asked }
}

/** Only while nothing works on the object: a plan that was made since is nobody's to forget. */
async function forget(locked: Locked, underWay: UnderWay, { clock }: LockPorts): Promise<void> {
  const { intent } = underWay.run
  const cluster = await underWay.cluster()
  if (intent && !(await holdsLocked(intent, cluster))) return
  await underWay.record('forget', 'having the plan forgotten that was made before the unlock', { ...locked })
  await forgetPlan(cluster, locked, clock.now())
}

/** From now on the object may run: what is written to its state until then was written by nobody who may. */
async function release(underWay: UnderWay, { locks, clock }: LockPorts): Promise<void> {
  const { held = [], releasedAt } = underWay.run
  if (releasedAt !== undefined) return
  await underWay.note({ held: [...held, await underWay.state(locks.states)], releasedAt: clock.now() })
}

async function askForPlan(underWay: UnderWay): Promise<boolean> {
  const { unlock, intent } = underWay.run
  if (!intent) return false
  const token = `unlocked-${unlock}`
  const { object } = intent.locked
  await underWay.record('replan', 'asking for a fresh plan', { object, token })
  if (!(await requestRun(await underWay.cluster(), intent.locked, token))) return false
  await underWay.note({ token })
  return true
}
