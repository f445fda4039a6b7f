import { beforeEach, describe, expect, it } from 'vitest'
import type { Closing, PlanApproval } from '../../../functions/lib/approval/approval.ts'
import { parseWorkload } from '../../../functions/lib/flux/workload.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import { planApprovalId } from '../../../functions/lib/plans/plan-approval.ts'
import { planFingerprint } from '../../../functions/lib/plans/stored-plan.ts'
import type { PlannedObject, Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { carryOut } from '../../../functions/plan-approve/carry-out.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import { MemoryObjectStore } from '../../../infra/local/kubernetes/memory-object-store.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { MemoryEvents } from '../../../infra/local/memory-events.ts'
import { simulatedKinds } from '../../../infra/local/simulation/kinds.ts'
import { PlanStore, planObjectsOf } from '../../../infra/local/simulation/tofu/plan-store.ts'
import { VirtualClock } from '../../../infra/local/virtual-clock.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { plannedObject, rolloutTo } from '../../fixtures/notified-rollout.ts'
import { planApprovalOf } from '../../fixtures/plan-approvals.ts'
import { terraform } from '../../fixtures/raw-objects.ts'
import { StoreCluster } from '../../fixtures/store-cluster.ts'

const { Terraform } = simulatedKinds
const plan = 'plan-main-bbbbbbbbbb'

let clock: VirtualClock
let store: MemoryObjectStore
let cluster: StoreCluster
let ledger: MemoryLedger
let events: MemoryEvents
let rollout: Rollout

beforeEach(() => {
  clock = new VirtualClock()
  store = new MemoryObjectStore({ clock })
  for (const resource of [Terraform, builtinResources.Secret]) store.register(resource)
  cluster = new StoreCluster('staging', store)
  ledger = new MemoryLedger()
  events = new MemoryEvents()
  rollout = rolloutTo('staging')
  return () => clock.stop()
})

/** An object in the cluster and in the rollout, whose plan waits. */
async function waits(name: string): Promise<PlannedObject> {
  const raw = terraform(name, { status: { plan: { pending: plan } } }) as unknown as KubernetesObject
  const { uid = '' } = store.create(Terraform, raw, 'tests').metadata
  store.update(Terraform, 'flux-system', name, (object) => Object.assign(object, { status: raw.status }), {
    ...{ manager: 'tests', subresource: 'status' },
  })
  await planAnew(name)
  const object = plannedObject(`Terraform/flux-system/${name}`, 0, {
    ...{ uid, phase: 'open', openedAt: 1, waitsForPlan: { plan, plannedAt: '2026-01-05T10:00:00Z' } },
  })
  rollout.objects.push(object)
  return object
}

const planAnew = (name: string) =>
  new PlanStore(planObjectsOf(store), { namespace: 'flux-system', name, uid: 'u', workspace: 'default' }).save(
    plan,
    Buffer.from(`${name} ${store.currentVersion()}`),
  )

/** What people have decided about the plan that waits now. */
async function decided({ key, uid }: PlannedObject, how: Closing | undefined, more: Partial<PlanApproval> = {}) {
  const object = parseWorkload('Terraform', store.get(Terraform, 'flux-system', nameOf(key)))
  const id = planApprovalId(rollout.id, key)
  const approval = planApprovalOf({
    ...{ id, rollout: rollout.id, object: key, uid, plan, judged: await planFingerprint(object, cluster) },
    ...{ decisions: [{ by: 'bob', decision: how === 'denied' ? 'deny' : 'approve', at: 2 }] },
    ...(how && { closed: { how, at: 3 } }),
    ...more,
  })
  await ledger.writeApproval(approval)
  return id
}

const nameOf = (key: string) => key.slice(key.lastIndexOf('/') + 1)
const approvePlanOf = ({ key }: PlannedObject) => store.get(Terraform, 'flux-system', nameOf(key))?.spec.approvePlan
const carry = () => carryOut(rollout, { cluster, ledger, clock, events, log: silentLog, metrics: silentMetrics })
const told = () => events.of('Plan Approval Changed').map(({ object, what }) => `${nameOf(object)} ${what}`)

describe('what people decided about plans', () => {
  it('approved: it is set on the object, written down before, told, and the object has its layer’s time from now on', async () => {
    const vpc = await waits('vpc')
    const id = await decided(vpc, 'approved')
    expect(await carry()).toEqual({ approved: 1, refused: 0 })
    expect(approvePlanOf(vpc)).toBe(plan)
    expect(vpc).toMatchObject({ phase: 'open', detail: `${plan} is approved by bob`, openedAt: clock.now() })
    expect(vpc.waitsForPlan).toBeUndefined()
    expect(rollout.notes).toEqual([`${vpc.key}: bob approved ${plan}.`])
    expect(await ledger.listAudit(id)).toMatchObject([
      { what: 'sets spec.approvePlan', by: 'approval', detail: { object: vpc.key, plan } },
    ])
    expect(told()).toEqual(['vpc approved'])
  })

  it('is carried out once, however often it is tried', async () => {
    const vpc = await waits('vpc')
    const id = await decided(vpc, 'approved')
    await carry()
    const after = [store.currentVersion(), await ledger.listAudit(id), structuredClone(rollout)]
    expect(await carry()).toEqual({ approved: 0, refused: 0 })
    expect([store.currentVersion(), await ledger.listAudit(id), rollout]).toEqual(after)
    expect(await ledger.readApproval(id)).toMatchObject({ carriedOut: true })
  })

  it('is carried out again by whoever finds it set, and not yet written down as done', async () => {
    const vpc = await waits('vpc')
    const id = await decided(vpc, 'approved')
    await expect(
      carryOut(rollout, {
        ...{ cluster, clock, events, log: silentLog, metrics: silentMetrics },
        ledger: {
          readApproval: (asked) => ledger.readApproval(asked),
          appendAudit: (record) => ledger.appendAudit(record),
          writeApproval: () => Promise.reject(new Error('cut off')),
        },
      }),
    ).rejects.toThrow('cut off')
    expect(await carry()).toEqual({ approved: 1, refused: 0 })
    expect(rollout.notes).toEqual([`${vpc.key}: bob approved ${plan}.`])
    expect(await ledger.listAudit(id)).toHaveLength(1)
    expect(told()).toEqual(['vpc approved'])
  })

  it('approved, and planned anew since: nothing is set, the object goes on waiting, and a note says why', async () => {
    const vpc = await waits('vpc')
    const id = await decided(vpc, 'approved')
    await planAnew('vpc')
    expect(await carry()).toEqual({ approved: 0, refused: 0 })
    expect(approvePlanOf(vpc)).toBeUndefined()
    expect(vpc.waitsForPlan).toBeDefined()
    expect(rollout.notes).toEqual([
      `${vpc.key}: bob approved ${plan}, and it is not that plan any more. People are asked again.`,
    ])
    expect(await ledger.listAudit(id)).toEqual([])
  })

  it('approved, and by somebody else as well: the note says so', async () => {
    const vpc = await waits('vpc')
    await decided(vpc, 'approved')
    store.update(Terraform, 'flux-system', 'vpc', (object) => Object.assign(object.spec, { approvePlan: plan }), {
      manager: 'kubectl',
    })
    expect(await carry()).toEqual({ approved: 1, refused: 0 })
    expect(rollout.notes).toEqual([`${vpc.key}: bob approved ${plan}, and somebody else has set it already.`])
  })

  it.each([
    [
      'denied',
      'deny',
      'PlanDenied',
      'bob denied plan-main-bbbbbbbbbb of Terraform/flux-system/vpc in staging: not now',
    ],
    ['expired', 'approve', 'PlanNotApproved', '1 of 2 approvals of plan-main-bbbbbbbbbb were given in time.'],
  ] as const)('%s: the object has failed, and nothing is set', async (how, decision, reason, detail) => {
    const vpc = await waits('vpc')
    await decided(vpc, how, { needed: 2, decisions: [{ by: 'bob', decision, at: 2, reason: 'not now' }] })
    expect(await carry()).toEqual({ approved: 0, refused: 1 })
    expect(vpc).toMatchObject({ phase: 'failed', reason, detail, settledAt: clock.now() })
    expect([vpc.waitsForPlan, approvePlanOf(vpc)]).toEqual([undefined, undefined])
    expect(rollout.notes).toEqual([`${vpc.key}: ${detail}`])
    expect(told()).toEqual([`vpc ${how}`])
  })

  it.each(['changed', 'gone'] as const)('%s: it is told of, and nothing else happens', async (how) => {
    const vpc = await waits('vpc')
    await decided(vpc, how)
    expect(await carry()).toEqual({ approved: 0, refused: 0 })
    expect([vpc.phase, approvePlanOf(vpc), rollout.notes]).toEqual(['open', undefined, []])
    expect(told()).toEqual(['vpc withdrawn'])
  })

  it('of each object by itself: one that is still asked about, or whose turn is over, is left alone', async () => {
    const [vpc, dns, old] = [await waits('vpc'), await waits('dns'), await waits('old')]
    await decided(vpc, 'approved')
    const open = await decided(dns, undefined)
    await decided(old, 'approved')
    old.phase = 'ready'
    expect(await carry()).toEqual({ approved: 1, refused: 0 })
    expect([vpc, dns, old].map(approvePlanOf)).toEqual([plan, undefined, undefined])
    expect(await ledger.readApproval(open)).not.toHaveProperty('carriedOut')
    expect(told()).toEqual(['vpc approved'])
  })
})
