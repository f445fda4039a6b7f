import { expect } from 'vitest'
import type { Json } from '../../../infra/local/states/jsonata-expression.ts'
import { failing, failsThen, invoke, type States, type World } from './machines.ts'

/** A machine that is run once, and how it ends. */
export interface Example {
  readonly states: States
  readonly input?: Json
  /** Made anew for each run: functions count their calls. */
  readonly world?: () => World
  /** Takes too long, or tells times and names: only for an interpreter under a clock that jumps. */
  readonly virtual?: true
  readonly top?: Record<string, unknown>
  readonly expected: {
    status: string
    value?: Json
    error?: string
    cause?: string
    seconds?: number
    transitions?: number
  }
  readonly entered?: string[]
}

const done = { Type: 'Succeed' }
const big = 'x'.repeat(262_144)
const choice = {
  Type: 'Choice',
  Choices: [
    {
      Condition: '{% $states.input.n > 10 %}',
      Next: 'Big',
      Assign: { by: 'rule' },
      Output: { m: '{% $states.input.n %}' },
    },
    { Condition: '{% $states.input.n > 5 %}', Next: 'Middle' },
  ],
  Default: 'Small',
  Assign: { by: 'default' },
  Output: 'from the default',
}
const choices = {
  Choose: choice,
  Big: { ...done, Output: { by: '{% $by %}', input: '{% $states.input %}' } },
  Middle: done,
  Small: { ...done, Output: { by: '{% $by %}', input: '{% $states.input %}' } },
}
const caught = (errors: string[], extra = {}) => ({
  Try: invoke('f', { Catch: [{ ErrorEquals: errors, Next: 'Caught', ...extra }] }),
  Caught: done,
})
const throwing = (name: string) => () => ({ handlers: { f: async () => Promise.reject(failing(name)) } })
const stuck = () => ({ handlers: { f: () => new Promise<never>(() => {}) } })
const handlersOf = (f: () => unknown) => () => ({ handlers: { f: async () => f() } })

