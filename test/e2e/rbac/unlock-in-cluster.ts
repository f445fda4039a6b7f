import { systemClock } from '../../../functions/lib/clock.ts'
import type { Cluster, ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import { LeaseLockStore } from '../../../functions/lib/locks/stores/lease-lock-store.ts'
import { makeChange } from '../../../functions/lib/unlock/change.ts'
import { writeOnDeployment } from '../../../functions/lib/unlock/deployment-intent.ts'
import type { Intent } from '../../../functions/lib/unlock/intent.ts'
import { restore } from '../../../functions/lib/unlock/restore.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { type Api, keyOf } from '../cluster/api.ts'
import { kinds } from '../cluster/kinds.ts'
import { controllerDeployment } from './controller-deployment.ts'
import { noting } from './noting.ts'

export interface UnlockInClusterOptions {
  /** As Lockstep. */
  readonly cluster: Cluster
  /** As admin. */
  readonly api: Api
  /** Where a Terraform object `vpc` is, and what else an unlock touches is made. */
  readonly namespace: string
}

const lock = '41f02d46-56c1-f301-2a82-f65b2ddf7b54'

/**
 * All that an unlock changes in a cluster: what its intent says, an idle runner, a copy of the state, the lock; and
 * everything back. Throws the first refusal.
 */
export async function unlockInCluster({ cluster, api, namespace }: UnlockInClusterOptions): Promise<void> {
  const refusals: ClusterError[] = []
  const deployment = await api.create(controllerDeployment(namespace, 1))
  const pod = await api.create(runner(namespace))
  await api.create(heldLease(namespace))
  const plan = { ...kinds.Terraform, status: { plan: { pending: 'plan-main-c1139c7fe7' } } }
  const vpc = await api.patch({ ...kinds.Terraform, namespace, name: 'vpc' }, plan, { subresource: 'status' })
  try {
    await unlock(noting(cluster, refusals), { deployment, pod, vpc })
  } catch (error) {
    if (refusals.length === 0) throw error
  } finally {
    // There is one tofu-controller in a cluster.
    await api.delete(keyOf(deployment))
  }
  const [first] = refusals
  if (first) throw first
}

type Objects = Readonly<Record<'deployment' | 'pod' | 'vpc', KubernetesObject>>

async function unlock(cluster: Cluster, { deployment, pod, vpc }: Objects): Promise<void> {
  const { namespace = '' } = vpc.metadata
  const ledger = new MemoryLedger(systemClock)
  const intent = intentOf(cluster, { deployment, vpc })
  await ledger.takeUnlock({ cluster: cluster.name, unlock: intent.unlock, leaseUntil: systemClock.now() + 60_000 })
  await ledger.writeIntent(intent)
  await writeOnDeployment(cluster, intent)
  for (const change of intent.changes) await makeChange(cluster, change, async () => {})
  await cluster.delete({ kind: 'Pod', namespace, name: pod.metadata.name }, { uid: pod.metadata.uid ?? '' })
  await cluster.create({ kind: 'Secret', namespace, name: 'lockstep-backup' }, { type: 'Opaque', immutable: true })
  const leases = new LeaseLockStore(cluster)
  const [held] = (await leases.list()).filter(({ record }) => record.info?.id === lock)
  if (held) await leases.deleteIfUnchanged(held)
  await restore(intent, { cluster, ledger, clock: systemClock })
}

function intentOf(cluster: Cluster, { deployment, vpc }: Omit<Objects, 'pod'>): Intent {
  const of = ({ kind, metadata }: KubernetesObject) => ({
    object: `${kind}/${metadata.namespace}/${metadata.name}`,
    uid: metadata.uid ?? '',
  })
  return {
    ...{ unlock: 'unlock-1', cluster: cluster.name, at: systemClock.now() },
    ...{ deployment: of(deployment), locked: { ...of(vpc), lock } },
    changes: [
      { ...of(vpc), field: 'suspend', from: null, to: true },
      { ...of(deployment), field: 'replicas', from: 1, to: 0 },
    ],
  }
}

function runner(namespace: string) {
  const containers = [{ name: 'tf-runner', image: 'runner' }]
  return { ...kinds.Pod, metadata: { namespace, name: 'vpc-tf-runner' }, spec: { containers } }
}

/** As OpenTofu takes it. */
function heldLease(namespace: string) {
  const record = { ID: lock, Operation: 'OperationTypeApply', Who: 'runner@vpc-tf-runner' }
  const annotations = { 'app.terraform.io/lock-info': JSON.stringify(record) }
  return {
    ...{ ...kinds.Lease, metadata: { namespace, name: 'lock-tfstate-default-vpc', annotations } },
    spec: { holderIdentity: lock },
  }
}
