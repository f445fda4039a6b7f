import { afterEach, describe, expect, it } from 'vitest'
import { type Interpreter, type StatusEvent, statesEntered } from '../../../infra/local/states/interpreter.ts'
import type { Json } from '../../../infra/local/states/jsonata-expression.ts'
import {
  failing,
  failsThen,
  interpreterOf,
  invoke,
  machineOf,
  runOnce,
  type States,
  stopClocks,
  type World,
} from './machines.ts'

afterEach(stopClocks)

const typesOf = (interpreter: Interpreter, arn: string) => interpreter.history(arn).map(({ type }) => type)

/** A machine that is run once, and how it ends. */
interface Example {
  readonly states: States
  readonly input?: Json
  readonly world?: World
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
const throwing = (name: string) => ({ handlers: { f: async () => Promise.reject(failing(name)) } })
const stuck = { handlers: { f: () => new Promise<never>(() => {}) } }
const handlersOf = (f: () => unknown) => ({ handlers: { f: async () => f() } })

const examples: Record<string, Example> = {
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
    states: { A: { Type: 'Wait', Timestamp: '{% $states.input.at %}', End: true } },
    input: { at: '2026-01-05T10:00:00+00:00' },
    expected: { status: 'SUCCEEDED', seconds: 3600 },
  },
  'Wait until a time that has passed does not wait': {
    states: { A: { Type: 'Wait', Timestamp: '2020-01-01T00:00:00Z', End: true } },
    expected: { status: 'SUCCEEDED', seconds: 0 },
  },
  'Wait for longer than a timer of the system can run': {
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
    world: { handlers: { f: failsThen(['Throttled', 'Throttled', 'Throttled'], 'ok') } },
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
    world: { handlers: { f: failsThen(['A', 'B', 'C', 'B'], 'never') } },
    expected: { status: 'SUCCEEDED', value: 'B', seconds: 1 + 2 + 5, transitions: 5 },
  },
  'jitter shortens the wait': {
    states: {
      A: invoke('f', { Retry: [{ ErrorEquals: ['States.ALL'], IntervalSeconds: 8, JitterStrategy: 'FULL' }] }),
    },
    world: { handlers: { f: failsThen(['A', 'A'], 1) }, random: () => 0.25 },
    expected: { status: 'SUCCEEDED', seconds: 2 + 4 },
  },
  'a task that takes too long times out': {
    states: { A: invoke('f', { TimeoutSeconds: 30 }) },
    world: stuck,
    expected: { status: 'FAILED', error: 'States.Timeout', seconds: 30 },
  },
  'the time limit of a task can be an expression': {
    states: { A: invoke('f', { TimeoutSeconds: '{% $states.input.t %}' }) },
    input: { t: 12 },
    world: stuck,
    expected: { status: 'FAILED', error: 'States.Timeout', seconds: 12 },
  },
  'States.TaskFailed does not take a timeout': {
    states: {
      A: invoke('f', {
        TimeoutSeconds: 5,
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
    states: { A: { Type: 'Wait', Seconds: 100, End: true } },
    top: { TimeoutSeconds: 60 },
    expected: { status: 'TIMED_OUT', error: 'States.Timeout', seconds: 60 },
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
    states: { A: { Type: 'Pass', Next: 'B' }, B: { Type: 'Pass', Next: 'A' } },
    expected: { status: 'FAILED', error: 'States.Runtime', cause: expect.stringContaining('25000 history events') },
  },
  'the context object tells of the execution': {
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

describe('a machine', () => {
  it.each(Object.entries(examples))('%s', async (_, { states, input = {}, world, top, expected, entered }) => {
    const run = await runOnce(machineOf(states, top), { input, ...world })
    const { status, value, error, cause, seconds, transitions } = run
    expect({ status, value, error, cause, seconds, transitions }).toMatchObject(expected)
    if (entered) expect(statesEntered(run.history)).toEqual(entered)
  })
})

describe('a history', () => {
  it('has the events and details of the AWS console', async () => {
    const run = await runOnce(
      machineOf({
        Double: invoke('double', { Next: 'Done', TimeoutSeconds: 9, Retry: [{ ErrorEquals: ['Slow'] }] }),
        Done: { Type: 'Succeed' },
      }),
      { input: 21, handlers: { double: failsThen(['Slow'], 42) } },
    )
    const resource = { resourceType: 'lambda', resource: 'invoke' }
    const scheduled = {
      ...resource,
      region: 'us-east-1',
      parameters: '{"FunctionName":"double","Payload":21}',
      timeoutInSeconds: 9,
    }
    const whole = { truncated: false }
    const cause = '{"errorMessage":"Slow happened","errorType":"Slow","trace":[]}'
    const output = '{"ExecutedVersion":"$LATEST","Payload":42,"StatusCode":200}'
    const start = '2026-01-05T09:00:00.000Z'
    const later = '2026-01-05T09:00:01.000Z'
    expect(run.history).toEqual(
      [
        {
          timestamp: start,
          type: 'ExecutionStarted',
          executionStartedEventDetails: {
            input: '21',
            inputDetails: whole,
            roleArn: 'arn:aws:iam::000000000000:role/main',
          },
        },
        {
          timestamp: start,
          type: 'TaskStateEntered',
          stateEnteredEventDetails: { name: 'Double', input: '21', inputDetails: whole },
        },
        { timestamp: start, type: 'TaskScheduled', taskScheduledEventDetails: scheduled },
        { timestamp: start, type: 'TaskStarted', taskStartedEventDetails: resource },
        { timestamp: start, type: 'TaskFailed', taskFailedEventDetails: { ...resource, error: 'Slow', cause } },
        { timestamp: later, type: 'TaskScheduled', taskScheduledEventDetails: scheduled },
        { timestamp: later, type: 'TaskStarted', taskStartedEventDetails: resource },
        {
          timestamp: later,
          type: 'TaskSucceeded',
          taskSucceededEventDetails: { ...resource, output, outputDetails: whole },
        },
        {
          timestamp: later,
          type: 'TaskStateExited',
          stateExitedEventDetails: { name: 'Double', output: '42', outputDetails: whole },
        },
        {
          timestamp: later,
          type: 'SucceedStateEntered',
          stateEnteredEventDetails: { name: 'Done', input: '42', inputDetails: whole },
        },
        {
          timestamp: later,
          type: 'SucceedStateExited',
          stateExitedEventDetails: { name: 'Done', output: '42', outputDetails: whole },
        },
        {
          timestamp: later,
          type: 'ExecutionSucceeded',
          executionSucceededEventDetails: { output: '42', outputDetails: whole },
        },
      ].map((event, index) => ({ id: index + 1, previousEventId: index, ...event })),
    )
  })

  it('says where an expression failed', async () => {
    const run = await runOnce(machineOf({ A: { Type: 'Pass', Output: { a: '{% $states.input.no %}' }, End: true } }))
    expect(run.history.map(({ type }) => type)).toEqual([
      'ExecutionStarted',
      'PassStateEntered',
      'EvaluationFailed',
      'ExecutionFailed',
    ])
    expect(run.history[2]?.evaluationFailedEventDetails).toMatchObject({ state: 'A', location: 'Output/a' })
  })

  it('is told to listeners as it happens', async () => {
    const interpreter = interpreterOf({ machines: { main: machineOf({ A: { Type: 'Pass', End: true } }) } })
    const seen: unknown[] = []
    interpreter.onEvent((arn, event) => seen.push([arn, event]))
    const { executionArn } = interpreter.start({ machine: 'main' })
    await interpreter.finished(executionArn)
    expect(seen).toEqual(interpreter.history(executionArn).map((event) => [executionArn, event]))
  })
})

describe('starting', () => {
  const waiting = machineOf({ A: { Type: 'Wait', Seconds: 60, End: true } })

  it('an open name with the same input is the same execution', async () => {
    const interpreter = interpreterOf({ machines: { main: waiting } })
    const first = interpreter.start({ machine: 'main', name: 'push-1', input: { a: 1 } })
    expect(interpreter.start({ machine: 'main', name: 'push-1', input: { a: 1 } })).toEqual(first)
    expect(interpreter.list()).toHaveLength(1)
  })

  it('an open name with another input, and a closed name, are refused', async () => {
    const interpreter = interpreterOf({ machines: { main: waiting } })
    const again = (input: Json) => () => interpreter.start({ machine: 'main', name: 'push-1', input })
    const { executionArn } = interpreter.start({ machine: 'main', name: 'push-1', input: 1 })
    expect(again(2)).toThrow(expect.objectContaining({ code: 'ExecutionAlreadyExists' }))
    await interpreter.finished(executionArn)
    expect(again(1)).toThrow(expect.objectContaining({ code: 'ExecutionAlreadyExists' }))
  })

  it.each([
    ['StateMachineDoesNotExist', { machine: 'other' }],
    ['StateMachineDoesNotExist', { machine: 'toString' }],
    ['InvalidName', { machine: 'main', name: '' }],
    ['InvalidName', { machine: 'main', name: 'a b' }],
    ['InvalidName', { machine: 'main', name: 'a/../b' }],
    ['InvalidName', { machine: 'main', name: 'a*' }],
    ['InvalidName', { machine: 'main', name: 'a\u0000' }],
    ['InvalidName', { machine: 'main', name: 'a'.repeat(81) }],
    ['InvalidExecutionInput', { machine: 'main', input: big }],
  ])('is refused with %s for %j', (code, request) => {
    const interpreter = interpreterOf({ machines: { main: waiting } })
    expect(() => interpreter.start(request)).toThrow(expect.objectContaining({ code }))
  })

  it('is refused for machines whose functions are missing', () => {
    const main = machineOf({ A: invoke('f') })
    expect(() => interpreterOf({ machines: { main } })).toThrow('main/A: f')
  })
})

describe('stopping', () => {
  it('aborts the execution and tells the handler', async () => {
    let signal: AbortSignal | undefined
    const interpreter = interpreterOf({
      machines: { main: machineOf({ A: invoke('f') }) },
      handlers: {
        f: (_, context) => {
          signal = context.signal
          return new Promise(() => {})
        },
      },
    })
    const { executionArn } = interpreter.start({ machine: 'main' })
    await expect.poll(() => signal).toBeDefined()
    interpreter.stop(executionArn, { error: 'Enough', cause: 'by hand' })
    expect(signal?.aborted).toBe(true)
    expect(interpreter.describe(executionArn)).toMatchObject({ status: 'ABORTED', error: 'Enough', cause: 'by hand' })
    expect(typesOf(interpreter, executionArn).slice(-2)).toEqual(['TaskStateAborted', 'ExecutionAborted'])
    interpreter.stop(executionArn)
    expect(interpreter.describe(executionArn).cause).toBe('by hand')
  })

  it('a handler is told when its time is over', async () => {
    let aborted = false
    await runOnce(machineOf({ A: invoke('f', { TimeoutSeconds: 3 }) }), {
      handlers: {
        f: (_, { signal }) => new Promise(() => signal.addEventListener('abort', () => (aborted = true))),
      },
    })
    expect(aborted).toBe(true)
  })
})

describe('status changes', () => {
  it("have the shape of EventBridge's event", async () => {
    const interpreter = interpreterOf({
      machines: { main: machineOf({ A: { Type: 'Wait', Seconds: 5, Next: 'B' }, B: { Type: 'Fail', Error: 'E' } }) },
    })
    const events: StatusEvent[] = []
    interpreter.onStatus((event) => events.push(event))
    const { executionArn } = interpreter.start({ machine: 'main', name: 'n', input: { a: 1 } })
    await interpreter.finished(executionArn)
    const at = Date.UTC(2026, 0, 5, 9)
    const detail = {
      executionArn,
      stateMachineArn: 'arn:aws:states:us-east-1:000000000000:stateMachine:main',
      name: 'n',
      startDate: at,
      input: '{"a":1}',
      output: null,
    }
    expect(events.map((event) => event.detail)).toEqual([
      { ...detail, status: 'RUNNING', stopDate: null, error: null, cause: null },
      { ...detail, status: 'FAILED', stopDate: at + 5_000, error: 'E', cause: null },
    ])
    expect(events[1]).toMatchObject({
      source: 'aws.states',
      'detail-type': 'Step Functions Execution Status Change',
      account: '000000000000',
      region: 'us-east-1',
      time: '2026-01-05T09:00:05.000Z',
      resources: [executionArn],
    })
  })
})

describe('what is kept', () => {
  it('is bounded: the oldest closed executions go, open ones never', async () => {
    const machines = {
      slow: machineOf({ A: { Type: 'Wait', Seconds: 1_000_000, End: true } }),
      fast: machineOf({ A: { Type: 'Pass', End: true } }),
    }
    const interpreter = interpreterOf({ machines, keep: 3 })
    interpreter.start({ machine: 'slow', name: 'open' })
    for (const name of ['1', '2', '3', '4']) {
      await interpreter.finished(interpreter.start({ machine: 'fast', name }).executionArn)
    }
    expect(interpreter.list().map(({ name }) => name)).toEqual(['4', '3', 'open'])
    expect(interpreter.list({ machine: 'fast', status: 'SUCCEEDED' })).toHaveLength(2)
    expect(() => interpreter.start({ machine: 'slow', name: 'open', input: 2 })).toThrow('already exists')
  })
})