export const examples: Record<string, Example> = {
  'Pass gives its input': {
    states: { A: { Type: 'Pass', End: true } },
    input: [1],
    expected: { status: 'SUCCEEDED', value: [1] },
  },
  'Output and Assign see the variables from before': {
    states: {
      A: { Type: 'Pass', Assign: { x: 1 }, Next: 'B' },
      B: { Type: 'Pass', Assign: { x: '{% $x + 1 %}', y: '{% $x %}' }, Output: '{% $x %}', Next: 'C' },
      C: { ...done, Output: '{% [$states.input, $x, $y] %}' },
    },
    expected: { status: 'SUCCEEDED', value: [1, 2, 1], transitions: 3 },
  },
  'a choice takes the first rule that holds, with its Assign and Output': {
    states: choices,
    input: { n: 11 },
    expected: { status: 'SUCCEEDED', value: { by: 'rule', input: { m: 11 } } },
    entered: ['Choose', 'Big'],
  },
  'a choice without its own Output gives its input': {
    states: choices,
    input: { n: 6 },
    expected: { status: 'SUCCEEDED', value: { n: 6 } },
    entered: ['Choose', 'Middle'],
  },
  'a choice takes Default with the Assign and Output of the state': {
    states: choices,
    input: { n: 1 },
    expected: { status: 'SUCCEEDED', value: { by: 'default', input: 'from the default' } },
    entered: ['Choose', 'Small'],
  },
  'a choice without a match fails': {
    states: { A: { Type: 'Choice', Choices: [{ Condition: '{% false %}', Next: 'B' }] }, B: done },
    expected: { status: 'FAILED', error: 'States.NoChoiceMatched' },
  },
  'a condition that is no boolean fails': {
    states: { A: { Type: 'Choice', Choices: [{ Condition: '{% 1 %}', Next: 'B' }], Default: 'B' }, B: done },
    expected: { status: 'FAILED', error: 'States.QueryEvaluationError' },
  },
  'Wait takes seconds from an expression': {
    states: { A: { Type: 'Wait', Seconds: '{% $states.input.s %}', End: true } },
    input: { s: 90 },
    expected: { status: 'SUCCEEDED', seconds: 90 },
  },
  'Wait takes a time': {
    virtual: true,
    states: { A: { Type: 'Wait', Timestamp: '{% $states.input.at %}', End: true } },
    input: { at: '2026-01-05T10:00:00+00:00' },
    expected: { status: 'SUCCEEDED', seconds: 3600 },
  },
  'Wait until a time that has passed does not wait': {
    states: { A: { Type: 'Wait', Timestamp: '2020-01-01T00:00:00Z', End: true } },
    expected: { status: 'SUCCEEDED', seconds: 0 },
  },
  'Wait for longer than a timer of the system can run': {
    virtual: true,
    states: { A: { Type: 'Wait', Seconds: 31_536_000, End: true } },
    expected: { status: 'SUCCEEDED', seconds: 31_536_000 },
  },
  'Wait for half a second fails': {
    states: { A: { Type: 'Wait', Seconds: '{% 0.5 %}', End: true } },
    expected: { status: 'FAILED', error: 'States.QueryEvaluationError' },
  },
  'Fail says what is wrong': {
    states: { A: { Type: 'Fail', Error: 'Bad', Cause: "{% 'because of ' & $states.input.x %}" } },
    input: { x: 'this' },
    expected: { status: 'FAILED', error: 'Bad', cause: 'because of this' },
  },
  'Fail need not say anything': { states: { A: { Type: 'Fail' } }, expected: { status: 'FAILED' } },
  "a function's result has AWS's shape": {
    states: { A: invoke('f', { Output: '{% $states.result %}' }) },
    world: handlersOf(() => ({ a: 1, none: undefined })),
    expected: { status: 'SUCCEEDED', value: { ExecutedVersion: '$LATEST', Payload: { a: 1 }, StatusCode: 200 } },
  },
  'a function that answers nothing answers null': {
    states: { A: invoke('f') },
    world: handlersOf(() => undefined),
    expected: { status: 'SUCCEEDED', value: null },
  },
  'a function is found by its ARN': {
    states: { A: invoke('arn:aws:lambda:us-east-1:000000000000:function:f:live') },
    world: handlersOf(() => 1),
    expected: { status: 'SUCCEEDED', value: 1 },
  },
  'a function that an expression names may be missing': {
    states: { A: invoke("{% 'none' %}") },
    expected: { status: 'FAILED', error: 'Lambda.ResourceNotFoundException' },
  },
  'a thrown error has the shape that Lambda gives it': {
    states: { A: invoke('f') },
    world: throwing('Broken'),
    expected: {
      status: 'FAILED',
      error: 'Broken',
      cause: '{"errorMessage":"Broken happened","errorType":"Broken","trace":[]}',
    },
  },
  'a catcher gives the error output': {
    states: caught(['Broken']),
    world: throwing('Broken'),
    expected: { status: 'SUCCEEDED', value: { Error: 'Broken', Cause: expect.stringContaining('Broken happened') } },
    entered: ['Try', 'Caught'],
  },
  'a catcher has its own Output and Assign': {
    states: {
      Try: invoke('f', {
        Assign: { never: 1 },
        Catch: [
          { ErrorEquals: ['Other'], Next: 'Caught' },
          {
            ErrorEquals: ['States.ALL'],
            Next: 'Caught',
            Assign: { why: '{% $states.errorOutput.Error %}' },
            Output: '{% $parse($states.errorOutput.Cause).errorMessage & $states.input %}',
          },
        ],
      }),
      Caught: { ...done, Output: '{% [$why, $states.input, $exists($never)] %}' },
    },
    input: '!',
    world: throwing('Broken'),
    expected: { status: 'SUCCEEDED', value: ['Broken', 'Broken happened!', false] },
  },
  'an error that no catcher takes fails the execution': {
    states: caught(['Other']),
    world: throwing('Broken'),
    expected: { status: 'FAILED', error: 'Broken' },
  },
  'an expression that fails in Arguments can be caught': {
    states: {
      Try: invoke('f', {
        Arguments: { FunctionName: 'f', Payload: '{% $states.input.none %}' },
        Catch: [{ ErrorEquals: ['States.QueryEvaluationError'], Next: 'Caught', Output: 'caught' }],
      }),
      Caught: done,
    },
    world: handlersOf(() => 1),
    expected: { status: 'SUCCEEDED', value: 'caught' },
  },
  'an expression that fails in Output can be caught': {
    states: {
      Try: invoke('f', {
        Output: '{% $states.result.none %}',
        Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Caught', Output: 'caught' }],
      }),
      Caught: done,
    },
    world: handlersOf(() => 1),
    expected: { status: 'SUCCEEDED', value: 'caught' },
  },
  'an expression that fails in a catcher fails the execution': {
    states: caught(['States.ALL'], { Output: '{% $states.result %}' }),
    world: throwing('Broken'),
    expected: { status: 'FAILED', error: 'States.QueryEvaluationError' },
  },
  'retries wait, and count as transitions': {
    states: {
      A: invoke('f', {
        Retry: [{ ErrorEquals: ['Throttled'], IntervalSeconds: 2, BackoffRate: 3, MaxAttempts: 3 }],
        Output: '{% [$states.result.Payload, $states.context.State.RetryCount] %}',
      }),
    },
    world: () => ({ handlers: { f: failsThen(['Throttled', 'Throttled', 'Throttled'], 'ok') } }),
    expected: { status: 'SUCCEEDED', value: ['ok', 3], seconds: 2 + 6 + 18, transitions: 4 },
    entered: ['A'],
  },
  'each retrier has attempts of its own; then the catcher is asked': {
    states: {
      A: invoke('f', {
        Retry: [
          { ErrorEquals: ['A', 'B'], IntervalSeconds: 1, BackoffRate: 2, MaxAttempts: 2 },
          { ErrorEquals: ['C'], IntervalSeconds: 5 },
        ],
        Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Z', Output: '{% $states.errorOutput.Error %}' }],
      }),
      Z: done,
    },
    world: () => ({ handlers: { f: failsThen(['A', 'B', 'C', 'B'], 'never') } }),
    expected: { status: 'SUCCEEDED', value: 'B', seconds: 1 + 2 + 5, transitions: 5 },
  },
  'jitter shortens the wait': {
    states: {
      A: invoke('f', { Retry: [{ ErrorEquals: ['States.ALL'], IntervalSeconds: 8, JitterStrategy: 'FULL' }] }),
    },
    world: () => ({ handlers: { f: failsThen(['A', 'A'], 1) }, random: () => 0.25 }),
    expected: { status: 'SUCCEEDED', seconds: 2 + 4 },
  },
  'a task that takes too long times out': {
    states: { A: invoke('f', { TimeoutSeconds: 2 }) },
    world: stuck,
    expected: { status: 'FAILED', error: 'States.Timeout', seconds: 2 },
  },
  'the time limit of a task can be an expression': {
    states: { A: invoke('f', { TimeoutSeconds: '{% $states.input.t %}' }) },
    input: { t: 2 },
    world: stuck,
    expected: { status: 'FAILED', error: 'States.Timeout', seconds: 2 },
  },
  'States.TaskFailed does not take a timeout': {
    states: {
      A: invoke('f', {
        TimeoutSeconds: 1,
        Catch: [
          { ErrorEquals: ['States.TaskFailed'], Next: 'Z', Output: 'failed' },
          { ErrorEquals: ['States.Timeout'], Next: 'Z', Output: 'timeout' },
        ],
      }),
      Z: done,
    },
    world: stuck,
    expected: { status: 'SUCCEEDED', value: 'timeout' },
  },
  'an execution that takes too long times out': {
    states: { A: { Type: 'Wait', Seconds: 1000, End: true } },
    top: { TimeoutSeconds: 2 },
    expected: { status: 'TIMED_OUT', error: 'States.Timeout', seconds: 2 },
  },
  'an output that is too large fails': {
    states: {
      A: {
        Type: 'Pass',
        Output: "{% $join($map($range(1, 1000, 1), function($i) { $pad('', 300, 'x') })) %}",
        End: true,
      },
    },
    expected: { status: 'FAILED', error: 'States.DataLimitExceeded' },
  },
  'a result that is too large is not taken by States.ALL': {
    states: caught(['States.ALL']),
    world: handlersOf(() => big),
    expected: { status: 'FAILED', error: 'States.DataLimitExceeded' },
  },
  'a result that is too large is taken by its name': {
    states: caught(['States.DataLimitExceeded'], { Output: 'caught' }),
    world: handlersOf(() => big),
    expected: { status: 'SUCCEEDED', value: 'caught' },
  },
  'arguments that are not right are no error that can be caught': {
    states: {
      A: invoke('f', { Arguments: "{% {'Function': 'f'} %}", Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Z' }] }),
      Z: done,
    },
    expected: { status: 'FAILED', error: 'States.Runtime' },
  },
  'an endless loop ends at the limit of the history': {
    virtual: true,
    states: { A: { Type: 'Pass', Next: 'B' }, B: { Type: 'Pass', Next: 'A' } },
    expected: { status: 'FAILED', error: 'States.Runtime', cause: expect.stringContaining('25000 history events') },
  },
  'the context object tells of the execution': {
    virtual: true,
    states: { A: { ...done, Output: '{% $states.context %}' } },
    input: { i: 1 },
    expected: {
      status: 'SUCCEEDED',
      value: {
        Execution: {
          Id: 'arn:aws:states:us-east-1:000000000000:execution:main:one',
          Input: { i: 1 },
          Name: 'one',
          RoleArn: 'arn:aws:iam::000000000000:role/main',
          StartTime: '2026-01-05T09:00:00.000Z',
        },
        State: { Name: 'A', EnteredTime: '2026-01-05T09:00:00.000Z', RetryCount: 0 },
        StateMachine: { Id: 'arn:aws:states:us-east-1:000000000000:stateMachine:main', Name: 'main' },
      },
    },
  },
}
