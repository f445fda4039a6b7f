import { gzipSync } from 'node:zlib'
import { systemClock } from '../../../functions/lib/clock.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import type { Cluster, ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import { joinedLock } from '../../../functions/lib/locks/evidence/joined-lock.ts'
import { placeKey } from '../../../functions/lib/locks/scan/observation.ts'
import { readLockRecord } from '../../../functions/lib/locks/stores/lock-info.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { bindStep, type LockPorts } from '../../../functions/lib/step.ts'
import type { Intent } from '../../../functions/lib/unlock/hold/intent.ts'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import { step as backUp } from '../../../functions/unlock-back-up/handler.ts'
import { step as begin } from '../../../functions/unlock-begin/handler.ts'
import { step as conclude } from '../../../functions/unlock-conclude/handler.ts'
import { step as deleteLock } from '../../../functions/unlock-delete/handler.ts'
import { fenceParts } from '../../../functions/unlock-fence/fence.ts'
import { step as fence } from '../../../functions/unlock-fence/handler.ts'
import { step as putBack } from '../../../functions/unlock-put-back/handler.ts'
import { noLocks } from '../../../infra/local/host.ts'
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
const recordText = JSON.stringify({ ID: lock, Operation: 'OperationTypeApply', Who: 'runner@vpc-tf-runner' })

/**
 * All that an unlock changes in a cluster: what its intent says, an idle runner, a copy of the state, the lock; and
 * everything back. Throws the first refusal that kept it from that.
 */
export async function unlockInCluster({ cluster, api, namespace }: UnlockInClusterOptions): Promise<void> {
  const refusals: ClusterError[] = []
  const deployment = await api.create(controllerDeployment(namespace, 1))
  await api.create(runner(namespace))
  const lease = await api.create(heldLease(namespace))
  const state = await api.create(stateSecret(namespace))
  const plan = { ...kinds.Terraform, status: { plan: { pending: 'plan-main-c1139c7fe7' } } }
  const vpc = await api.patch({ ...kinds.Terraform, namespace, name: 'vpc' }, plan, { subresource: 'status' })
  try {
    await unlock(noting(cluster, refusals), { deployment, vpc, lease, state })
  } catch (error) {
    if (refusals.length === 0) throw error
  } finally {
    // There is one tofu-controller in a cluster.
    await api.delete(keyOf(deployment))
  }
  const [first] = refusals
  if (first) throw first
}

type Objects = Readonly<Record<'deployment' | 'vpc' | 'lease' | 'state', KubernetesObject>>

/** The steps of the state machine that change something, in its order. */
async function unlock(cluster: Cluster, objects: Objects): Promise<void> {
  const ledger = new MemoryLedger(systemClock)
  const run = runOf(cluster, objects)
  const { unlock, intent } = run
  await ledger.writeUnlockRun(run, 0)
  await ledger.takeUnlock({ cluster: cluster.name, unlock, leaseUntil: systemClock.now() + 600_000 })
  // As after an earlier try of the first step: how the plan is made is the matter of what is only read.
  if (intent) await ledger.writeIntent(intent)
  const ports: LockPorts = {
    ...{ ledger, clock: systemClock, log: silentLog, sliceMs: 20_000 },
    fleet: parseFleet({
      repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
      clusters: [{ name: cluster.name, eks: cluster.name, region: 'us-east-1', environment: 'staging' }],
    }),
    ...{ clusters: { connect: async () => cluster }, locks: noLocks, metrics: silentMetrics },
    events: { publish: async () => {} },
  }
  await bindStep(begin, () => ports)({ unlock })
  for (const part of fenceParts) await bindStep(fence, () => ports)({ unlock, part })
  await bindStep(backUp, () => ports)({ unlock })
  await bindStep(deleteLock, () => ports)({ unlock, by: 'lockstep' })
  await bindStep(putBack, () => ports)({ unlock })
  const { outcome } = (await bindStep(conclude, () => ports)({ unlock })) as { outcome: string }
  if (outcome !== 'unlocked') throw new Error(`The unlock has ${outcome}.`)
}

/** A quiesce that was planned and judged. */
function runOf(cluster: Cluster, objects: Objects): UnlockRun {
  const { vpc, lease, state } = objects
  const of = { store: 'kubernetes', cluster: cluster.name, namespace: vpc.metadata.namespace ?? '' } as const
  const held = {
    address: { ...of, name: lease.metadata.name },
    record: readLockRecord(recordText),
    holderIdentity: lock,
  }
  const { parts } = joinedLock([{ ...held, version: lease.metadata.resourceVersion ?? '' }])
  const intent = intentOf(cluster, objects)
  return {
    ...{
      unlock: intent.unlock,
      cluster: cluster.name,
      place: placeKey([held.address]),
      lock,
      object: intent.locked.object,
    },
    ...{ requestedBy: 'ana', reason: 'a test', requestedAt: systemClock.now(), rung: 'quiesce', locked: intent.locked },
    where: { parts: [held.address], state: { ...of, name: state.metadata.name } },
    judged: { at: 0, rule: 'dead', reasons: [], parts, state: state.metadata.resourceVersion ?? '' },
    fence: { hanging: [], drainMs: 20_000, stopMs: 20_000, runnerMs: 20_000, planMs: 20_000 },
    intent,
  }
}

function intentOf(cluster: Cluster, { deployment, vpc }: Objects): Intent {
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

/** As OpenTofu keeps it. */
function stateSecret(namespace: string) {
  const tfstate = gzipSync(JSON.stringify({ version: 4, serial: 1, lineage: 'of-the-test' })).toString('base64')
  return { ...kinds.Secret, metadata: { namespace, name: 'tfstate-default-vpc' }, data: { tfstate } }
}

/** As OpenTofu takes it. */
function heldLease(namespace: string) {
  const annotations = { 'app.terraform.io/lock-info': recordText }
  return {
    ...{ ...kinds.Lease, metadata: { namespace, name: 'lock-tfstate-default-vpc', annotations } },
    spec: { holderIdentity: lock },
  }
}
