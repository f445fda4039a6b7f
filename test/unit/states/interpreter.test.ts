import { afterEach, describe, expect, it } from 'vitest'
import { statesEntered } from '../../../infra/local/states/interpreter.ts'
import { invoke, machineOf, runOnce, stopClocks } from './machines.ts'

afterEach(stopClocks)

describe('running a machine', () => {
  it('passes data from state to state and records it', async () => {
    const run = await runOnce(
      machineOf({
        Double: invoke('double', { Next: 'Done', Assign: { before: '{% $states.input.n %}' } }),
        Done: { Type: 'Succeed', Output: { n: '{% $states.input %}', was: '{% $before %}' } },
      }),
      { input: { n: 21 }, handlers: { double: async (payload) => (payload as { n: number }).n * 2 } },
    )
    expect(run.value).toEqual({ n: 42, was: 21 })
    expect(run.history.map(({ id, previousEventId, type }) => [id, previousEventId, type])).toEqual([
      [1, 0, 'ExecutionStarted'],
      [2, 1, 'TaskStateEntered'],
      [3, 2, 'TaskScheduled'],
      [4, 3, 'TaskStarted'],
      [5, 4, 'TaskSucceeded'],
      [6, 5, 'TaskStateExited'],
      [7, 6, 'SucceedStateEntered'],
      [8, 7, 'SucceedStateExited'],
      [9, 8, 'ExecutionSucceeded'],
    ])
    expect(statesEntered(run.history)).toEqual(['Double', 'Done'])
    expect(run.transitions).toBe(2)
  })

  it('waits a day in no time on a virtual clock', async () => {
    const run = await runOnce(machineOf({ Sleep: { Type: 'Wait', Seconds: 86_400, End: true } }), { input: 'kept' })
    expect(run.value).toBe('kept')
    expect(run.seconds).toBe(86_400)
  })
})
