import fc from 'fast-check'
import { expect, it } from 'vitest'
import { lockPolicies, parseFleet } from '../../../functions/lib/fleet.ts'
import type { LockPart } from '../../../functions/lib/locks/evidence.ts'
import { ruleNames, verdicts } from '../../../functions/lib/locks/verdict/verdict.ts'
import type { Applier } from '../../../functions/lib/unlock/plan/cluster-now.ts'
import { rungs } from '../../../functions/lib/unlock/plan/rung.ts'
import { planUnlock } from '../../../functions/lib/unlock/plan/unlock-plan.ts'
import type { UnlockStep } from '../../../functions/lib/unlock/plan/unlock-step.ts'
import { lockId, nowOf, twoPlaces } from '../../fixtures/cluster-now.ts'
import { deadFor, type Scene } from '../../fixtures/lock-evidence.ts'
import { observationOf } from '../../fixtures/observations.ts'

const flag = fc.boolean()
/** What a plan can be made of comes more often than what cannot be read. */
const mostly = <T, U>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<U>) =>
  fc.oneof({ arbitrary: usual, weight: 5 }, { arbitrary: other, weight: 1 })
const seldom = mostly(fc.constant(false), fc.constant(true))
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

const applier = (key: string) => fc.record({ key: fc.constant(key), suspended: flag }) satisfies fc.Arbitrary<Applier>
/** Chains end alike wherever they meet, as every applier has one of its own. */
const chain = fc
  .tuple(
    fc.integer({ min: 0, max: 3 }),
    applier('Kustomization/a/a'),
    applier('Kustomization/a/b'),
    applier('Kustomization/a/c'),
  )
  .map(([from, ...all]) => all.slice(from))
const run = fc.record({
  key: fc.constantFrom('Terraform/x/1', 'Terraform/x/2', 'Terraform/x/3'),
  suspended: flag,
  running: flag,
  sharesState: fc.constant(false),
  appliers: chain,
})

const nows = fc.record({
  controller: mostly(
    fc.record({
      replicas: fc.integer({ min: 0, max: 3 }),
      graceMs: fc.integer({ min: 240_000, max: 600_000 }),
      pods: fc.constantFrom([], [{ name: 'p', uid: 'u', ready: true }], [{ name: 'p', uid: 'u', ready: false }]),
      appliers: chain,
    }),
    fc.constantFrom('none' as const, 'unknown' as const),
  ),
  object: mostly(
    fc.record({
      ...{ suspended: seldom, deleting: seldom, running: flag, forceUnlockByGit: seldom, appliers: chain },
      metLock: mostly(fc.constant(lockId), fc.constantFrom('', 'other')),
      pendingLock: fc.constantFrom('', lockId),
      place: mostly(fc.constant(twoPlaces), fc.constant({ ...twoPlaces, parts: twoPlaces.parts.slice(1) })),
    }),
    fc.constantFrom('gone' as const, 'unknown' as const),
  ),
  others: mostly(fc.uniqueArray(run, { selector: ({ key }) => key, maxLength: 3 }), fc.constant('unknown' as const)),
  runner: mostly(
    fc.option(fc.record({ phase: fc.constantFrom('Running', 'Pending', 'Failed', 'Succeeded'), deleting: flag }), {
      nil: undefined,
    }),
    fc.constant('unknown' as const),
  ),
  autoscalers: fc.constantFrom('unknown' as const, [], [{ key: 'hpa', scaledObject: 'keda' }]),
})

const scenes: fc.Arbitrary<Scene> = fc.record(
  {
    age: fc.integer({ min: 1, max: 300 }),
    sight: fc.integer({ min: 1, max: 300 }).map((minutes) => deadFor(minutes)),
    pod: fc.oneof(
      fc.constantFrom('gone' as const, 'unknown' as const, { phase: 'Failed' }, { uid: 'pod-b' }),
      fc.constant({}),
    ),
    holder: mostly(fc.constant({ runner: 'flux-system/vpc-tf-runner' }), fc.constant({ other: 'ana@laptop holds it' })),
    object: mostly(
      fc.constantFrom({ stateLocked: true, pendingLock: lockId }, { ready: 'False' as const }, {}),
      fc.constantFrom('gone' as const, 'unknown' as const),
    ),
    nodes: fc.constantFrom('unknown' as const, { silent: [{ name: 'node-2', createdAt: 0 }] }, {}),
    lock: mostly(
      fc.constant({}),
      fc.constantFrom<Scene['lock'] & object>(
        { parts: [] },
        { problem: 'is garbage' },
        { parts: [{ store: 's3', address: 's3://a' } satisfies LockPart] },
      ),
    ),
  },
  { requiredKeys: [] },
)

