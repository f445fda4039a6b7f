import type { LockPorts } from '../lib/step.ts'
import { tell } from '../lib/tell.ts'
import { holdForPerson } from '../lib/unlock/hold/hold-for-person.ts'
import { checkRestored, restore } from '../lib/unlock/hold/restore.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'
import { restoredEventOf, unlockEventOf } from '../lib/unlock/run/unlock-event.ts'
import type { UnlockOutcome } from '../lib/unlock/run/unlock-run.ts'
import { isRefusal } from '../lib/unlock/run/unlock-stopped.ts'

/** What ended an unlock before it was through. */
export interface Ended {
  /** The error's name. */
  readonly error: string
  /** For people. */
  readonly why: string
}

/**
 * Looks once more that everything is back, gives the cluster's turn back, and tells how the unlock ended. What was in flight
 * when a step was given up may have arrived after it was put back: that is why it looks again. Throws RestoreIncomplete,
 * ClusterError, LedgerUnavailable, EventsUnavailable: call again.
 */
export async function conclude(
  unlock: string,
  ended: Ended | undefined,
  ports: LockPorts,
): Promise<{ readonly outcome: UnlockOutcome; readonly why: string }> {
  const underWay = await UnderWay.read(unlock, ports)
  const { cluster: name, deletedAt } = underWay.run
  await closeIntent(underWay, ports)
  if (ended?.error === 'StateDiverged') await holdDiverged(underWay)
  await ports.ledger.endUnlock(name, unlock)
  // Whoever has put it back: by now it is.
  if (underWay.run.intent) await tell(restoredEventOf(underWay.run, 'unlock', ports.clock.now()), ports)
  const outcome = outcomeOf(ended, deletedAt !== undefined || (await hasDeleted(unlock, ports)))
  const why = ended ? `${ended.error}: ${ended.why}` : ''
  await underWay.record('ended', 'the unlock has ended', { outcome, why })
  if (underWay.run.outcome === undefined) {
    await underWay.note({ outcome, endedAt: ports.clock.now(), ...(why !== '' && { why }) })
  }
  await ports.events.publish(unlockEventOf(underWay.run))
  return { outcome, why }
}

async function closeIntent(underWay: UnderWay, ports: LockPorts): Promise<void> {
  const { cluster: name, unlock } = underWay.run
  const turn = await ports.ledger.readUnlock(name)
  // It has changed nothing, or somebody else has put back everything: the watchdog, or the sweep.
  if (turn?.unlock !== unlock || !turn.intent) return
  checkRestored(await restore(turn.intent, { ...ports, cluster: await underWay.cluster() }), name)
}

/**
 * Nothing may be built on a state that somebody must look at first: the object stays suspended until a person resumes it,
 * and whatever depends on it waits.
 */
async function holdDiverged(underWay: UnderWay): Promise<void> {
  const { locked, unlock } = underWay.run
  if (!locked) return
  await underWay.record('held', 'suspending the object: its state has diverged', { object: locked.object })
  await holdForPerson(await underWay.cluster(), locked, `unlock ${unlock}: its state has diverged`)
}

/** One of two parts of a lock may be deleted when the other one turns out to have changed: that is no mere refusal. */
async function hasDeleted(unlock: string, { ledger }: LockPorts): Promise<boolean> {
  return (await ledger.listAudit(unlock)).some(({ id }) => id.startsWith('deleted/'))
}

function outcomeOf(ended: Ended | undefined, isDeleted: boolean): UnlockOutcome {
  if (!ended) return 'unlocked'
  return isRefusal(ended.error) && !isDeleted ? 'refused' : 'failed'
}
