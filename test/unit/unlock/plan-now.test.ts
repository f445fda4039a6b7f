import { describe, expect, it } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { planNow } from '../../../functions/lib/unlock/plan/plan-now.ts'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import { tofuDeployment } from '../../../infra/local/simulation/tofu/tofu-deployment.ts'
import { lockId } from '../../fixtures/cluster-now.ts'
import { deadFor } from '../../fixtures/lock-evidence.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'
import { observationOf } from '../../fixtures/observations.ts'
import { terraform } from '../../fixtures/raw-objects.ts'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging', region: 'eu-west-1', environment: 'test' }],
})

const applying = { status: { conditions: [{ type: 'Ready', status: 'Unknown', reason: 'Progressing' }] } }
const deployment = tofuDeployment() as unknown as ConstructorParameters<typeof MemoryCluster>[1]
const cluster = () =>
  new MemoryCluster(
    'staging',
    ...(deployment ? [deployment] : []),
    terraform('vpc', applying),
    terraform('db', applying),
  )

const ghost = observationOf({ pod: 'gone', sight: deadFor(10) })
const live = observationOf()

function of(observation: Observation, object: string, owner = 'staging'): Observation {
  return { ...observation, evidence: { ...observation.evidence, owner: { cluster: owner, object } } }
}

let runs: UnlockRun[] = []

function run(observation: Observation, others: readonly Observation[] = [], connected = cluster()) {
  const ledger = { listObservations: async () => [observation, ...others], listUnlockRuns: async () => runs }
  return planNow(observation, { fleet, ledger, clusters: { connect: async () => connected } })
}

const drains = (plan: Awaited<ReturnType<typeof run>>) =>
  JSON.stringify(plan).includes('the runs of other objects to end (Terraform/flux-system/db)')

describe('a plan of what is there now', () => {
  it('plans by what the cluster shows', async () => {
    expect(await run(ghost)).toMatchObject({ outcome: 'planned', rung: 'quiesce', object: 'Terraform/flux-system/vpc' })
  })

  it('waits for another run, but for one whose holder is proven dead', async () => {
    const db = 'Terraform/flux-system/db'
    expect(drains(await run(ghost))).toBe(true)
    expect(drains(await run(ghost, [of(live, db)]))).toBe(true)
    expect(drains(await run(ghost, [of(ghost, db, 'production')]))).toBe(true)
    expect(drains(await run(ghost, [of(ghost, db)]))).toBe(false)
  })

  it('does not ask the controller again for what it was asked in vain', async () => {
    const status = {
      lock: { pending: lockId },
      conditions: [
        { type: 'Ready', status: 'False', reason: 'TFExecPlanFailed' },
        { type: 'StateLocked', status: 'True', reason: 'LockHeld' },
      ],
    }
    const { labels } = tofuDeployment().spec?.template.metadata ?? {}
    const pod = {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'tofu-1', namespace: 'flux-system', uid: 'p1', labels } },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    }
    const installed = deployment ? [deployment, pod] : []
    const loud = () => run(ghost, [], new MemoryCluster('staging', ...installed, terraform('vpc', { status })))
    expect(await loud()).toMatchObject({ rung: 'controller-assisted' })
    const tried = { cluster: 'staging', place: 'p', requestedBy: 'x', reason: 'y', requestedAt: 1, unlock: 'u' }
    runs = [{ ...tried, lock: lockId, rung: 'controller-assisted', outcome: 'failed', releasedAt: 2 }]
    expect(await loud()).toMatchObject({ rung: 'targeted' })
    runs = [{ ...tried, lock: lockId, rung: 'controller-assisted', outcome: 'failed' }]
    expect(await loud()).toMatchObject({ rung: 'controller-assisted' })
    runs = []
  })

  it('reads no cluster where the verdict refuses', async () => {
    const clusters = { connect: () => Promise.reject(new Error('was connected to')) }
    const ledger = { listObservations: async () => [], listUnlockRuns: async () => [] }
    expect(await planNow(live, { fleet, ledger, clusters })).toMatchObject({ outcome: 'refused', rule: 'live' })
  })

  it('refuses where the cluster does not answer', async () => {
    const down = cluster()
    down.down = true
    expect(await run(ghost, [], down)).toMatchObject({ rule: 'cannot-be-read' })
    const error = new ClusterError('ClusterUnauthorized', 'staging', 401, 'staging refuses us.', 'Grant it.')
    const clusters = { connect: () => Promise.reject(error) }
    const refused = await planNow(ghost, {
      fleet,
      clusters,
      ledger: { listObservations: async () => [], listUnlockRuns: async () => [] },
    })
    expect(refused).toMatchObject({ rule: 'cannot-be-read', reasons: [expect.stringContaining('staging refuses us.')] })
  })
})
