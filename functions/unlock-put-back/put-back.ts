import { whyFailed } from '../lib/locks/scan/lock-access.ts'
import type { LockPorts } from '../lib/step.ts'
import type { Intent } from '../lib/unlock/hold/intent.ts'
import { checkRestored, holdsLocked, restore } from '../lib/unlock/hold/restore.ts'
import { requestRun } from '../lib/unlock/run/fresh-plan.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'

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
 * Puts back all that the unlock has changed. Once the lock is deleted it asks for a fresh plan at the end; an object that was
 * not unlocked is left to its schedule. The intent stays open until the unlock is
 * concluded: a request that was in flight may still arrive. Throws RestoreIncomplete, ClusterError, LedgerUnavailable: call
 * again.
 */
export async function putBack(unlock: string, ports: LockPorts): Promise<PutBack> {
  const underWay = await UnderWay.read(unlock, ports)
  const { deletedAt, cluster: name } = underWay.run
  const isUnlocked = deletedAt !== undefined
  const intent = await underWay.intent()
  if (isUnlocked) await release(intent, underWay, ports)
  if (!intent) return { held: 0, undone: 0, left: 0, asked: false }
  // From now on it changes nothing more, be it that a try of an earlier step goes on somewhere.
  await ports.ledger.beginRestore(name, unlock)
  await underWay.keepTurn()
  const cluster = await underWay.cluster()
  const restored = await restore(intent, { ...ports, cluster }, { keepOpen: true })
  checkRestored(restored, name)
  const asked = isUnlocked && (await askForPlan(underWay))
  return { held: intent.changes.length, undone: restored.undone.length, left: restored.left.length, asked }
}

/**
 * From now on the object may run: what is written to its state until then was written by nobody who may. Where we do not hold it
 * any more, it may have run ever since the lock was gone.
 */
async function release(intent: Intent | undefined, underWay: UnderWay, ports: LockPorts): Promise<void> {
  const { locks, clock, log } = ports
  const { unlock, held = [], releasedAt, deletedAt } = underWay.run
  if (releasedAt !== undefined) return
  if (!intent || !(await holdsLocked(intent, await underWay.cluster()))) {
    await underWay.note({ held: [], ...(deletedAt !== undefined && { releasedAt: deletedAt }) })
    return
  }
  // Verification is told less where it cannot be read; nothing may stay held for that.
  const state = await underWay.state(locks.states).catch((error: unknown) => {
    log.warn('a state could not be read before its object runs again', { unlock, why: whyFailed(error) })
  })
  await underWay.note({ held: [...held, ...(state ? [state] : [])], releasedAt: clock.now() })
}

async function askForPlan(underWay: UnderWay): Promise<boolean> {
  const { unlock, locked } = underWay.run
  if (!locked) return false
  const token = `unlocked-${unlock}`
  const { object } = locked
  await underWay.record('replan', 'asking for a fresh plan', { object, token })
  if (!(await requestRun(await underWay.cluster(), locked, token))) return false
  await underWay.note({ token })
  return true
}
