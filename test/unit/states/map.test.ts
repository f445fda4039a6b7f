import { afterEach, describe, expect, it } from 'vitest'
import { statesEntered, type TaskHandler } from '../../../infra/local/states/interpreter.ts'
import { failing, failsThen, invoke, machineOf, runOnce, stopClocks, virtualClock } from './machines.ts'

afterEach(stopClocks)

const mapOf = (States: Record<string, Record<string, unknown>>, extra = {}) => ({
  Type: 'Map',
  ItemProcessor: { StartAt: Object.keys(States)[0], States },
  ...('Next' in extra ? {} : { End: true }),
  ...extra,
})

describe('a Map', () => {
  it('gives the outputs in the order of the items', async () => {
    const clock = virtualClock()
    const slowFirst: TaskHandler = (n) => new Promise((resolve) => clock.after(10 - Number(n), () => resolve(n)))
    const main = machineOf({ M: mapOf({ A: invoke('f') }, { Items: '{% $states.input.xs %}' }) })
    const run = await runOnce(main, { clock, handlers: { f: slowFirst }, input: { xs: [1, 2, 3] } })
    expect(run.value).toEqual([1, 2, 3])
    const succeeded = run.history.flatMap((event) => event.mapIterationSucceededEventDetails ?? [])
    expect(succeeded).toEqual([2, 1, 0].map((index) => ({ name: 'M', index })))
  })

  it('takes its input without Items, and nothing for no items', async () => {
    const main = machineOf({ M: mapOf({ A: { Type: 'Pass', End: true } }) })
    expect((await runOnce(main, { input: ['a'] })).value).toEqual(['a'])
    expect((await runOnce(main, { input: [] })).value).toEqual([])
    expect(await runOnce(main, { input: {} })).toMatchObject({ status: 'FAILED', error: 'States.QueryEvaluationError' })
  })

  it('selects what each iteration gets, with the item in the context object', async () => {
    const ItemSelector = {
      all: '{% $count($states.input) %}',
      item: '{% $states.context.Map.Item %}',
    }
    const Output = '{% $merge([$states.input, {"again": $states.context.Map.Item.Index}]) %}'
    const main = machineOf({ M: mapOf({ A: { Type: 'Pass', Output, End: true } }, { ItemSelector }) })
    expect((await runOnce(main, { input: ['a', 'b'] })).value).toEqual([
      { all: 2, item: { Index: 0, Value: 'a' }, again: 0 },
      { all: 2, item: { Index: 1, Value: 'b' }, again: 1 },
    ])
  })

  it('lets iterations read outer variables, and keeps what they assign to themselves', async () => {
    const main = machineOf({
      Set: { Type: 'Pass', Assign: { factor: 10 }, Next: 'M' },
      M: mapOf(
        {
          A: { Type: 'Pass', Assign: { own: '{% $states.input * $factor %}' }, Next: 'B' },
          B: { Type: 'Pass', Output: '{% $own %}', End: true },
        },
        { Next: 'Z', Assign: { results: '{% $states.result %}' } },
      ),
      Z: { Type: 'Succeed', Output: '{% {"results": $results, "factor": $factor} %}' },
    })
    expect((await runOnce(main, { input: [1, 2] })).value).toEqual({ results: [10, 20], factor: 10 })
  })

  it.each([
    [2, 2],
    ['{% 3 %}', 3],
    [0, 40],
    [1000, 40],
  ])('with MaxConcurrency %s runs %i at once', async (MaxConcurrency, most) => {
    const clock = virtualClock()
    let running = 0
    let peak = 0
    const f: TaskHandler = () =>
      new Promise((resolve) => {
        peak = Math.max(peak, ++running)
        clock.after(1000, () => {
          running--
          resolve(null)
        })
      })
    const main = machineOf({ M: mapOf({ A: invoke('f') }, { MaxConcurrency }) })
    const run = await runOnce(main, { clock, handlers: { f }, input: Array(50).fill(0) })
    expect(peak).toBe(most)
    expect(run.seconds).toBe(Math.ceil(50 / most))
    expect(run.transitions).toBe(51)
  })

  it('fails with the first iteration that fails, and stops the others', async () => {
    const signals: AbortSignal[] = []
    const f: TaskHandler = (n, { signal }) => {
      signals.push(signal)
      return n === 1 ? Promise.reject(failing('Broken')) : new Promise(() => {})
    }
    const main = machineOf({
      M: mapOf({ A: invoke('f') }, { Catch: [{ ErrorEquals: ['Broken'], Next: 'Z' }], MaxConcurrency: 3 }),
      Z: { Type: 'Succeed', Output: '{% $states.input.Error %}' },
    })
    const run = await runOnce(main, { handlers: { f }, input: [0, 1, 2, 3] })
    expect(run.value).toBe('Broken')
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true])
    expect(run.history.filter(({ type }) => /^Map/.test(type)).map(({ type }) => type)).toEqual([
      'MapStateEntered',
      'MapStateStarted',
      'MapIterationStarted',
      'MapIterationStarted',
      'MapIterationStarted',
      'MapIterationFailed',
      'MapIterationAborted',
      'MapIterationAborted',
      'MapStateFailed',
      'MapStateExited',
    ])
  })

  it('catches within an iteration, and retries as a whole', async () => {
    const main = machineOf({
      M: mapOf(
        {
          A: invoke('f', { Catch: [{ ErrorEquals: ['Small'], Next: 'B' }] }),
          B: { Type: 'Pass', Output: 'caught', End: true },
        },
        { Retry: [{ ErrorEquals: ['Large'], IntervalSeconds: 7 }] },
      ),
    })
    const run = await runOnce(main, { handlers: { f: failsThen(['Large', 'Small'], 'fine') }, input: [0] })
    expect(run).toMatchObject({ value: ['caught'], seconds: 7, transitions: 5 })
    expect(statesEntered(run.history)).toEqual(['M', 'A', 'A', 'B'])
  })

  it('chains the events of each iteration', async () => {
    const main = machineOf({ M: mapOf({ A: { Type: 'Pass', End: true } }) })
    const { history } = await runOnce(main, { input: [0, 1] })
    const started = history.find(({ type }) => type === 'MapStateStarted')?.id
    const previous = history.filter(({ type }) => type === 'MapIterationStarted').map((event) => event.previousEventId)
    expect(previous).toEqual([started, started])
  })

  it('runs within a Map', async () => {
    const inner = mapOf({ A: { Type: 'Pass', Output: '{% $states.input * 2 %}', End: true } })
    expect((await runOnce(machineOf({ M: mapOf({ N: inner }) }), { input: [[1, 2], [3]] })).value).toEqual([
      [2, 4],
      [6],
    ])
  })

  it('says once where an expression of an iteration failed', async () => {
    const main = machineOf({ M: mapOf({ A: { Type: 'Pass', Output: '{% $states.result %}', End: true } }) })
    const run = await runOnce(main, { input: [0] })
    expect(run.error).toBe('States.QueryEvaluationError')
    expect(run.history.filter(({ type }) => type === 'EvaluationFailed')).toHaveLength(1)
  })
})
