import { placeKeyOf } from '../lib/locks/scan/observation.ts'
import { addressText, type FoundLock } from '../lib/locks/stores/lock-store.ts'
import type { LockPorts } from '../lib/step.ts'
import { checkHeld, checkNobodyWorks } from '../lib/unlock/hold/hold.ts'
import type { Change } from '../lib/unlock/hold/intent.ts'
import { readController } from '../lib/unlock/plan/read-cluster-now.ts'
import { forgetPlan } from '../lib/unlock/run/fresh-plan.ts'
import { checkUnchanged, LockParts } from '../lib/unlock/run/lock-parts.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'
import type { UnlockRun } from '../lib/unlock/run/unlock-run.ts'
import { UnlockStopped } from '../lib/unlock/run/unlock-stopped.ts'

/**
 * Deletes the lock, each of its parts only if it is exactly what was judged, behind a fence that still stands. Answers
 * whether it was us: a lock that somebody has released meanwhile is as good. Throws LockChanged, ChangedMeanwhile, TurnLost,
 * LockStoreError, ClusterError.
 */
export async function deleteLock(unlock: string, ports: LockPorts): Promise<{ readonly deleted: boolean }> {
  const underWay = await UnderWay.read(unlock, ports)
  const { where, judged } = underWay.run
  if (!where || !judged) throw new TypeError(`Unlock ${unlock} was not begun.`)
  await checkFence(underWay)
  const parts = new LockParts(where.parts, ports.locks, await underWay.cluster())
  // The answer to an earlier try may be lost: what it has said that it would delete, it may have deleted.
  const earlier = new Set((await ports.ledger.listAudit(unlock)).map(({ id }) => id))
  const found = await parts.readAll()
  for (const each of found) checkUnchanged(each, judged)
  const isThere = (address: string) => found.some((each) => addressText(each.address) === address)
  const missing = judged.parts.filter(({ address }) => !isThere(address))
  const released = missing.filter(({ address }) => !earlier.has(idOf(address)))
  if (released.length > 0 && found.length > 0) throw halfReleased(released[0]?.address ?? '')
  await forgetStoredPlan(underWay, ports)
  const begunAt = ports.clock.now()
  for (const each of found) await deletePart(each, parts, underWay)
  // As it was before: whoever lets the object go just now may write.
  await underWay.note({ deletedAt: begunAt, held: [await underWay.state(ports.locks.states)] })
  return { deleted: released.length === 0 }
}

/** Behind the fence, and before the lock goes: whoever works on the object from then on plans afresh. */
async function forgetStoredPlan(underWay: UnderWay, { clock }: LockPorts): Promise<void> {
  const { locked } = underWay.run
  if (!locked) return
  await underWay.renewTurn()
  await underWay.record('forget', 'having the plan forgotten that was made before the unlock', { ...locked })
  await forgetPlan(await underWay.cluster(), locked, clock.now())
}

async function deletePart(found: FoundLock, parts: LockParts, underWay: UnderWay): Promise<void> {
  const address = addressText(found.address)
  await underWay.renewTurn()
  await underWay.record(idOf(address), 'deleting the lock', { address, lock: rawOf(found) })
  await parts.delete(found)
  await underWay.record(`deleted/${placeKeyOf([address])}`, 'the lock is deleted', { address })
}

/** Of the audit's record: addresses may be longer than an id. */
function idOf(address: string): string {
  return `delete/${placeKeyOf([address])}`
}

/** Its holder may be about to release the other one. */
function halfReleased(address: string): UnlockStopped {
  return new UnlockStopped('LockChanged', `Somebody else has released ${address}.`, 'The rest is left alone.')
}

/** Keeps the controller from the locked object. */
function isFence({ field, object: held }: Change, { object }: UnlockRun): boolean {
  return field === 'replicas' || (field === 'suspend' && held === object)
}

/** As it was stored: names and times, and nothing secret. */
function rawOf({ record, holderIdentity }: FoundLock): string {
  return record.raw ?? holderIdentity ?? ''
}

/** Nobody but a person may have come near. What is held for other objects does not matter for this lock. */
async function checkFence(underWay: UnderWay): Promise<void> {
  const { intent, rung } = underWay.run
  await checkHeld(intent?.changes.filter((change) => isFence(change, underWay.run)) ?? [], underWay)
  await checkNobodyWorks(underWay)
  if (rung === 'quiesce' && ((await readController(await underWay.cluster()))?.pods.length ?? 0) > 0) {
    throw new UnlockStopped('ChangedMeanwhile', 'A pod of tofu-controller runs again.', 'What a person decides stands.')
  }
}
