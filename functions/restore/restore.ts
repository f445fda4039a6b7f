import { branchOf } from '../lib/rollout/branch.ts'
import { tellRollout } from '../lib/rollout/rollout-events.ts'
import type { ClusterPorts } from '../lib/step.ts'
import { handBackPlans } from '../release/hand-back-plans.ts'
import { type Released, releaseBranch } from '../release/release.ts'
import { concludeRollout } from '../report/report.ts'

/** An execution that is over, as far as anybody can tell. */
export interface EndedRollout {
  /** Its name. */
  readonly rollout: string
  readonly error: string
  readonly cause: string
  /** Somebody has stopped it. */
  readonly stopped?: boolean
}

/**
 * Puts back what an execution left behind that did not end by itself: opens its gates and frees its claim, or hands
 * both to the push that waits. One that failed in good order has done so already: then nothing changes.
 * Throws ClusterError, GatesLeft, LedgerUnavailable and RolloutMoved.
 */
export async function restoreRollout(
  { rollout: id, error, cause, stopped }: EndedRollout,
  ports: Omit<ClusterPorts, 'sliceMs'>,
): Promise<Released> {
  const { ledger, clusters, clock } = ports
  const stored = await ledger.readRollout(id)
  // It never came as far as its claim: there is nothing of it anywhere.
  if (!stored) return { opened: 0 }
  const rollout = stored.value
  if (rollout.outcome === undefined) {
    if (stopped) rollout.stopped = true
    concludeRollout(rollout, clock.now(), { error, cause })
    await ledger.writeRollout(rollout, stored.version)
  }
  await tellRollout(rollout, ports)
  const cluster = await clusters.connect(rollout.cluster)
  await handBackPlans(rollout, cluster, ports.log)
  return releaseBranch({ rollout: id, branch: branchOf(rollout.push) }, { cluster, ledger, clock })
}
