import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadDefinition } from '../../../infra/local/states/definition.ts'
import { DefinitionInvalid } from '../../../infra/local/states/definition-invalid.ts'
import { ask, distributedMapOf, documentOf, invoke, type States } from './machines.ts'

const end = { Type: 'Succeed' }
// biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of CloudFormation
const placeholder = '${Plan}'

function problemsOf(document: unknown, substitutions = {}): string[] {
  try {
    loadDefinition(typeof document === 'string' ? document : JSON.stringify(document), substitutions)
    return []
  } catch (error) {
    if (!(error instanceof DefinitionInvalid)) throw error
    return error.problems.map(({ path, message }) => `${path}: ${message}`)
  }
}

const refused: [string, States, string][] = [
  ['a state of another type', { A: { Type: 'Parallel', Branches: [], End: true } }, 'States/A/Type: must be one of'],
  [
    'another integration',
    { A: invoke('f', { Resource: 'arn:aws:states:::sqs:sendMessage' }) },
    'States/A/Resource: must be one of',
  ],
  [
    'a field of JSONPath',
    { A: { Type: 'Pass', InputPath: '$.x', End: true } },
    'States/A: Unrecognized key: "InputPath"',
  ],
  [
    'a result that Pass does not have',
    { A: { Type: 'Pass', Result: 1, End: true } },
    'States/A: Unrecognized key: "Result"',
  ],
  ['a query language of its own', { A: { Type: 'Pass', QueryLanguage: 'JSONata', End: true } }, '"QueryLanguage"'],
  [
    'another argument of lambda:invoke',
    { A: invoke('f', { Arguments: { FunctionName: 'f', InvocationType: 'Event' } }) },
    'States/A/Arguments: Unrecognized key: "InvocationType"',
  ],
  ['a target that is not there', { A: { Type: 'Pass', Next: 'B' } }, 'States/A/Next: there is no state "B"'],
  [
    'a target of a choice that is not there',
    { A: { Type: 'Choice', Choices: [{ Condition: '{% true %}', Next: 'B' }], Default: 'C' } },
    'States/A/Choices/0/Next: there is no state "B"',
  ],
  [
    'a target of a catcher that is not there',
    { A: invoke('f', { Catch: [{ ErrorEquals: ['E'], Next: 'B' }] }) },
    'States/A/Catch/0/Next: there is no state "B"',
  ],
  ['a state that nothing leads to', { A: end, B: end }, 'States/B: no state leads here'],
  ['neither Next nor End', { A: { Type: 'Pass' } }, 'States/A: needs either Next or End'],
  ['both Next and End', { A: { Type: 'Pass', Next: 'B', End: true }, B: end }, 'States/A: needs either Next or End'],
  ['a wait without an end', { A: { Type: 'Wait', End: true } }, 'States/A: needs either Seconds or Timestamp'],
  ['a token without a bound', { A: ask('f', { TimeoutSeconds: undefined }) }, 'States/A: waits for a token without'],
  ['a heartbeat where none can come', { A: invoke('f', { HeartbeatSeconds: 5 }) }, '"HeartbeatSeconds"'],
  [
    'a heartbeat that is never missed in time',
    { A: ask('f', { TimeoutSeconds: 5, HeartbeatSeconds: 5 }) },
    'States/A/HeartbeatSeconds: must be less than TimeoutSeconds',
  ],
  [
    'States.ALL among others',
    { A: invoke('f', { Retry: [{ ErrorEquals: ['States.ALL', 'E'] }] }) },
    'States/A/Retry/0/ErrorEquals: States.ALL must stand alone',
  ],
  [
    'States.ALL before others',
    { A: invoke('f', { Retry: [{ ErrorEquals: ['States.ALL'] }, { ErrorEquals: ['E'] }] }) },
    'States/A/Retry/0/ErrorEquals: States.ALL must stand alone',
  ],
  [
    'JSONata that does not parse',
    { A: { ...end, Output: { a: ['{% $states. %}'] } } },
    'States/A/Output/a/0: JSONata does not parse',
  ],
  [
    'half an expression',
    { A: { ...end, Output: '{% 1 %} ' } },
    'States/A/Output: an expression starts with {% and ends with %}',
  ],
  ['$eval', { A: { ...end, Output: "{% $eval('1') %}" } }, 'States/A/Output: $eval is neither'],
  ['a variable that nothing assigns', { A: { ...end, Output: '{% $typo %}' } }, 'States/A/Output: $typo is neither'],
  ['a field name at the top level', { A: { ...end, Output: '{% input.x %}' } }, 'States/A/Output: field name "input"'],
  ['$ at the top level', { A: { ...end, Output: '{% $.x %}' } }, 'States/A/Output: $ at the top level'],
  ['$$', { A: { ...end, Output: '{% $count($$) %}' } }, 'States/A/Output: $$ at the top level'],
  [
    'an operator that Step Functions lacks',
    { A: { ...end, Output: '{% $states.input.a ?? 1 %}' } },
    'operator ?? is newer',
  ],
  ['another such operator', { A: { ...end, Output: '{% $states.input.a ?: 1 %}' } }, 'operator ?: is newer'],
  ['a variable named states', { A: { Type: 'Pass', Assign: { states: 1 }, End: true } }, 'States/A/Assign/states'],
  ['an unknown target of the start', { A: end }, 'StartAt: there is no state "Z"'],
  [
    'a distributed Map of items in the state',
    { A: distributedMapOf({ B: end }, { ItemReader: undefined, Items: [1] }) },
    'States/A/ItemReader: Invalid input: expected object, received undefined',
  ],
  [
    'a distributed Map that fails with its items',
    { A: distributedMapOf({ B: end }, { ToleratedFailurePercentage: 5 }) },
    'States/A/ToleratedFailurePercentage: Invalid input: expected 100',
  ],
  [
    'a distributed Map whose items read a variable from outside',
    {
      X: { Type: 'Pass', Assign: { x: 1 }, Next: 'A' },
      A: distributedMapOf({ B: { ...end, Output: '{% $x %}' } }),
    },
    'States/A/ItemProcessor/States/B/Output: $x is neither',
  ],
  [
    'tolerated failures',
    {
      A: { Type: 'Map', ToleratedFailurePercentage: 5, ItemProcessor: { StartAt: 'B', States: { B: end } }, End: true },
    },
    '"ToleratedFailurePercentage"',
  ],
  [
    'a mistake within a Map',
    { A: { Type: 'Map', ItemProcessor: { StartAt: 'B', States: { B: { Type: 'Pass', Next: 'C' } } }, End: true } },
    'States/A/ItemProcessor/States/B/Next: there is no state "C"',
  ],
  [
    'a name that is used twice',
    { A: { Type: 'Map', ItemProcessor: { StartAt: 'A', States: { A: end } }, End: true } },
    'States/A/ItemProcessor/States/A: another state has the same name',
  ],
  [
    'a Map that assigns an outer variable',
    {
      A: { Type: 'Pass', Assign: { x: 1 }, Next: 'M' },
      M: {
        Type: 'Map',
        ItemProcessor: { StartAt: 'B', States: { B: { Type: 'Pass', Assign: { x: 2 }, End: true } } },
        End: true,
      },
    },
    'States/M/ItemProcessor/States: assigns $x, which belongs to an enclosing state',
  ],
]

