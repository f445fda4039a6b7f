import { expect, it } from 'vitest'
import { planPage } from '../../../functions/approve/plan-page.ts'
import type { ShownPlan } from '../../../functions/lib/plans/shown-plan.ts'
import { planApprovalOf } from '../../fixtures/plan-approvals.ts'

const page = (shown: Partial<ShownPlan>) =>
  planPage(planApprovalOf({ shown: { destroysAll: false, changes: [], cut: false, ...shown } }), {
    ...{ approver: 'bob', whyNot: undefined },
  })
const changed = (action: 'replace' | 'delete' | 'update' | 'forget') => ({ address: 'a.b', action, lines: [] })

it.each([
  ['a replacement', { changes: [changed('replace')] }, '1 resource.'],
  ['what is destroyed', { changes: [changed('delete'), changed('update')] }, '1 resource.'],
  ['what is counted, though it is not named', { counts: { add: 0, change: 0, destroy: 3 } }, '3 resources.'],
  ['a plan that destroys everything', { destroysAll: true }, 'This plan destroys everything'],
])('warns of %s', (_, shown, text) => {
  expect(page(shown)).toMatch(/role="alert"><strong>This plan destroys[^<]*/)
  expect(page(shown)).toContain(text)
})

it('does not warn where nothing goes', () => {
  expect(page({ changes: [changed('update'), changed('forget')] })).not.toContain('role="alert"')
})
