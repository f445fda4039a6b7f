import { describe, expect, it } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import type { LockPart } from '../../../functions/lib/locks/evidence.ts'
import type { RefusalRule } from '../../../functions/lib/unlock/plan/refusal.ts'
import type { Rung } from '../../../functions/lib/unlock/plan/rung.ts'
import { planUnlock, type UnlockPlan } from '../../../functions/lib/unlock/plan/unlock-plan.ts'
import type { UnlockStep } from '../../../functions/lib/unlock/plan/unlock-step.ts'
import {
  deployment,
  locked,
  lockId,
  type NowScene,
  nowOf,
  release,
  root,
  twoPlaces,
  vpc,
} from '../../fixtures/cluster-now.ts'
import { deadFor, type Scene } from '../../fixtures/lock-evidence.ts'
import { observationOf } from '../../fixtures/observations.ts'

const fleetWith = (policy: object) =>
  parseFleet({
    repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
    clusters: [{ name: 'staging', eks: 'staging', region: 'eu-west-1', environment: 'test' }],
    locks: { policy, approvers: ['ana', 'bob'] },
  })
const fleet = fleetWith({})

const dead = { sight: deadFor(10) }
const silent: Scene = { ...dead, pod: 'gone' }
const loud: Scene = {
  ...dead,
  pod: { container: { state: 'running', startedAt: Date.parse('2026-03-02T10:20:00Z'), restarts: 1 } },
  object: { ready: 'False', reason: 'TFExecPlanFailed', reconciling: false, stateLocked: true, pendingLock: lockId },
}
/** Its pod runs, and later runs of the object meet this very lock. */
const outlived: Scene = { object: { stateLocked: true, pendingLock: lockId } }

const item: LockPart = { store: 'dynamodb', address: 'fleet/vpc.tfstate in table locks (eu-west-1)', version: 'a' }
const file: LockPart = { store: 's3', address: 's3://fleet/vpc.tfstate.tflock', version: 'b' }
const lease: LockPart = {
  ...{ store: 'kubernetes', version: 'c' },
  address: 'Lease/flux-system/lock-tfstate-default-vpc in staging',
}
const on = (...parts: readonly LockPart[]) => ({ lock: { parts: [...parts] } })

const answer = (scene: Scene, now: NowScene = {}, policy: object = {}, ghosts: readonly string[] = []) =>
  planUnlock(observationOf(scene), { fleet: fleetWith(policy), now: nowOf(now), ghosts: new Set(ghosts) })

function planned(...given: Parameters<typeof answer>): UnlockPlan {
  const found = answer(...given)
  if (found.outcome === 'refused') throw new Error(`${found.rule}: ${found.reasons}`)
  return found
}

/** `object field from>to` of a change, its text of anything else. */
function told(step: UnlockStep): string {
  if (step.kind === 'check') return step.what.split(':')[0]?.slice(0, 24) ?? ''
  if (step.kind === 'wait') return `wait ${step.for}`
  return `${step.object} ${step.field} ${step.from}>${step.to}`
}
const changes = ({ steps }: UnlockPlan) => steps.filter(({ kind }) => kind === 'change').map(told)
const waits = ({ steps }: UnlockPlan) => steps.filter((step) => step.kind === 'wait')
const gentler = ({ gentler }: UnlockPlan) => Object.fromEntries(gentler.map(({ rung, why }) => [rung, why]))

