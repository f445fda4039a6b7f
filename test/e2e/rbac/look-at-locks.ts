import { systemClock } from '../../../functions/lib/clock.ts'
import type { Cluster, ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import { ClusterLook } from '../../../functions/lib/locks/evidence/cluster-look.ts'
import { LeaseLockStore } from '../../../functions/lib/locks/stores/lease-lock-store.ts'
import { readClusterNow } from '../../../functions/lib/unlock/plan/read-cluster-now.ts'
import { type Api, keyOf } from '../cluster/api.ts'
import { controllerDeployment } from './controller-deployment.ts'
import { noting } from './noting.ts'

export interface LookAtLocksOptions {
  /** As Lockstep. */
  readonly cluster: Cluster
  /** As admin. */
  readonly api: Api
  /** Where a Deployment of tofu-controller may be made for it. */
  readonly namespace: string
}

/**
 * All that a scan of locks reads in a cluster, and what a dry run of an unlock reads besides. Nothing of it needs to exist, but for tofu-controller's Deployment, by
 * which its pods are found. Throws the first refusal, which in the evidence is but an unknown piece.
 */
export async function lookAtLocks({ cluster, api, namespace }: LookAtLocksOptions): Promise<void> {
  const refusals: ClusterError[] = []
  const watched = noting(cluster, refusals)
  const deployment = await api.create(controllerDeployment(namespace, 0))
  try {
    await readAll(new ClusterLook({ cluster: watched, clock: systemClock }), new LeaseLockStore(watched), {
      cluster: cluster.name,
      namespace,
    })
    await readClusterNow(watched, { namespace, name: 'vpc', region: 'us-east-1' })
  } finally {
    await api.delete(keyOf(deployment))
  }
  const [first] = refusals
  if (first) throw first
}

async function readAll(
  look: ClusterLook,
  store: LeaseLockStore,
  { cluster, namespace }: { cluster: string; namespace: string },
): Promise<void> {
  const at = { namespace, name: 'vpc' }
  const lease = { store: 'kubernetes', cluster, namespace, name: 'lock-tfstate-default-vpc' } as const
  await Promise.allSettled([
    store.list(),
    store.read(lease),
    ...[look.terraforms(), look.leases()],
    ...[look.pod(at), look.nodes('none-of-that-name'), look.controller(), look.object(at)],
    ...(['Secret', 'ConfigMap'] as const).map((kind) => look.readConfiguration({ kind, ...at })),
  ])
}
