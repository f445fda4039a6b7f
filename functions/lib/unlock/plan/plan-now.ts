import type { Fleet } from '../../fleet.ts'
import type { ClusterAccess } from '../../kubernetes/cluster-access.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { whyFailed } from '../../locks/scan/lock-access.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import type { ClusterNow } from './cluster-now.ts'
import { nothingRead, readClusterNow } from './read-cluster-now.ts'
import type { Refused } from './refusal.ts'
import { planUnlock, type UnlockPlan } from './unlock-plan.ts'
import { type Unlockable, unlockableOf } from './unlockable.ts'

export interface PlanPorts {
  readonly clusters: ClusterAccess
  readonly ledger: Pick<Ledger, 'listObservations' | 'listUnlockRuns'>
  readonly fleet: Pick<Fleet, 'clusters' | 'locks'>
}

/**
 * What an unlock of the lock of an observation does, as the cluster is now, or why it is refused. Reads the cluster only
 * where the verdict and the policy do not refuse it already, and changes nothing. Rejects with LedgerUnavailable.
 */
export async function planNow(observation: Observation, ports: PlanPorts): Promise<UnlockPlan | Refused> {
  const { fleet, ledger } = ports
  const unlockable = unlockableOf(observation, fleet)
  if ('outcome' in unlockable) return unlockable
  const { cluster, lock } = unlockable
  const [now, observations, runs] = await Promise.all([
    readNow(unlockable, ports),
    ledger.listObservations(cluster),
    ledger.listUnlockRuns(cluster, lookedBackAt),
  ])
  const isAssistedInVain = runs.some(
    ({ releasedAt, ...run }) =>
      run.lock === lock.id &&
      run.rung === 'controller-assisted' &&
      run.outcome === 'failed' &&
      releasedAt !== undefined,
  )
  return planUnlock(observation, { fleet, now, ghosts: ghostsAmong(observations, cluster), isAssistedInVain })
}

/** Earlier unlocks of a cluster that are looked at: what was tried in vain is not tried again. */
const lookedBackAt = 20

async function readNow({ cluster, object }: Unlockable, { clusters, fleet }: PlanPorts): Promise<ClusterNow> {
  const [, namespace = '', name = ''] = object.split('/')
  const region = fleet.clusters.find((each) => each.name === cluster)?.region ?? ''
  try {
    return await readClusterNow(await clusters.connect(cluster), { namespace, name, region })
  } catch (error) {
    return nothingRead(whyFailed(error))
  }
}

/** Objects whose runners are proven dead: what their runs wait for never comes. */
export function ghostsAmong(observations: readonly Observation[], cluster: string): ReadonlySet<string> {
  // The runs of a loud ghost end by themselves, again and again.
  const stale = observations.filter(
    ({ judgement: { verdict, scene } }) => verdict === 'stale' && scene === 'silent ghost',
  )
  return new Set(stale.flatMap(({ evidence: { owner } }) => (owner?.cluster === cluster ? owner.object : [])))
}