describe('the gentlest rung that can work', () => {
  const stopped: NowScene['controller'] = { replicas: 0, pods: [] }
  const scenes: readonly [string, Scene, NowScene, Rung][] = [
    ['a silent ghost in a lock table', { ...silent, ...on(item) }, {}, 'quiesce'],
    ['a silent ghost in a lock file', { ...silent, ...on(file) }, {}, 'quiesce'],
    ['a silent ghost in a Lease', { ...silent, ...on(lease) }, {}, 'quiesce'],
    ['a loud ghost in a lock table', { ...loud, ...on(item) }, { object: locked }, 'controller-assisted'],
    ['a loud ghost in a lock file', { ...loud, ...on(file) }, { object: locked }, 'controller-assisted'],
    ['a loud ghost in a Lease', { ...loud, ...on(lease) }, { object: locked }, 'controller-assisted'],
    [
      'a loud ghost in both',
      { ...loud, ...on(file, item) },
      { object: { ...locked, place: twoPlaces } },
      'controller-assisted',
    ],
    [
      'a loud ghost in one of two places',
      { ...loud, ...on(item) },
      { object: { ...locked, place: twoPlaces } },
      'targeted',
    ],
    ['one whose retry goes on just now', loud, { object: { ...locked, running: true } }, 'controller-assisted'],
    ['one without a state', { ...loud, state: 'gone' }, { object: locked }, 'targeted'],
    ['one whose object is suspended', loud, { object: { ...locked, suspended: true } }, 'targeted'],
    ['one whose object is being deleted', loud, { object: { ...locked, deleting: true } }, 'targeted'],
    ['one whose spec.tfstate Git declares', loud, { object: { ...locked, forceUnlockByGit: true } }, 'targeted'],
    ['one that the controller knows by another id', loud, { object: { ...locked, metLock: 'other' } }, 'targeted'],
    ['one that the controller does not name', loud, { object: { ...locked, metLock: '' } }, 'targeted'],
    ['one whose controller is not ready', loud, { object: locked, controller: { pods: [] } }, 'targeted'],
    ['a silent ghost without a controller', silent, { controller: stopped }, 'targeted'],
    ['a silent ghost whose object is suspended', silent, { object: { suspended: true } }, 'quiesce'],
    ['a silent ghost of a controller that is ending', silent, { controller: { replicas: 0 } }, 'quiesce'],
    [
      'a run that has begun since the verdict',
      { ...silent, sight: { ...deadFor(10), pod: { uid: 'pod-a' } }, object: { ready: 'False', reconciling: false } },
      {},
      'targeted',
    ],
    ['a suspect whose pod outlived its run', outlived, { object: locked, runner: { uid: 'pod-a' } }, 'quiesce'],
  ]
  it.each(scenes)('%s', (_, scene, now, rung) => {
    const plan = planned(scene, now)
    expect(plan.rung).toBe(rung)
    const before = { 'controller-assisted': 0, targeted: 1, quiesce: 2 }[rung]
    expect(plan.gentler).toHaveLength(before)
  })

  it('says why it is not gentler', () => {
    expect(gentler(planned(silent))).toEqual({
      'controller-assisted': 'the controller has not met this lock: the object is not StateLocked',
      targeted: 'a run of the object hangs in tofu-controller until that is stopped, which takes 4m',
    })
    expect(gentler(planned(loud, { object: { ...locked, metLock: 'another' } }))).toEqual({
      'controller-assisted': 'the controller has not met this lock but another',
    })
  })
})

describe('what is refused', () => {
  const scenes: readonly [string, Scene, NowScene, RefusalRule][] = [
    ['nobody’s', { lock: { parts: [] } }, {}, 'free'],
    ['a live one', {}, {}, 'live'],
    ['a live orphan', { controller: { ready: 0 } }, {}, 'live'],
    ['a laptop’s', { holder: { other: 'ana@laptop holds it' } }, {}, 'not-a-runner'],
    ['one whose pod cannot be read', { pod: 'unknown' }, {}, 'unknown'],
    ['garbage', { ...silent, lock: { problem: 'is no JSON' } }, {}, 'unknown'],
    ['one that is dead, and not for long enough', { pod: 'gone', sight: deadFor(1) }, {}, 'suspect'],
    ['one that is dead, and young', { pod: 'gone', age: 20, sight: deadFor(10, 20) }, {}, 'suspect'],
    [
      'one whose node is silent',
      { ...outlived, nodes: { silent: [{ name: 'node-2', createdAt: 0 }] } },
      { object: locked },
      'suspect',
    ],
    ['one whose node does not answer', { nodes: { own: { name: 'node-1', state: 'not ready' } } }, {}, 'suspect'],
    [
      'one with nothing to compare',
      { ...silent, ...on({ ...item, version: undefined as never }) },
      {},
      'nothing-to-compare',
    ],
    ['one whose controller cannot be read', silent, { controller: 'unknown' }, 'cannot-be-read'],
    ['one whose object cannot be read', silent, { object: 'unknown' }, 'cannot-be-read'],
    ['one beside objects that cannot be read', silent, { others: 'unknown' }, 'cannot-be-read'],
    ['one whose backend cannot be read', loud, { object: { ...locked, place: undefined as never } }, 'cannot-be-read'],
    ['one where no tofu-controller is installed', silent, { controller: 'none' }, 'no-controller'],
    ['one whose object is gone by now', silent, { object: 'gone' }, 'object-gone'],
    [
      'one whose state another object keeps as well',
      silent,
      { others: [{ key: 'Terraform/a/b', suspended: true, running: false, sharesState: true, appliers: [] }] },
      'shared-state',
    ],
    ['one whose pod cannot be read now', silent, { runner: 'unknown' }, 'cannot-be-read'],
    [
      'one whose controller KEDA scales',
      silent,
      { autoscalers: [{ key: 'hpa', scaledObject: 'ScaledObject/x/y' }] },
      'scaled-by-keda',
    ],
  ]
  it.each(scenes)('%s', (_, scene, now, rule) => {
    const refused = answer(scene, now)
    expect(refused).toMatchObject({ outcome: 'refused', rule })
    if (refused.outcome === 'refused') expect([refused.reasons.join(), refused.next]).not.toContain('')
  })

  it('is what the policy says so', () => {
    expect(answer(silent, {}, { test: { apply: 'never' } })).toMatchObject({ rule: 'policy-never' })
    expect(answer(silent, {}, { test: { plan: 'never' } })).toMatchObject({ outcome: 'planned' })
    const plan = { ...silent, record: { operation: 'OperationTypePlan' } }
    expect(answer(plan, {}, { test: { plan: 'never' } })).toMatchObject({ rule: 'policy-never' })
  })

  it('is a lock of a cluster that has left the fleet', () => {
    const observation = observationOf(silent)
    const left = { ...observation, evidence: { ...observation.evidence, owner: { cluster: 'gone', object: vpc } } }
    expect(planUnlock(left, { fleet, now: nowOf(), ghosts: new Set() })).toMatchObject({ rule: 'not-in-fleet' })
  })

  it('is not a gentler rung because of KEDA', () => {
    const autoscalers = [{ key: 'hpa', scaledObject: 'ScaledObject/x/y' }]
    expect(planned(loud, { object: locked, autoscalers }).rung).toBe('controller-assisted')
  })
})

