import type { Observation } from '../lib/locks/scan/observation.ts'
import type { LockPorts } from '../lib/step.ts'
import { judgedAfresh } from '../lib/unlock/run/judged-afresh.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'
import { UnlockStopped } from '../lib/unlock/run/unlock-stopped.ts'
import { judgedIn, verdictIn } from './assess.ts'

/** A proof of death that only has to hold for longer. */
const becomesStale: ReadonlySet<string> = new Set(['dead-but-not-quiet', 'dead-but-young'])

const shortestWaitMs = 5_000
const longestWaitMs = 10 * 60_000

/**
 * Judges the lock once more, behind the fence: only a stale one is unlocked. Answers how long to wait before it is called
 * again, in seconds; 0 where it is stale. Throws NotStale, LockChanged, ScanBusy, TurnLost.
 */
export async function judgeAgain(unlock: string, ports: LockPorts): Promise<number> {
  const underWay = await UnderWay.read(unlock, ports)
  await underWay.renewTurn()
  const observation = await judgedAfresh(underWay.run, ports)
  const { verdict, rule, reasons } = observation.judgement
  const { at } = observation.evidence
  await underWay.record(`judged-again/${observation.version}`, 'judged again', verdictIn(observation))
  if (verdict === 'stale') {
    await underWay.note({ judged: judgedIn(observation) })
    return 0
  }
  const since = await underWay.waitingSince('the lock to be stale')
  const { drainMs = 0 } = underWay.run.fence ?? {}
  if (becomesStale.has(rule) && at < since + drainMs) return waitSeconds(observation, ports)
  // What could not be read once may be read a moment later. The fence stands.
  if (verdict === 'unknown' && at < since + ports.fleet.locks.quietWindow) return shortestWaitMs / 1_000
  throw new UnlockStopped(
    'NotStale',
    `Judged again, the lock is ${verdict}: ${reasons.join('; ')}.`,
    'It is left alone.',
  )
}

/** Until nothing has moved for the quiet window, as far as can be told now. */
function waitSeconds({ evidence: { at, sight } }: Observation, { fleet }: LockPorts): number {
  const quietSince = Math.max(sight.unchangedSince, sight.deadSince ?? at)
  const left = quietSince + fleet.locks.quietWindow - at
  return Math.ceil(Math.min(Math.max(left, shortestWaitMs), longestWaitMs) / 1_000)
}
