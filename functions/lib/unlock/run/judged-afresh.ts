import { judgeCluster } from '../../../judge/judge.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import { clusterOf } from '../../rollout/rollout-step.ts'
import type { LockPorts } from '../../step.ts'
import type { UnlockRun } from './unlock-run.ts'
import { UnlockStopped } from './unlock-stopped.ts'

/**
 * Judges the lock of an unlock by evidence that is gathered after this was called. It scans the whole cluster, as the
 * schedule does: whose lock it is follows from all objects. Throws ScanBusy; LockChanged where it is another lock by now.
 */
export async function judgedAfresh(run: UnlockRun, ports: LockPorts): Promise<Observation> {
  const { unlock, cluster, place, lock } = run
  const from = ports.clock.now()
  const { skipped } = await judgeCluster(clusterOf(ports.fleet, cluster), unlock, ports)
  if (skipped) throw busy(cluster)
  const observation = await ports.ledger.readObservation(place)
  if (!observation) {
    throw new UnlockStopped('UnlockRefused', `No lock is known at place ${place}.`, 'Look for it with the next scan.')
  }
  // One that was free already is not written down again.
  if (observation.judgement.verdict === 'free') return observation
  // Another scan was faster, and has looked earlier.
  if (observation.evidence.at < from) throw busy(cluster)
  const { record } = observation.evidence.lock
  if (record && record.id !== lock) {
    throw new UnlockStopped(
      'LockChanged',
      `The lock that was to be unlocked is gone, and somebody else holds the state now (${record.user}@${record.host}).`,
      'Let them finish.',
    )
  }
  return observation
}

function busy(cluster: string): UnlockStopped {
  return new UnlockStopped('ScanBusy', `A scan of cluster ${cluster} is at work.`, 'It is tried again.')
}
