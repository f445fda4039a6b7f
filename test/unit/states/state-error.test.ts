import { describe, expect, it } from 'vitest'
import { nextRetry } from '../../../infra/local/states/retry.ts'
import { errorMatches } from '../../../infra/local/states/state-error.ts'

describe('ErrorEquals', () => {
  it.each([
    [['Custom'], 'Custom', true],
    [['custom'], 'Custom', false],
    [['A', 'B'], 'B', true],
    [['States.ALL'], 'Custom', true],
    [['States.ALL'], 'States.Timeout', true],
    [['States.ALL'], 'States.QueryEvaluationError', true],
    [['States.ALL'], 'States.DataLimitExceeded', false],
    [['States.DataLimitExceeded'], 'States.DataLimitExceeded', true],
    [['States.ALL'], 'States.Runtime', false],
    [['States.Runtime'], 'States.Runtime', false],
    [['States.TaskFailed'], 'Custom', true],
    [['States.TaskFailed'], 'States.Timeout', false],
    [['States.TaskFailed'], 'States.HeartbeatTimeout', false],
    [['States.TaskFailed'], 'States.DataLimitExceeded', false],
    [['States.Timeout'], 'States.Timeout', true],
    [['States.Timeout'], 'States.HeartbeatTimeout', true],
    [['States.HeartbeatTimeout'], 'States.Timeout', false],
    [['States.HeartbeatTimeout'], 'States.HeartbeatTimeout', true],
  ])('%j and %s: %s', (patterns, error, expected) => {
    expect(errorMatches(patterns, error)).toBe(expected)
  })
})

describe('a retry', () => {
  const retrier = (extra = {}) => ({
    ErrorEquals: ['E'],
    IntervalSeconds: 2,
    BackoffRate: 3,
    MaxAttempts: 4,
    JitterStrategy: 'NONE' as const,
    ...extra,
  })
  const delays = (extra: object, random = () => 0.5) =>
    [0, 1, 2, 3, 4].map((used) => nextRetry([retrier(extra)], [used], 'E', random)?.delayMs)

  it.each([
    ['grows by the rate and ends', {}, [2_000, 6_000, 18_000, 54_000, undefined]],
    ['stays under the longest delay', { MaxDelaySeconds: 10 }, [2_000, 6_000, 10_000, 10_000, undefined]],
    ['is drawn with full jitter', { JitterStrategy: 'FULL' }, [1_000, 3_000, 9_000, 27_000, undefined]],
    ['is never done with no attempts', { MaxAttempts: 0 }, Array(5).fill(undefined)],
  ])('%s', (_, extra, expected) => {
    expect(delays(extra)).toEqual(expected)
  })

  it('counts for each retrier, and only the first that matches', () => {
    const retriers = [
      retrier({ MaxAttempts: 1 }),
      retrier({ ErrorEquals: ['F'] }),
      retrier({ ErrorEquals: ['States.ALL'] }),
    ]
    expect(nextRetry(retriers, [1, 0, 0], 'E', Math.random)).toBeUndefined()
    expect(nextRetry(retriers, [1, 0, 0], 'F', Math.random)).toEqual({ retrier: 1, delayMs: 2_000 })
    expect(nextRetry(retriers, [1, 4, 1], 'G', Math.random)).toEqual({ retrier: 2, delayMs: 6_000 })
  })
})
