import { expect, it } from 'vitest'
import { freshRunIn } from '../../../functions/lib/unlock/run/fresh-run.ts'
import { terraform } from '../../fixtures/raw-objects.ts'

const locked = { object: 'Terraform/flux-system/vpc', uid: 'uid-vpc', lock: 'l' }
const deleted = Date.parse('2026-03-02T10:00:00.700Z')
const ready = (status: string, reason: string) => ({ conditions: [{ type: 'Ready', status, reason }] })
const planned = { lastPlannedRevision: 'main@1', lastPlanAt: '2026-03-02T10:00:00Z' }

const seen = (
  status: Record<string, unknown>,
  spec: Record<string, unknown> = { approvePlan: 'auto' },
  uid = locked.uid,
) => {
  const object = terraform('vpc', { status, spec }) as { metadata: object }
  return freshRunIn({ ...object, metadata: { ...object.metadata, uid } }, locked, deleted)
}

it.each<[string, Record<string, unknown>, string | undefined]>([
  ['asked for, and not begun', ready('False', 'ReplanRequested'), undefined],
  ['held back by what it depends on', ready('False', 'DependencyNotReady'), undefined],
  ['at work', { ...ready('Unknown', 'Progressing'), ...planned }, undefined],
  ['planned and applied', { ...ready('True', 'TerraformAppliedSucceed'), ...planned }, 'planned'],
  [
    'planned before the delete only',
    { ...ready('True', 'NoDrift'), ...planned, lastPlanAt: '2026-03-02T09:59:59Z' },
    undefined,
  ],
  [
    'not planned, but looked for drift',
    { ...ready('True', 'NoDrift'), ...planned, lastPlanAt: '', lastDriftDetectedAt: '2026-03-02T10:00:09Z' },
    'planned',
  ],
  ['failed', ready('False', 'TFExecPlanFailed'), 'failed'],
])('a run that is %s', (_, status, plan) => {
  expect(seen(status).plan).toBe(plan)
})

it('that has planned is over where its plan waits for an approval, and goes on where it is applied by itself', () => {
  const status = { ...ready('Unknown', 'TerraformPlannedWithChanges'), ...planned }
  expect(seen(status, { approvePlan: '' }).plan).toBe('planned')
  expect(seen(status, { approvePlan: 'auto', planOnly: true }).plan).toBe('planned')
  expect(seen(status, { approvePlan: 'auto' }).plan).toBeUndefined()
})

it('is waited for by nobody where the object is suspended, gone, or another one', () => {
  expect(seen({}, { suspend: true }).plan).toBe('none')
  expect(seen({}, {}, 'another').plan).toBe('none')
  expect(freshRunIn(undefined, locked, deleted)).toEqual({ plan: 'none', mayApply: false })
})

it.each<[Record<string, unknown>, boolean]>([
  [{ approvePlan: 'auto' }, true],
  [{ approvePlan: 'plan-main-1' }, true],
  [{ approvePlan: '' }, false],
  [{ approvePlan: 'disable' }, false],
  [{ approvePlan: 'auto', planOnly: true }, false],
  [{ approvePlan: '', planOnly: true, force: true }, true],
])('may write the state by %o: %s', (spec, mayApply) => {
  expect(seen({}, spec).mayApply).toBe(mayApply)
})
