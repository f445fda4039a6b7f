import { expect, test } from 'vitest'
import type { PlanApproval } from '../../../functions/lib/approval/approval.ts'
import { eventSchema } from '../../../functions/lib/events.ts'
import { planEvent } from '../../../functions/lib/plans/plan-event.ts'
import { rolloutTo } from '../../fixtures/notified-rollout.ts'

const rollout = rolloutTo('staging')
const asked: PlanApproval = {
  ...{ kind: 'plan', id: `${rollout.id} Terraform/a/db`, version: 1, cluster: 'staging', rollout: rollout.id },
  ...{ object: 'Terraform/a/db', uid: 'u', plan: 'plan-main-b', plannedAt: '2026-03-02T10:00:00Z', commit: 'b' },
  ...{ needed: 1, requestedBy: 'ana', reason: '', judged: 'a secret fingerprint', token: 'a secret token' },
  ...{ askedAt: 5_000, expiresAt: 9_000, decisions: [] },
  shown: { counts: { add: 1, change: 2, destroy: 3 }, destroysAll: false, changes: [], cut: false },
}

test('people are asked, with what the plan would do, and until when', () => {
  const event = planEvent(rollout, asked)
  expect(eventSchema.parse(event)).toEqual(event)
  expect(event).toMatchObject({ what: 'asked', object: 'Terraform/a/db', changes: { add: 1, change: 2, destroy: 3 } })
  expect(event).toMatchObject({ at: '1970-01-01T00:00:05.000Z', until: '1970-01-01T00:00:09.000Z' })
  expect(JSON.stringify(event)).not.toContain('secret')
})

test.each([
  ['approved', 'approved'],
  ['denied', 'denied'],
  ['expired', 'expired'],
  ['changed', 'withdrawn'],
  ['gone', 'withdrawn'],
] as const)('an approval that ends as %s is told of as %s', (how, what) => {
  const { shown: _, token: __, ...rest } = asked
  const decisions = [{ by: 'bob', decision: 'approve', at: 6_000 } as const]
  const event = planEvent(rollout, { ...rest, decisions, closed: { how, at: 7_000 } })
  expect(eventSchema.parse(event)).toEqual(event)
  expect(event).toMatchObject({ what, by: 'bob', at: '1970-01-01T00:00:07.000Z' })
  expect(event.id).not.toBe(planEvent(rollout, asked).id)
})
