import { describe, expect, it } from 'vitest'
import { evaluate, type Json, type Scope } from '../../../infra/local/states/jsonata-expression.ts'

const input = { n: 2, items: [{ k: 'a' }, { k: 'b' }, { k: 'a', last: true }], text: '{"a":[1]}' }
const scope: Scope = {
  states: { input, context: { State: { Name: 'S' } } },
  variables: { total: 5 },
  now: Date.UTC(2026, 0, 5, 9),
  random: () => 0.25,
}

const values: [string, Json, Json][] = [
  ['text that is no expression', 'plain {% no %}', 'plain {% no %}'],
  ['expressions deep in a template', { a: [{ b: '{% $states.input.n %}' }], c: null }, { a: [{ b: 2 }], c: null }],
  ['variables', '{% $total + 1 %}', 6],
  ['the context object', '{% $states.context.State.Name %}', 'S'],
  ['null', '{% null %}', null],
  ['a sequence of one as a single value', '{% $states.input.items[last].k %}', 'a'],
  ['an array that is kept', '{% $states.input.items[last][].k %}', ['a']],
  ['an object without its missing parts', '{% {"a": 1, "b": $states.input.none} %}', { a: 1 }],
  ['$partition', '{% $partition([1, 2, 3, 4, 5], 2) %}', [[1, 2], [3, 4], [5]]],
  ['$partition of one value', '{% $partition(1, 2) %}', [[1]]],
  ['$range', '{% $range(0, 10, 5) %}', [0, 5, 10]],
  ['$range downwards', '{% $range(3, 1, -1) %}', [3, 2, 1]],
  ['$hash', "{% $hash('abc', 'SHA-1') %}", 'a9993e364706816aba3e25717850c26c9cd0d89d'],
  ['$parse', '{% $parse($states.input.text) %}', { a: [1] }],
  ['$random', '{% $random() %}', 0.25],
  ['$random with a seed', '{% $random(7) = $random(7) and $random(7) != $random(8) %}', true],
  ['$uuid', '{% $match($uuid(), /^[0-9a-f-]{36}$/).index %}', 0],
  ['$millis', '{% $millis() %}', Date.UTC(2026, 0, 5, 9)],
  ['$now', '{% $now() %}', '2026-01-05T09:00:00.000Z'],
  ['$now with a picture', "{% $now('[Y0001]-[M01]') %}", '2026-01'],
]

const failures: [string, string, string][] = [
  ['nothing', '{% $states.input.none %}', 'returned nothing'],
  ['a part of $states that is not there yet', '{% $states.result %}', 'returned nothing'],
  ['a function', '{% $sum %}', 'returned a function'],
  ['a lambda', '{% function($x) { $x } %}', 'returned a function'],
  ['a function inside', '{% {"f": $sum} %}', 'returned a function'],
  ['a number that is not finite', '{% 1/0 %}', 'not finite'],
  ['a type error', "{% 1 + 'a' %}", 'threw an error'],
  ['$error', "{% $error('boom') %}", 'boom'],
  ['$eval', "{% $eval('1') %}", 'threw an error'],
  ['$parse of no JSON', "{% $parse('{') %}", 'threw an error'],
  ['$hash with another algorithm', "{% $hash('a', 'CRC') %}", 'MD5, SHA-1'],
  ['$range without an end', '{% $range(1, 10, 0) %}', 'must not be 0'],
  ['$range of too much', '{% $range(1, 1001, 1) %}', 'more than 1000'],
  ['$partition into nothing', '{% $partition([1], 0) %}', 'at least 1'],
]

describe('an expression', () => {
  it.each(values)('evaluates %s', async (_, template, expected) => {
    expect(await evaluate(template, scope, 'Output')).toEqual(expected)
  })

  it('yields plain JSON: no property beside the elements', async () => {
    const value = await evaluate("{% $states.input.items[k = 'a'] %}", scope, 'Output')
    expect(Object.getOwnPropertyNames(value)).toEqual(['0', '1', 'length'])
    const object = await evaluate('{% {"a": 1} %}', scope, 'Output')
    expect(Object.getPrototypeOf(object)).toBe(Object.prototype)
  })

  it.each(failures)('fails for %s', async (_, template, reason) => {
    const failed = evaluate({ a: [template] }, scope, 'Output')
    await expect(failed).rejects.toMatchObject({ error: 'States.QueryEvaluationError', location: 'Output/a[0]' })
    await expect(failed).rejects.toThrow(reason)
  })

  it('does not let one evaluation see another', async () => {
    const template = '{% ($x := $states.input.n; $x * 10) %}'
    const inputs = [1, 2, 3].map((n) => ({ ...scope, states: { ...scope.states, input: { n } } }))
    const results = await Promise.all(inputs.map((one) => evaluate(template, one, 'Output')))
    expect(results).toEqual([10, 20, 30])
  })
})
