import { LockstepError } from '../lib/errors.ts'
import type { LockPorts } from '../lib/step.ts'
import { tell } from '../lib/tell.ts'
import { type Restored, restoreAbandoned } from '../lib/unlock/hold/restore.ts'
import { restoredEventOf, unlockEventOf } from '../lib/unlock/run/unlock-event.ts'
import type { UnlockRun } from '../lib/unlock/run/unlock-run.ts'

/** What became of what an unlock left behind: how many fields were put back, and how many left to who changed them. */
export interface Watched {
  /** Whose it was. Undefined where nothing was left behind. */
  readonly unlock?: string
  readonly undone: number
  readonly left: number
}

/** Something is still as an unlock has left it. */
export class UnlockNotRestored extends LockstepError {
  constructor(cluster: string, { unlock, failed }: Restored) {
    const what = failed.map(({ object, field, why }) => `${object} ${field} (${why})`).join('; ')
    super(
      'UnlockNotRestored',
      `Unlock ${unlock} could not put back everything in cluster ${cluster}: ${what}.`,
      'It is tried again, with every scan for locks. Grant what is refused, or put it back by hand.',
    )
  }
}

type WatchPorts = Pick<LockPorts, 'clusters' | 'ledger' | 'clock' | 'log' | 'events' | 'metrics'>

/**
 * Puts back what an execution left behind that has ended, however it has, and ends its unlock as failed unless it had ended
 * by itself. The cluster's turn is not free before a later `sweep` has found that nothing of it has come after that. Throws
 * UnlockNotRestored; ClusterError, LedgerUnavailable, EventsUnavailable and UnlockMoved for what can pass.
 */
export async function restoreEnded(unlock: string, why: string, ports: WatchPorts): Promise<Watched> {
  const { ledger } = ports
  const run = await ledger.readUnlockRun(unlock)
  // It never came as far as to write itself down, which it does before it changes anything.
  if (!run) return nothing
  const { cluster, intent } = run.value
  // One that had nothing to change is ended even where its cluster is out of reach: its lock is tried again.
  const turn = await ledger.readUnlock(cluster)
  const isOpen = intent !== undefined || (turn?.unlock === unlock && turn.intent !== undefined)
  const watched = isOpen ? await restoreIn(cluster, ports, unlock) : nothing
  await tellRestored(watched, ports)
  await endRun(unlock, why, ports)
  // It may have died with its turn, before it had anything to put back.
  await ledger.endUnlock(cluster, unlock)
  return watched
}

/** The same for a cluster, where nobody told of the end of an execution: by its turn that has run out. */
export async function sweep(cluster: string, ports: WatchPorts): Promise<Watched> {
  if (await isAtWork(cluster, ports)) return nothing
  const watched = await restoreIn(cluster, ports)
  await tellRestored(watched, ports)
  if (watched.unlock) await endRun(watched.unlock, 'nothing was heard of it any more', ports)
  return watched
}

/** One that has failed puts back by itself, and then says how it ended: it is not taken for dead meanwhile. */
async function isAtWork(cluster: string, { ledger, clock }: WatchPorts): Promise<boolean> {
  const turn = await ledger.readUnlock(cluster)
  if (!turn || turn.leaseUntil <= clock.now()) return false
  return (await ledger.readUnlockRun(turn.unlock))?.value.outcome === undefined
}

/** Counts what is still pending, as well where it cannot be looked at: then the ledger's word counts. */
async function restoreIn(cluster: string, ports: WatchPorts, ended?: string): Promise<Watched> {
  const { ledger, metrics } = ports
  try {
    const watched = await putBack(cluster, ports, ended)
    metrics.restore({ cluster, pending: false })
    return watched
  } catch (error) {
    const turn = await ledger.readUnlock(cluster).catch(() => undefined)
    const isLeft = error instanceof UnlockNotRestored || turn?.intent !== undefined
    metrics.restore({ cluster, pending: isLeft })
    throw error
  }
}

async function putBack(cluster: string, { clusters, ledger, clock, log }: WatchPorts, ended?: string) {
  const connected = await clusters.connect(cluster)
  const restored = await restoreAbandoned({ cluster: connected, ledger, clock }, { ...(ended && { ended }) })
  if (!restored) return nothing
  if (restored.failed.length > 0) throw new UnlockNotRestored(cluster, restored)
  const { unlock, undone, left } = restored
  const watched = { unlock, undone: undone.length, left: left.length }
  if (undone.length + left.length > 0) log.warn('put back what an unlock had left', { cluster, ...watched })
  return watched
}

/** It is looked for several times, as late changes may arrive: what has changed nothing is no news. */
async function tellRestored({ unlock, undone, left }: Watched, ports: WatchPorts): Promise<void> {
  if (unlock === undefined || undone + left === 0) return
  const run = (await ports.ledger.readUnlockRun(unlock))?.value
  if (run) await tell(restoredEventOf(run, 'watch', ports.clock.now()), ports)
}

async function endRun(unlock: string, why: string, { ledger, clock, events }: WatchPorts): Promise<void> {
  const stored = await ledger.readUnlockRun(unlock)
  if (!stored || stored.value.outcome !== undefined) return
  const at = clock.now()
  const run: UnlockRun = { ...stored.value, outcome: 'failed', why, endedAt: at }
  await ledger.appendAudit({ unlock, id: 'given up', at, what: 'given up', by: 'restore', detail: { why } })
  // Once it has ended nobody tells of it any more.
  await events.publish(unlockEventOf(run))
  await ledger.writeUnlockRun(run, stored.version)
}

const nothing: Watched = { undone: 0, left: 0 }
