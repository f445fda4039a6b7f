import { afterEach, describe, expect, it } from 'vitest'
import { type Interpreter, type StatusEvent, statesEntered } from '../../../infra/local/states/interpreter.ts'
import type { Json } from '../../../infra/local/states/jsonata-expression.ts'
import { examples } from './examples.ts'
import { failsThen, interpreterOf, invoke, machineOf, runOnce, stopClocks } from './machines.ts'

afterEach(stopClocks)

const big = 'x'.repeat(262_144)

const typesOf = (interpreter: Interpreter, arn: string) => interpreter.history(arn).map(({ type }) => type)

describe('a machine', () => {
  it.each(Object.entries(examples))('%s', async (_, { states, input = {}, world, top, expected, entered }) => {
    const run = await runOnce(machineOf(states, top), { input, ...world?.() })
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
  it('is bounded for each machine: the oldest closed executions go, open ones never', async () => {
    const machines = {
      slow: machineOf({ A: { Type: 'Wait', Seconds: 1_000_000, End: true } }),
      fast: machineOf({ A: { Type: 'Pass', End: true } }),
    }
    const interpreter = interpreterOf({ machines, keep: 2 })
    interpreter.start({ machine: 'slow', name: 'open' })
    interpreter.start({ machine: 'slow', name: 'open-2' })
    interpreter.start({ machine: 'slow', name: 'open-3' })
    for (const name of ['1', '2', '3', '4']) {
      await interpreter.finished(interpreter.start({ machine: 'fast', name }).executionArn)
    }
    expect(interpreter.list().map(({ name }) => name)).toEqual(['4', '3', 'open-3', 'open-2', 'open'])
    expect(interpreter.list({ machine: 'fast', status: 'SUCCEEDED' })).toHaveLength(2)
    expect(() => interpreter.start({ machine: 'slow', name: 'open', input: 2 })).toThrow('already exists')
  })
})
