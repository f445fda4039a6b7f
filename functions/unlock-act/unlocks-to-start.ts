import { outcomeOf } from '../lib/approval/approval.ts'
import { each } from '../lib/each.ts'
import type { Observation } from '../lib/locks/scan/observation.ts'
import type { Ports } from '../lib/step.ts'
import { unlockableOf } from '../lib/unlock/plan/unlockable.ts'
import {
  theScan,
  type UnlockInput,
  type UnlockRequest,
  unlockInputSchema,
  unlockRequest,
} from '../lib/unlock/run/unlock-request.ts'
import type { UnlockRun } from '../lib/unlock/run/unlock-run.ts'

/** A lock is tried once in this time, in milliseconds. */
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
 * those that were stale first, first. Each lock is tried at most once an hour and three times in all, not while an unlock
 * of its place is under way, and not after somebody has denied it. A suspect lock is only unlocked when a person asks for
 * it. `observations` are the latest ones. Rejects with LedgerUnavailable.
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
  if (!input.success) log.warn('left to a person', { cluster, place, why: 'its lock has no id that can be handed on' })
  return input.success ? [{ ...input.data, object: unlockable.object, since }] : []
}

async function startsOf(cluster: string, stale: readonly StaleLock[], ports: ActPorts): Promise<UnlockRequest[]> {
  const { ledger, clock, log } = ports
  const runs = await ledger.listUnlockRuns(cluster, runsLookedAt)
  const denied = await deniedAmong(stale, runs, ports)
  const ordered = [...stale].sort((a, b) => a.since - b.since || (a.place < b.place ? -1 : 1))
  const starts = ordered.flatMap(({ object, since: _, ...input }) => {
    if (isUnderWay(input.place, runs)) return []
    // One that never came to its turn has tried nothing.
    const tried = runs.filter((run) => run.lock === input.lock && run.place === input.place)
    const begun = tried.filter(({ begunAt, outcome }) => begunAt !== undefined || outcome === 'refused')
    const latest = Math.max(...tried.map(({ requestedAt }) => requestedAt))
    if (begun.length < mostAttempts && latest > clock.now() - everyMs) return []
    if (begun.length >= mostAttempts || denied.has(input.lock)) {
      const why = denied.has(input.lock) ? 'somebody has denied it' : 'it was tried often enough'
      log.warn('left to a person', { cluster, object, place: input.place, why })
      return []
    }
    // Scans that overlap ask for the same one: only the first of them starts it.
    return [unlockRequest({ ...input, attempt: tried.length })]
  })
  return starts.slice(0, mostAtOnce)
}

/** The ids of those that people were asked about, and somebody said no to: nobody is asked again. */
async function deniedAmong(
  stale: readonly StaleLock[],
  runs: readonly UnlockRun[],
  { ledger }: ActPorts,
): Promise<ReadonlySet<string>> {
  const refused = runs.filter((run) => run.outcome === 'refused' && stale.some(({ lock }) => lock === run.lock))
  const denied = new Set<string>()
  await each(refused, width, async ({ unlock, lock }) => {
    const approval = await ledger.readApproval(unlock)
    if (approval && outcomeOf(approval) === 'denied') denied.add(lock)
  })
  return denied
}

/** From the moment that it has written itself down, while it waits for people or for its turn as well. */
function isUnderWay(place: string, runs: readonly UnlockRun[]): boolean {
  return runs.some((run) => run.place === place && run.outcome === undefined)
}
