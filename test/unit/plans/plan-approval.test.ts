import { expect, it } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { planPeople } from '../../../functions/lib/plans/plan-approval.ts'
import { unknownPusher } from '../../../functions/lib/push.ts'
import { rolloutTo } from '../../fixtures/notified-rollout.ts'

function asked(policy: string | undefined, approvers: readonly unknown[], pusher = 'dora') {
  const fleet = parseFleet({
    repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
    clusters: [{ name: 'staging', eks: 'staging', region: 'us-east-1', environment: 'test' }],
    plans: { approvers, ...(policy && { policy: { test: policy } }) },
  })
  const { cluster, push } = rolloutTo('staging')
  const who = planPeople(fleet, { cluster, push: { ...push, pusher } })
  return who && [who.needed, ...who.people.map(({ name }) => name)]
}

it.each([
  ['whoever the policy needs', 'two-approvals', ['ana', 'bob'], 'dora', [2, 'ana', 'bob']],
  ['one where nothing is said', undefined, ['ana', 'bob'], 'dora', [1, 'ana', 'bob']],
  ['not whoever pushed', undefined, ['ana', { name: 'bob', github: 'b-smith' }], 'B-Smith', [1, 'ana']],
  ['nobody where Git is to say it', 'by-hand', ['ana', 'bob'], 'dora', undefined],
  ['nobody where too few are left', 'two-approvals', ['ana', 'bob'], 'ana', undefined],
  ['one more where nobody can tell who pushed', undefined, ['ana', 'bob'], unknownPusher, [2, 'ana', 'bob']],
  ['nobody where there is not one more', 'two-approvals', ['ana', 'bob'], unknownPusher, undefined],
])('asks %s', (_, policy, approvers, pusher, who) => {
  expect(asked(policy, approvers, pusher)).toEqual(who)
})
