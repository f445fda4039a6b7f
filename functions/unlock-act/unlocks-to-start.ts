import { each } from '../lib/each.ts'
import type { Observation } from '../lib/locks/scan/observation.ts'
import type { Ports } from '../lib/step.ts'
import {
  theScan,
  type UnlockInput,
  type UnlockRequest,
  unlockInputSchema,
  unlockRequest,
} from '../lib/unlock/unlock-request.ts'
import type { UnlockRun } from '../lib/unlock/unlock-run.ts'
import { unlockableOf } from '../lib/unlock/unlockable.ts'

/** A lock is tried once in this time, in milliseconds, counted from when it became stale. */
const everyMs = 60 * 60_000

/** What could not be unlocked so often needs a person. */
const mostAttempts = 3

/** In one cluster, in one scan. They wait for one another's turn; the next scan is near. */
const mostAtOnce = 10

/** Of a cluster, the newest: whatever may still be under way is among them. */
const runsLookedAt = 100

/** Clusters at a time. */
const width = 8

type ActPorts = Pick<Ports, 'ledger' | 'fleet' | 'clock' | 'log'>

/**
 * The unlocks to start now, of the locks that are stale in these clusters and that the policy does not leave to people:
 * those that were stale first, first. Each lock is tried at most once an hour and three times in all, and not while an
 * unlock of its place is under way. A suspect lock is only unlocked when a person asks for it. `observations` are the
 * latest ones. Rejects with LedgerUnavailable.
 */
export async function unlocksToStart(
  clusters: readonly string[],
  observations: readonly Observation[],
  ports: ActPorts,
): Promise<UnlockRequest[]> {
  const starts = new Map<string, UnlockRequest[]>()
  await each(clusters, width, async (cluster) => {
    const stale = observations.flatMap((observation) => staleLock(cluster, observation, ports))
    starts.set(cluster, stale.length === 0 ? [] : await startsOf(cluster, stale, ports))
  })
  return clusters.flatMap((cluster) => starts.get(cluster) ?? [])
}

interface StaleLock extends UnlockInput {
  readonly object: string
  readonly since: number
}

function staleLock(cluster: string, observation: Observation, { fleet, log }: ActPorts): StaleLock[] {
  if (observation.judgement.verdict !== 'stale') return []
  const unlockable = unlockableOf(observation, fleet)
  if ('outcome' in unlockable || unlockable.cluster !== cluster) return []
  const { key: place, verdictSince: since } = observation
  const asked = { place, lock: unlockable.lock.id, cluster, requestedBy: theScan, reason: 'a scan judged it stale' }
  const input = unlockInputSchema.safeParse(asked)
  // No OpenTofu writes such an id. It goes nowhere, and least of all into a state machine's input.
  if (!input.success) log.warn('left to a person: its lock has no id that can be handed on', { place, cluster })
  return input.success ? [{ ...input.data, object: unlockable.object, since }] : []
}

async function startsOf(cluster: string, stale: readonly StaleLock[], ports: ActPorts): Promise<UnlockRequest[]> {
  const { ledger, clock, log } = ports
  const runs = await ledger.listUnlockRuns(cluster, runsLookedAt)
  const ordered = [...stale].sort((a, b) => a.since - b.since || (a.place < b.place ? -1 : 1))
  const starts = ordered.flatMap(({ object, since, ...input }) => {
    const attempt = Math.floor((clock.now() - since) / everyMs)
    if (isUnderWay(input.place, runs)) return []
    if (attempt >= mostAttempts) {
      log.warn('left to a person: it was tried often enough', { cluster, object, place: input.place })
      return []
    }
    const request = unlockRequest({ ...input, attempt })
    return runs.some(({ unlock }) => unlock === request.name) ? [] : [request]
  })
  return starts.slice(0, mostAtOnce)
}

/** From the moment that it has written itself down, while it waits for people or for its turn as well. */
function isUnderWay(place: string, runs: readonly UnlockRun[]): boolean {
  return runs.some((run) => run.place === place && run.outcome === undefined)
}
