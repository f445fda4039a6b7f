import { describe, expect, test } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import type { Outcome } from '../../../functions/lib/rollout/rollout.ts'
import { failuresTolerated } from '../../../functions/lib/waves/failure-tolerance.ts'
import { concludeWave, type EndedWave } from '../../../functions/wave-conclude/conclude-wave.ts'

const waves = [['a', 'b'], ['c'], ['d', 'e', 'f']]

function conclude(outcomes: Record<string, Outcome>, wave: Partial<EndedWave> = {}) {
  const ends = Object.entries(outcomes).map(([cluster, outcome]) => ({ cluster, outcome }))
  return concludeWave({ delivery: 'd', waves, number: 1, ends, before: null, tolerance: 0, ...wave })
}

describe('the end of a wave', () => {
  test('leads to the next one when all went well', () => {
    const { next, outcome, message } = conclude({ a: 'succeeded', b: 'succeeded' })
    expect({ next, outcome, message }).toEqual({
      next: 'PlanWave',
      outcome: 'succeeded',
      message: 'Wave 1 of 3: 2 of 2 clusters succeeded.',
    })
  })

  test('takes a cluster of which nothing is known for failed', () => {
    expect(conclude({ a: 'succeeded' })).toMatchObject({ next: 'Failed', wave: { failed: 1, failedNames: ['b'] } })
  })

  test('counts a cluster once, by its worse end, and none that is not of the wave', () => {
    const ends = (['succeeded', 'failed', 'succeeded'] as const).map((outcome) => ({ cluster: 'a', outcome }))
    const others = ['b', 'z', 'c'].map((cluster) => ({ cluster, outcome: 'succeeded' as const }))
    expect(conclude({}, { ends: [...ends, ...others] }).wave).toEqual({
      ...{ clusters: 2, succeeded: 1, failed: 1, released: 0, superseded: 0, failedNames: ['a'] },
    })
  })

  test('by a newer push is told as that, and not tolerated', () => {
    const { next, outcome, message } = conclude({ a: 'superseded', b: 'failed' }, { tolerance: '100%' })
    expect({ next, outcome }).toEqual({ next: 'Stopped', outcome: 'superseded' })
    expect(message).toContain(
      '2 later waves with 4 clusters did not begin. A newer push goes through all waves itself.',
    )
  })

  test.each([
    ['released', 0, 'Stopped'],
    ['released', 1, 'PlanWave'],
    ['failed', 0, 'Failed'],
    ['failed', 1, 'PlanWave'],
  ] as const)('with one %s and a tolerance of %s leads to %s', (outcome, tolerance, next) => {
    expect(conclude({ a: 'succeeded', b: outcome }, { tolerance }).next).toBe(next)
  })

  test('counts released and failed clusters together', () => {
    expect(conclude({ a: 'failed', b: 'released' }, { tolerance: 1 })).toMatchObject({
      next: 'Failed',
      outcome: 'failed',
    })
  })

  test('is not green at the end of all waves while an earlier one has left a cluster behind', () => {
    const first = conclude({ a: 'succeeded', b: 'released' }, { tolerance: 1 })
    const second = conclude({ c: 'succeeded' }, { tolerance: 1, number: 2, before: first.tally })
    expect(second.next).toBe('PlanWave')
    const ends = { d: 'succeeded', e: 'succeeded', f: 'succeeded' } as const
    const last = conclude(ends, { tolerance: 1, number: 3, before: second.tally })
    expect(last).toMatchObject({
      next: 'Stopped',
      outcome: 'released',
      tally: { clusters: 6, succeeded: 5, released: 1 },
    })
    expect(last.message).toContain('All waves (3) are through: 5 of 6 clusters succeeded, 1 released by people.')
  })

  test('says why there are no ends', () => {
    const { message } = conclude({}, { failure: 'States.ItemReaderFailed: gone' })
    expect(message).toContain('States.ItemReaderFailed: gone')
  })

  test('names the first ten that failed over all waves, and counts the others', () => {
    const names = Array.from({ length: 12 }, (_, index) => `c${index}`)
    const { message, tally } = conclude({}, { waves: [names] })
    expect(message).toContain('12 failed (c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, and 2 more)')
    const again = conclude({}, { waves: [names, ['z']], number: 2, before: tally })
    expect(again.tally).toMatchObject({ failed: 13, failedNames: names.slice(0, 10) })
  })
})

describe('the tolerance', () => {
  test.each([
    [0, 500, 0],
    [3, 500, 3],
    ['10%', 500, 50],
    ['10%', 9, 0],
    ['34%', 3, 1],
    ['100%', 7, 7],
  ] as const)('%s of %i clusters is %i', (tolerance, clusters, most) => {
    expect(failuresTolerated(tolerance, clusters)).toBe(most)
  })

  const written = {
    repositories: [{ name: 'my-org/a', branches: ['main'] }],
    clusters: [{ name: 'a', eks: 'a', region: 'us-east-1', environment: 'test' }],
  }

  test.each([0, 5, '0%', '5%', '100%'])('may be %s', (failureTolerance) => {
    expect(parseFleet({ ...written, failureTolerance })).toMatchObject({ failureTolerance })
  })

  test.each([-1, 1.5, '101%', '5', '1.5%', '-1%', '05%', true, null, '5 %'])('may not be %s', (failureTolerance) => {
    expect(() => parseFleet({ ...written, failureTolerance })).toThrow(
      /failureTolerance: is .*; give a number of clusters such as 1, or a percentage of the wave such as "10%"/,
    )
  })
})