/** What a scan would say, or whatever else might be written down. */
const observations = fc
  .record({
    scene: scenes,
    verdict: maybe(mostly(fc.constantFrom('stale', 'suspect'), fc.constantFrom(...verdicts))),
    rule: maybe(fc.constantFrom(...ruleNames)),
  })
  .map(({ scene, verdict, rule }) => {
    const observation = observationOf(scene)
    const { judgement } = observation
    return { ...observation, judgement: { ...judgement, ...(verdict && { verdict }), ...(rule && { rule }) } }
  })

const worlds = fc.record({
  observation: observations,
  now: nows,
  policy: fc.constantFrom(...lockPolicies),
  ghosts: fc.subarray(['Terraform/x/1', 'Terraform/x/2']),
})

type Change = Extract<UnlockStep, { kind: 'change' }>

/** Fields that a change leaves behind on purpose: the fresh plan's, and what is deleted. */
const isLeft = ({ field }: Change) => field.startsWith('status.') || field.includes('requestedAt') || isDelete(field)
const isDelete = (field: string) => field === 'lock' || field === 'pod'

it('plans for what is stale or may be proven dead only, and undoes in turn all that it does', () => {
  const planned = new Map<string, number>()
  fc.assert(
    fc.property(worlds, ({ observation, now, policy, ghosts }) => {
      const fleet = parseFleet({
        repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
        clusters: [{ name: 'staging', eks: 'staging', region: 'eu-west-1', environment: 'test' }],
        locks: { policy: { test: { plan: policy, apply: policy } }, approvers: ['ana', 'bob'] },
      })
      const { runner, ...rest } = now
      const read = nowOf({ ...rest, ...(runner !== undefined && { runner }) })
      const plan = planUnlock(observation, { fleet, ghosts: new Set(ghosts), now: read })
      if (plan.outcome === 'refused') return
      planned.set(plan.rung, (planned.get(plan.rung) ?? 0) + 1)
      const { verdict } = observation.judgement
      const { holder, lock } = observation.evidence

      expect(holder).toHaveProperty('runner')
      expect(lock.problem).toBeUndefined()
      expect(policy).not.toBe('never')
      if (verdict !== 'stale') {
        expect(verdict).toBe('suspect')
        expect(plan.rung).toBe('quiesce')
        expect(plan.approvals.needed).toBeGreaterThan(0)
        expect(plan.steps.filter((step) => step.kind === 'change' && step.field === 'pod')).toEqual([])
      }
      const all = plan.steps
      const changes = all.filter((step) => step.kind === 'change')
      const judged = all.findIndex((step) => step.kind === 'check' && step.what.startsWith('The lock is judged again'))
      const kept = all.findIndex((step) => step.kind === 'check' && step.what.startsWith('The state is backed up'))
      const deleted = all.findIndex((step) => step.kind === 'change' && step.field === 'lock')
      expect(judged).toBeGreaterThanOrEqual(0)
      expect(kept).toBeGreaterThan(judged)
      if (plan.rung === 'controller-assisted') expect(deleted).toBe(-1)
      else expect(deleted).toBeGreaterThan(kept)

      // Each field ends as it began, and begins at what the change before has left.
      const fields = new Map<string, { first: unknown; last: unknown }>()
      for (const { object: name, field, from, to } of changes.filter((change) => !isLeft(change))) {
        const at = `${name} ${field}`
        const known = fields.get(at)
        if (known) expect(from).toBe(known.last)
        fields.set(at, { first: known ? known.first : from, last: to })
      }
      for (const { first, last } of fields.values()) expect(last).toBe(first)

      // What was first suspended is last resumed, among those that put things back.
      const appliers = changes.filter(
        ({ object: name, field }) => name.startsWith('Kustomization') && field === 'spec.suspend',
      )
      const order = (to: boolean) => appliers.filter((change) => change.to === to).map((change) => change.object)
      expect(order(false)).toEqual(order(true).toReversed())
      expect(order(true)).toEqual(order(true).toSorted().toReversed())
      expect(changes.filter(({ from, to }) => from === to)).toEqual([])
      expect(plan.estimate.atMostMs).toBeGreaterThanOrEqual(plan.estimate.atLeastMs)
    }),
    { numRuns: 3_000 },
  )
  // Else not all of it was tried.
  for (const rung of rungs) expect(planned.get(rung), rung).toBeGreaterThan(0)
})