describe('approvals', () => {
  const suspect = [outlived, { object: locked, runner: { uid: 'pod-a' } }] as const
  it.each([
    ['auto', 0, 1],
    ['one-approval', 1, 1],
    ['two-approvals', 2, 2],
  ] as const)('by the policy %s: %i for a stale one, %i for a suspect', (apply, forStale, forSuspect) => {
    const policy = { test: { apply } }
    expect(planned(silent, {}, policy).approvals).toMatchObject({ policy: apply, needed: forStale })
    expect(planned(...suspect, policy).approvals).toMatchObject({ policy: apply, needed: forSuspect })
    // The fleet names two people.
    expect(planned(silent, {}, policy).notes).toEqual([])
  })

  it('are one where nothing is said', () => {
    expect(planned(silent).approvals).toMatchObject({ policy: 'one-approval', needed: 1 })
  })
})

describe('the steps', () => {
  it('of a quiesce suspend whoever puts things back first, and undo everything in turn', () => {
    const plan = planned(
      { ...silent, ...on(file, item) },
      {
        controller: { replicas: 3, appliers: [release, root] },
        object: { pendingLock: 'old' },
        others: [
          { key: 'Terraform/a/b', suspended: false, running: true, sharesState: false, appliers: [] },
          { key: 'Terraform/a/c', suspended: false, running: false, sharesState: false, appliers: [] },
        ],
      },
    )
    const intent = 'metadata.annotations[lockstep.dev/unlock]'
    const kept = 'what is changed, and how it was'
    expect(plan.steps.map(told)).toEqual([
      `${deployment} ${intent} null>${kept}`,
      `${root.key} spec.suspend false>true`,
      `${release.key} spec.suspend false>true`,
      `${vpc} spec.suspend false>true`,
      'Terraform/a/b spec.suspend false>true',
      'Terraform/a/c spec.suspend false>true',
      'wait the runs of other objects to end (Terraform/a/b): they are never interrupted',
      `${deployment} spec.replicas 3>0`,
      expect.stringContaining('wait tofu-controller-1 (UID c-1) of Deployment/flux-system/tofu-controller to be gone'),
      'The lock is judged again',
      'The state is backed up, ',
      `${item.address} lock ${lockId}>null`,
      `${file.address} lock ${lockId}>null`,
      `${vpc} status.lock.pending old>`,
      `${vpc} status.conditions[Ready] Unknown Progressing>False ReplanRequested`,
      `${vpc} status.plan.pending plan-main-1>`,
      `${vpc} status.lastPlannedRevision main@1>`,
      `${vpc} status.lastAttemptedRevision main@1>`,
      `${deployment} spec.replicas 0>3`,
      `wait 3 of 3 replicas of ${deployment} to be ready`,
      'Terraform/a/b spec.suspend true>false',
      'Terraform/a/c spec.suspend true>false',
      `${vpc} spec.suspend true>false`,
      `${vpc} metadata.annotations[reconcile.fluxcd.io/requestedAt] as it is>a new token`,
      `${release.key} spec.suspend true>false`,
      `${root.key} spec.suspend true>false`,
      `${deployment} ${intent} ${kept}>null`,
      `wait the fresh plan of ${vpc}`,
      'The state goes on',
    ])
  })

  it('of a targeted unlock leave the controller and what else runs alone', () => {
    const others = [{ key: 'Terraform/a/b', suspended: false, running: true, sharesState: false, appliers: [root] }]
    const plan = planned(loud, { object: { ...locked, metLock: '', appliers: [root] }, runner: {}, others })
    expect(changes(plan).slice(1, -1)).toEqual([
      `${root.key} spec.suspend false>true`,
      `${vpc} spec.suspend false>true`,
      'Pod/flux-system/vpc-tf-runner pod UID pod-b>null',
      `${item.address} lock ${lockId}>null`,
      `${vpc} status.lock.pending ${lockId}>`,
      `${vpc} status.conditions[Ready] False TFExecPlanFailed>False ReplanRequested`,
      `${vpc} status.lastPlannedRevision main@1>`,
      `${vpc} status.lastAttemptedRevision main@1>`,
      `${vpc} spec.suspend true>false`,
      expect.stringContaining('requestedAt'),
      `${root.key} spec.suspend true>false`,
    ])
  })

  it('of a controller-assisted unlock name this very lock, and put back what was there', () => {
    const plan = planned(loud, { object: { ...locked, forceUnlock: 'auto', pendingPlan: 'old' } })
    const tfstate = changes(plan).filter((change) => change.includes('tfstate'))
    expect(tfstate).toEqual([
      `${vpc} spec.tfstate.lockIdentifier null>${lockId}`,
      `${vpc} spec.tfstate.forceUnlock auto>yes`,
      `${vpc} spec.tfstate.forceUnlock yes>auto`,
      `${vpc} spec.tfstate.lockIdentifier ${lockId}>null`,
    ])
    expect(changes(plan).some((change) => change.endsWith(' lock') || change.includes('suspend'))).toBe(false)
    const cleared = changes(plan).indexOf(`${vpc} status.plan.pending old>`)
    expect(cleared).toBeGreaterThan(0)
    expect(cleared).toBeLessThan(changes(plan).findIndex((change) => change.includes('forceUnlock')))
  })

  it('never touch what somebody else has suspended', () => {
    const by = { suspended: true, gate: 'r main' }
    const plan = planned(silent, {
      controller: { appliers: [{ ...release, ...by }] },
      object: { suspended: true, appliers: [root] },
      others: [{ key: 'Terraform/a/b', suspended: true, running: true, sharesState: false, appliers: [root] }],
    })
    expect(changes(plan).filter((change) => change.includes('spec.suspend'))).toEqual([])
    expect(changes(plan).some((change) => change.includes('requestedAt'))).toBe(false)
    expect(plan.notes).toEqual([
      `${release.key} is suspended by a rollout already, and stays so.`,
      `${vpc} is suspended, and stays so: it plans afresh when it is resumed.`,
    ])
  })

  it('leave a controller at 0 replicas that somebody else has stopped', () => {
    const plan = planned(silent, { controller: { replicas: 0 } })
    expect(changes(plan).filter((change) => change.includes('replicas'))).toEqual([])
    expect(waits(plan).map(told)[0]).toContain('tofu-controller-1 (UID c-1)')
    expect(plan.notes).toContain(`${deployment} is at 0 replicas already, and stays there.`)
  })

  it.each([
    ['Failed', []],
    ['Succeeded', []],
    ['Running', ['Pod/flux-system/vpc-tf-runner pod UID pod-b>null']],
    ['Pending', ['Pod/flux-system/vpc-tf-runner pod UID pod-b>null']],
  ])('treat a runner’s pod that is %s', (phase, deleted) => {
    const plan = planned(silent, { runner: { phase } })
    expect(changes(plan).filter((change) => change.includes(' pod '))).toEqual(deleted)
  })

  it('wait for the pod of a suspect, before the controller is stopped, and never delete it', () => {
    const plan = planned(outlived, { object: { ...locked, running: true }, runner: { uid: 'pod-a' } })
    expect(changes(plan).some((change) => change.includes(' pod '))).toBe(false)
    const steps = plan.steps.map(told)
    const gone = steps.findIndex((step) => step.includes('(UID pod-a) to be gone'))
    expect(gone).toBeGreaterThan(steps.indexOf(`wait the run of ${vpc} to end`))
    expect(gone).toBeLessThan(steps.indexOf(`${deployment} spec.replicas 1>0`))
  })
})

