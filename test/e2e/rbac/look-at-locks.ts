import { systemClock } from '../../../functions/lib/clock.ts'
import { type Cluster, ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import { ClusterLook } from '../../../functions/lib/locks/evidence/cluster-look.ts'
import { LeaseLockStore } from '../../../functions/lib/locks/stores/lease-lock-store.ts'
import type { Api } from '../cluster/api.ts'
import { kinds } from '../cluster/kinds.ts'

export interface LookAtLocksOptions {
  /** As Lockstep. */
  readonly cluster: Cluster
  /** As admin. */
  readonly api: Api
  /** Where a Deployment of tofu-controller may be made for it. */
  readonly namespace: string
}

/**
 * All that a scan of locks reads in a cluster. Nothing of it needs to exist, but for tofu-controller's Deployment, by
 * which its pods are found. Throws the first refusal, which in the evidence is but an unknown piece.
 */
export async function lookAtLocks({ cluster, api, namespace }: LookAtLocksOptions): Promise<void> {
  const refusals: ClusterError[] = []
  const watched = noting(cluster, refusals)
  const name = 'tofu-controller'
  const deployment = { ...kinds.Deployment, namespace, name }
  await api.create(controller(namespace, name))
  try {
    await readAll(new ClusterLook({ cluster: watched, clock: systemClock }), new LeaseLockStore(watched), {
      cluster: cluster.name,
      namespace,
    })
  } finally {
    await api.delete(deployment)
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

/** The same cluster; what it refuses is written down. */
function noting(cluster: Cluster, refusals: ClusterError[]): Cluster {
  const noted = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (error instanceof ClusterError && error.name !== 'ClusterNotFound') refusals.push(error)
      throw error
    }
  }
  return {
    name: cluster.name,
    list: (kind, options) => noted(cluster.list(kind, options)),
    get: (ref) => noted(cluster.get(ref)),
    patch: (ref, patch) => noted(cluster.patch(ref, patch)),
    create: (ref, content) => noted(cluster.create(ref, content)),
    delete: (ref, options) => noted(cluster.delete(ref, options)),
    watch: (...watch) => noted(cluster.watch(...watch)),
  }
}

/** As the chart makes it, without a replica. */
function controller(namespace: string, name: string) {
  const labels = { 'app.kubernetes.io/name': name }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'manager', image: 'manager' }] } }
  return {
    ...kinds.Deployment,
    metadata: { namespace, name, labels },
    spec: { replicas: 0, selector: { matchLabels: labels }, template },
  }
}
