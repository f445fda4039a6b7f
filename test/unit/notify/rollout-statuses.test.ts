import { describe, expect, test } from 'vitest'
import type { WaveApproval } from '../../../functions/lib/approval/approval.ts'
import { layerStatuses, pushStatus } from '../../../functions/lib/notify/rollout-statuses.ts'
import type { PlannedObject, Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { plannedObject, rolloutTo } from '../../fixtures/notified-rollout.ts'
import { waveApprovalOf } from '../../fixtures/wave-approval.ts'

function stateOf(objects: Partial<PlannedObject>[], more: Partial<Rollout> = {}) {
  const rollout: Rollout = {
    ...rolloutTo('staging'),
    layers: [{ index: 0, name: 'apps', deadlineMs: 1, openedAt: 1 }],
    objects: objects.map((object, index) => plannedObject(`Kustomization/a/${index}`, 0, object)),
    ...more,
  }
  return layerStatuses(rollout).get('apps')
}

describe('the status of a layer', () => {
  test.each<[string, Partial<PlannedObject>[], Partial<Rollout>, string]>([
    ['is queued', [{}], {}, 'pending'],
    ['is open', [{ phase: 'ready' }, { phase: 'open' }], {}, 'pending'],
    ['is ready', [{ phase: 'ready' }, { phase: 'gone' }], {}, 'success'],
    ['has failed and may recover', [{ phase: 'failed' }], {}, 'pending'],
    ['has failed for good', [{ phase: 'ready' }, { phase: 'failed' }], { outcome: 'failed' }, 'failure'],
    ['is held behind what has failed', [{ gated: true }], { outcome: 'failed' }, 'error'],
    ['was let go of', [{ phase: 'open' }], { outcome: 'released' }, 'error'],
    ['was overtaken', [{}], { outcome: 'superseded' }, 'error'],
    ['was ready before the rest failed', [{ phase: 'ready' }], { outcome: 'failed' }, 'success'],
    [
      'has what a person suspended',
      [{ phase: 'failed', notHeld: 'person', reason: 'Suspended' }],
      { outcome: 'succeeded' },
      'success',
    ],
    ['is held, whatever the outcome says', [{ phase: 'pending', gated: true }], { outcome: 'succeeded' }, 'error'],
  ])('that %s', (_, objects, more, state) => expect(stateOf(objects, more)?.state).toBe(state))

  test('that has nothing to do, and whose turn has not come, is no success yet', () => {
    const layers = [{ index: 0, name: 'apps', deadlineMs: 1 }]
    for (const objects of [[], [{ phase: 'ready' as const }]]) {
      expect(stateOf(objects, { layers })?.state).toBe('pending')
      expect(stateOf(objects, { layers, outcome: 'succeeded' })?.state).toBe('success')
    }
  })

  test('says what is not ready, in 140 characters without what looks secret', () => {
    const detail = `token=hunter2 ${'x'.repeat(500)}\nand more`
    const { description = '' } = stateOf([{ phase: 'ready' }, { phase: 'failed', detail }]) ?? {}
    expect(description).toMatch(/^1 of 2 ready: Kustomization\/a\/1 token=\*\*\* x+…$/)
    expect(description).toHaveLength(140)
  })
})

describe('the status of a push', () => {
  test.each([
    [{}, undefined, 'pending'],
    [{ staging: 'failed' }, undefined, 'pending'],
    [{}, 'succeeded', 'success'],
    [{ staging: 'failed' }, 'succeeded', 'failure'],
    [{ staging: 'released' }, 'succeeded', 'error'],
    [{}, 'failed', 'failure'],
    [{}, 'stopped', 'error'],
    [{ staging: 'superseded' }, 'superseded', 'error'],
  ] as const)('of which %j is bad, ended as %s, is %s', (bad, ended, state) =>
    expect(pushStatus({ bad, ended }).state).toBe(state),
  )

  const denial = { by: 'bob', decision: 'deny', at: 1 } as const
  test.each<[string, Partial<WaveApproval>, 'failed' | 'stopped' | undefined, string, string]>([
    ['wait', {}, undefined, 'pending', 'Waits for people to agree to wave 1 of 2'],
    ['agreed', { closed: { how: 'approved', at: 1 } }, undefined, 'pending', 'Is being rolled out'],
    ['denied it', { decisions: [denial] }, undefined, 'pending', 'bob denied wave 1 of 2'],
    ['denied it in the end', { decisions: [denial] }, 'failed', 'failure', 'bob denied wave 1 of 2'],
    [
      'said nothing',
      { closed: { how: 'expired', at: 1 } },
      'failed',
      'failure',
      'Nobody agreed to wave 1 of 2 in time',
    ],
    ['agreed in vain', { closed: { how: 'approved', at: 1 } }, 'failed', 'failure', 'Failed'],
    ['stopped it', { closed: { how: 'stopped', at: 1 } }, 'stopped', 'error', 'Was stopped before its end'],
  ])('before whose wave people %s', (_, over, ended, state, description) => {
    expect(pushStatus({ bad: {}, ended, asked: waveApprovalOf(over) })).toEqual({ state, description })
  })
})