it('lets the run of a suspect end, which may be alive, before the controller is stopped', () => {
  const waiting: Scene = { pod: { container: { state: 'waiting', restarts: 0 } } }
  const plan = planned(waiting, { runner: { uid: 'pod-a', phase: 'Pending' } })
  const steps = plan.steps.map(told)
  expect(steps.indexOf(`wait the run of ${vpc} to end`)).toBeGreaterThan(0)
  expect(steps.indexOf(`wait the run of ${vpc} to end`)).toBeLessThan(steps.indexOf(`${deployment} spec.replicas 1>0`))
})

describe('the estimate', () => {
  it('has the whole graceful shutdown of a silent ghost’s controller', () => {
    expect(planned(silent).estimate.atLeastMs).toBe(240_000)
    expect(planned(silent, { controller: { shutdownMs: 90_000, graceMs: 90_000 } }).estimate.atLeastMs).toBe(90_000)
  })

  it('has it for another object that hangs, which is not waited for', () => {
    const other = { key: 'Terraform/a/b', suspended: false, running: true, sharesState: false, appliers: [] }
    const now = { object: locked, runner: { uid: 'pod-a' }, others: [other] }
    expect(planned(outlived, now).estimate.atLeastMs).toBe(0)
    const plan = planned(outlived, now, {}, [other.key])
    expect(plan.estimate.atLeastMs).toBe(240_000)
    expect(plan.steps.map(told).join()).not.toContain('runs of other objects')
    expect(plan.notes).toContain('Terraform/a/b hangs as well. Its lock is one of a dead holder, too: unlock it next.')
  })

  it('has deadlines from the Deployment’s own grace', () => {
    const stop = waits(planned(silent, { controller: { graceMs: 600_000 } })).find(({ for: what }) =>
      what.includes('c-1'),
    )
    expect(stop).toMatchObject({ atLeastMs: 240_000, atMostMs: 660_000 })
  })

  it('gives other applies, and the fresh plan, as long as makes a lock of theirs suspicious', () => {
    const others = [{ key: 'Terraform/a/b', suspended: false, running: true, sharesState: false, appliers: [] }]
    const most = waits(planned(silent, { others })).map(({ atMostMs }) => atMostMs / 60_000)
    expect([most.at(0), most.at(-1)]).toEqual([60, 15])
  })

  it('has the grace of an idle runner, and no controller’s, in a targeted unlock', () => {
    expect(planned(loud, { object: { ...locked, metLock: '' }, runner: {} }).estimate.atLeastMs).toBe(30_000)
    expect(planned(loud, { object: locked }).estimate.atLeastMs).toBe(0)
  })
})

describe('the notes', () => {
  it.each<[string, NowScene, string]>([
    ['a controller that Flux does not apply', { controller: { appliers: [] } }, 'Flux applies nothing that owns'],
    ['an autoscaler', { autoscalers: [{ key: 'HPA/x/y' }] }, 'HPA/x/y does nothing while there are 0 replicas'],
    ['autoscalers that cannot be read', { autoscalers: 'unknown' }, 'could not be read: was answered with 403'],
    ['an object that is being deleted', { object: { deleting: true } }, 'without its lock the deletion goes on'],
    ['a plan that waits', { object: { approvePlan: '' } }, 'is dropped, and made anew'],
    ['a plan that is approved by name', { object: { approvePlan: 'plan-main-1' } }, 'counts as approved'],
    ['a controller that is stopped', { controller: { replicas: 0, pods: [] } }, 'is not started'],
  ])('tell of %s', (_, now, text) => {
    expect(planned(silent, now).notes.join('\n')).toContain(text)
    expect(planned(silent).notes).toEqual([])
  })
})
