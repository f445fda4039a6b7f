import { systemClock } from '../../../functions/lib/clock.ts'
import { type Fleet, parseFleet } from '../../../functions/lib/fleet.ts'
import { fleetLocks } from '../../../functions/lib/fleet-locks.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { type Host, startHost } from '../../../infra/local/host.ts'
import { kubeconfigClusters } from '../../../infra/local/kubernetes/kubeconfig-clusters.ts'
import { noActivity } from '../../../infra/local/virtual-clock.ts'

/** Where the states are that are not in the cluster. */
export const bucket = 'states'
export const table = 'locks'

const usual = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' }],
  locks: {
    ...{ dynamodb: [table], s3: [bucket] },
    minimumAge: { plan: '3m', apply: '10s' },
    policy: { staging: { plan: 'auto', apply: 'auto' } },
  },
})

/** Looks far more often than a fleet may have it, and calls a lock stale sooner: what is about time is shown in little of it. */
const fleet: Fleet = { ...usual, locks: { ...usual.locks, every: 5_000, quietWindow: 9_000 } }

export interface LockstepOptions {
  /** File; of the user lockstep. */
  readonly kubeconfig: string
  /** Keeps the ledger and the executions. */
  readonly directory?: string
}

/**
 * The local host on a real cluster: it looks for locks all the time, and unlocks by itself what is stale. AWS is where the
 * environment says.
 */
export function startLockstep({ kubeconfig, directory }: LockstepOptions): Promise<Host> {
  return startHost({
    ...{ fleet, clock: systemClock, activity: noActivity, webhookSecret: 'a secret of the tests', log: silentLog },
    clusters: kubeconfigClusters({ clock: systemClock, file: kubeconfig }),
    locks: fleetLocks(fleet),
    ...(directory !== undefined && { directory }),
  })
}