describe('a definition', () => {
  it.each(refused)('is refused for %s', (name, states, problem) => {
    const document = documentOf(states, name.includes('start') ? { StartAt: 'Z' } : {})
    expect(problemsOf(document).join('\n')).toContain(problem)
  })

  it.each([
    ['JSONPath', { ...documentOf({ A: end }), QueryLanguage: 'JSONPath' }, 'QueryLanguage'],
    ['no query language', { StartAt: 'A', States: { A: end } }, 'QueryLanguage'],
    ['no JSON', '{', ': is not JSON'],
    ['a substitution that is missing', documentOf({ A: invoke(placeholder) }), `${placeholder} has no substitution`],
    ['another field', documentOf({ A: end }, { Version: '1.0' }), 'Unrecognized key: "Version"'],
    ['no document', 'null', '(document)'],
    ['states that are none', documentOf({ A: null as never }), 'States/A'],
  ])('is refused for %s', (_, document, problem) => {
    expect(() => loadDefinition(typeof document === 'string' ? document : JSON.stringify(document))).toThrow(problem)
  })

  it('is refused with every mistake in one error', () => {
    const states = {
      A: { Type: 'Pass', InputPath: '$', Next: 'Nowhere' },
      B: { Type: 'Parallel', End: true },
      C: { ...end, Output: '{% ( %}' },
    }
    const problems = problemsOf(documentOf(states, { TimeoutSeconds: 0 }))
    const paths = problems.map((problem) => problem.split(':')[0])
    expect(new Set(paths)).toEqual(
      new Set([
        'TimeoutSeconds',
        'States/A',
        'States/A/Next',
        'States/B',
        'States/B/Type',
        'States/C',
        'States/C/Output',
      ]),
    )
  })

  it('takes substitutions into its text as CloudFormation does', () => {
    const definition = loadDefinition(JSON.stringify(documentOf({ A: invoke(placeholder) })), { Plan: 'plan' })
    expect(definition.States.A).toMatchObject({ Arguments: { FunctionName: 'plan' } })
    expect(definition.text).toContain('"FunctionName":"plan"')
  })

  it('takes what uses context, local variables, functions and predicates', () => {
    const Output = {
      map: '{% $map($states.input.items, function($v, $i) { $v.name & $i }) %}',
      filter: "{% $states.input.items[kind = 'x' and $not(off)].{ 'n': name } %}",
      block: '{% ( $a := 1; $b := $a + 1; $b ) %}',
      focus: '{% $states.input.items@$o.{ "n": $o.name } %}',
      chain: '{% $states.input.items ~> $count %}',
      sort: '{% $states.input.items^(>size) %}',
    }
    expect(problemsOf(documentOf({ A: { ...end, Output } }))).toEqual([])
  })

  it.each(['rollout', 'fleet'])('of the %s loads', (name) => {
    const text = readFileSync(new URL(`../../../statemachines/${name}.asl.json`, import.meta.url), 'utf8')
    const names = [...text.matchAll(/\$\{(\w+)\}/g)].map(([, placeholder]) => [placeholder, 'f'])
    expect(problemsOf(text, Object.fromEntries(names))).toEqual([])
  })
})
