import { beforeEach, describe, expect, it } from 'vitest'
import type { PlanApproval } from '../../../functions/lib/approval/approval.ts'
import { parseWorkload } from '../../../functions/lib/flux/workload.ts'
import { type AnyKind, ClusterError, type ObjectRef, type Patch } from '../../../functions/lib/kubernetes/cluster.ts'
import { approvePlan, handBackApproval, handBackApprovals } from '../../../functions/lib/plans/approve-plan.ts'
import { planFingerprint } from '../../../functions/lib/plans/stored-plan.ts'
import { MemoryCluster } from '../../fixtures/memory-cluster.ts'
import { planApprovalOf } from '../../fixtures/plan-approvals.ts'
import { type Shape, terraform } from '../../fixtures/raw-objects.ts'

const plan = 'plan-main-bbbbbbbbbb'
const annotation = 'lockstep.dev/approved-plan'

/** Takes merge patches of what was read last; `meddle` is what somebody else does just before each. */
class PatchedCluster extends MemoryCluster {
  meddle: (() => void) | undefined
  readonly patches: unknown[] = []

  override async patch(ref?: ObjectRef<AnyKind>, patch?: Patch): Promise<unknown> {
    const meddle = this.meddle
    this.meddle = undefined
    meddle?.()
    const { metadata } = (await this.get(ref as ObjectRef<AnyKind>)) as { metadata: { resourceVersion: string } }
    if (patch?.type !== 'merge' || patch.resourceVersion !== metadata.resourceVersion)
      throw new ClusterError('ClusterConflict', this.name, 409, 'It has moved on.', 'Read it again.')
    this.patches.push(patch.body)
    return undefined
  }
}

let cluster: PatchedCluster
let approval: PlanApproval
const written: string[] = []
const beforehand = async () => void written.push('audit')

const waits = (shape: Shape = {}, resourceVersion = '1') => {
  const raw = terraform('vpc', { ...shape, status: { plan: { pending: plan }, ...shape.status } })
  return { ...raw, metadata: { ...raw.metadata, resourceVersion } }
}
const secret = (hash: string) => ({
  kind: 'Secret',
  metadata: {
    ...{ namespace: 'flux-system', name: 'tfplan-default-vpc' },
    annotations: { savedPlan: plan, 'infra.contrib.fluxcd.io/plan-hash': hash },
  },
  data: { tfplan: '' },
})

beforeEach(async () => {
  written.length = 0
  cluster = new PatchedCluster('staging', waits(), secret('h1') as never)
  approval = planApprovalOf({ judged: await planFingerprint(parseWorkload('Terraform', waits()), cluster) })
})

describe('approving a plan', () => {
  it('sets exactly its id, with a mark, after it is written down', async () => {
    expect(await approvePlan(approval, cluster, beforehand)).toBe('approved')
    expect(cluster.patches).toEqual([
      { spec: { approvePlan: plan }, metadata: { annotations: { [annotation]: `${plan} absent` } } },
    ])
    expect(written).toEqual(['audit'])
  })

  it.each<[string, () => void]>([
    ['the plan was made anew', () => cluster.put(secret('h2') as never)],
    ['its Secret is gone', () => cluster.remove(secret('h1') as never)],
    ['another plan waits', () => cluster.put(waits({ status: { plan: { pending: 'plan-main-cccccccccc' } } }))],
    ['none waits', () => cluster.put(waits({ status: { plan: {} } }))],
    ['the object was made anew', () => cluster.put(waits({ uid: 'another' }))],
    ['another object has its name, and waits for the same plan', () => made('another')],
    ['it is being deleted', () => made(undefined, { deletionTimestamp: '2026-01-05T10:00:00Z' })],
    ['the object is gone', () => cluster.remove(waits())],
  ])('changes nothing where %s', async (_, change) => {
    change()
    expect(await approvePlan(approval, cluster, beforehand)).toBe('changed')
    expect([cluster.patches, written]).toEqual([[], []])
  })

  /** Approved already, so that only who it is can tell. */
  function made(uid?: string, metadata: object = {}) {
    const raw = waits({ ...(uid && { uid }), spec: { approvePlan: plan } })
    cluster.put({ ...raw, metadata: { ...raw.metadata, ...metadata } })
  }

  it('looks again when the object moves between the look and the patch', async () => {
    cluster.meddle = () => cluster.put(waits({}, '2'), secret('h2') as never)
    expect(await approvePlan(approval, cluster, beforehand)).toBe('changed')
    expect(cluster.patches).toEqual([])
  })

  it.each([
    ['auto', {}, 'by hand'],
    [plan, {}, 'by hand'],
    [plan, { [annotation]: `${plan} empty` }, 'approved'],
  ] as const)('leaves approvePlan %s as it is', async (approvePlan_, annotations, answer) => {
    cluster.put(waits({ spec: { approvePlan: approvePlan_ }, annotations }))
    expect(await approvePlan(approval, cluster, beforehand)).toBe(answer)
    expect(cluster.patches).toEqual([])
  })
})

describe('handing back', () => {
  const marked = (how: 'empty' | 'absent', approved: string, pending: string) =>
    cluster.put(
      waits({
        spec: { approvePlan: approved },
        annotations: { [annotation]: `${plan} ${how}` },
        status: { plan: { pending } },
      }),
    )
  const noMark = { metadata: { annotations: { [annotation]: null } } }

  it.each([
    ['as it was: empty', 'empty', plan, '', [{ ...noMark, spec: { approvePlan: '' } }]],
    ['as it was: not there', 'absent', plan, '', [{ ...noMark, spec: { approvePlan: null } }]],
    ['only the mark, where somebody else has set another value', 'empty', 'auto', '', [noMark]],
    ['nothing before the plan is applied', 'empty', plan, plan, []],
  ] as const)('leaves it %s', async (_, how, approved, pending, patches) => {
    marked(how, approved, pending)
    await handBackApproval(cluster, 'Terraform/flux-system/vpc')
    expect(cluster.patches).toEqual(patches)
  })

  it('is not kept from the others by one that refuses; where the cluster is away it is to be tried again', async () => {
    marked('absent', plan, '')
    const key = 'Terraform/flux-system/vpc'
    const failing = (name: 'ClusterRejected' | 'ClusterUnavailable') => () => {
      throw new ClusterError(name, 'staging', 500, 'No.', 'See why.')
    }
    cluster.meddle = failing('ClusterRejected')
    expect(await handBackApprovals(cluster, [key, key])).toEqual([key])
    expect(cluster.patches).toHaveLength(1)
    cluster.meddle = failing('ClusterUnavailable')
    await expect(handBackApprovals(cluster, [key])).rejects.toMatchObject({ name: 'ClusterUnavailable' })
  })

  it('leaves alone what people did not approve through Lockstep', async () => {
    cluster.put(waits({ spec: { approvePlan: plan }, status: { plan: {} } }))
    await handBackApproval(cluster, 'Terraform/flux-system/vpc')
    expect(cluster.patches).toEqual([])
  })
})
