import { expect } from 'vitest'
import { type Clock, sleep } from '../../functions/lib/clock.ts'
import type { TaskHandler } from '../../infra/local/states/interpreter.ts'
import type { Json } from '../../infra/local/states/jsonata-expression.ts'
import { examples } from '../unit/states/examples.ts'
import { ask, failing, failsThen, invoke, type States } from '../unit/states/machines.ts'
import type { LoadedMachines } from './machine-engine.ts'

/** What functions of an example may use. */
export interface ExampleWorld {
  readonly clock: Clock
  /** The machines of the example, for functions that answer tokens. */
  machines(): LoadedMachines
}

/** Machines, functions for them, and how an execution of `main` ends that gets the input. */
export interface MachineExample {
  /** By name; `<child>` in their text becomes the ARN of the machine `child`. */
  readonly machines: { readonly main: States } & Readonly<Record<string, States>>
  /** Further fields of `main`. */
  readonly top?: Record<string, unknown> | undefined
  readonly input?: Json | undefined
  readonly functions?: (world: ExampleWorld) => Readonly<Record<string, TaskHandler>>
  readonly expected: { readonly status: string; readonly output?: unknown; readonly error?: string }
  /** The states in order, see `statesOf`. */
  readonly states?: readonly string[] | undefined
}

/** Those of the interpreter's own tests that any engine can run in real time. */
const fromUnitTests = Object.entries(examples).flatMap(([name, example]): [string, MachineExample][] => {
  const { virtual, states, top, input, world, expected, entered } = example
  if (virtual) return []
  const { status, value, error } = expected
  const end = { status, ...(value !== undefined && { output: value }), ...(error && { error }) }
  const functions = () => world?.().handlers ?? {}
  return [[name, { machines: { main: states }, top, input, functions, expected: end, states: entered }]]
})

const mapOf = (States: States, extra: Record<string, unknown> = {}) => ({
  Type: 'Map',
  ItemProcessor: { StartAt: Object.keys(States)[0], States },
  ...('Next' in extra ? {} : { End: true }),
  ...extra,
})

const nest = (Arguments: Record<string, unknown> = {}, extra: Record<string, unknown> = {}) => ({
  Type: 'Task',
  Resource: 'arn:aws:states:::states:startExecution.sync:2',
  Arguments: { StateMachineArn: '<child>', ...Arguments },
  ...('Next' in extra ? {} : { End: true }),
  ...extra,
})

const start = (Arguments: Record<string, unknown> = {}, extra: Record<string, unknown> = {}) => ({
  ...nest(Arguments, extra),
  Resource: 'arn:aws:states:::states:startExecution',
})

/** Nested executions need a name of their own in each run. */
const childName = "{% $states.context.Execution.Name & '-child' %}"
const done = { Type: 'Succeed' }
const tokenOf = (payload: unknown) => (payload as { token: string }).token
/** An answer that comes too late is seen by how the execution ends. */
const refused = () => {}

const maps: Record<string, MachineExample> = {
  'a Map gives the outputs in the order of the items': {
    machines: { main: { M: mapOf({ A: invoke('f') }, { Items: '{% $states.input.xs %}' }) } },
    input: { xs: [1, 2, 3] },
    functions: ({ clock }) => ({ f: (n) => sleep(clock, 600 - Number(n) * 200).then(() => n) }),
    expected: { status: 'SUCCEEDED', output: [1, 2, 3] },
    states: ['M', 'A', 'A', 'A'],
  },
  'a Map without Items takes its input': {
    machines: { main: { M: mapOf({ A: { Type: 'Pass', End: true } }) } },
    input: ['a'],
    expected: { status: 'SUCCEEDED', output: ['a'] },
  },
  'a Map of nothing gives nothing': {
    machines: { main: { M: mapOf({ A: { Type: 'Pass', End: true } }) } },
    input: [],
    expected: { status: 'SUCCEEDED', output: [] },
    states: ['M'],
  },
  'a Map over no array fails': {
    machines: { main: { M: mapOf({ A: { Type: 'Pass', End: true } }) } },
    expected: { status: 'FAILED', error: 'States.QueryEvaluationError' },
  },
  'a Map selects what each iteration gets, with the item in the context object': {
    machines: {
      main: {
        M: mapOf(
          {
            A: {
              Type: 'Pass',
              Output: '{% $merge([$states.input, {"again": $states.context.Map.Item.Index}]) %}',
              End: true,
            },
          },
          {
            Items: '{% $states.input %}',
            ItemSelector: { all: '{% $count($states.input) %}', item: '{% $states.context.Map.Item %}' },
          },
        ),
      },
    },
    input: ['a', 'b'],
    expected: {
      status: 'SUCCEEDED',
      output: [
        { all: 2, item: { Index: 0, Value: 'a' }, again: 0 },
        { all: 2, item: { Index: 1, Value: 'b' }, again: 1 },
      ],
    },
  },
  'a Map lets iterations read outer variables and keeps what they assign to themselves': {
    machines: {
      main: {
        Set: { Type: 'Pass', Assign: { factor: 10 }, Next: 'M' },
        M: mapOf(
          {
            A: { Type: 'Pass', Assign: { own: '{% $states.input * $factor %}' }, Next: 'B' },
            B: { Type: 'Pass', Output: '{% $own %}', End: true },
          },
          { Next: 'Z', Assign: { results: '{% $states.result %}' } },
        ),
        Z: { ...done, Output: '{% {"results": $results, "factor": $factor} %}' },
      },
    },
    input: [1, 2],
    expected: { status: 'SUCCEEDED', output: { results: [10, 20], factor: 10 } },
    states: ['Set', 'M', 'A', 'B', 'A', 'B', 'Z'],
  },
  "a Map fails with its iteration's error": {
    machines: {
      main: {
        M: mapOf({ A: invoke('f') }, { Catch: [{ ErrorEquals: ['Broken'], Next: 'Z' }] }),
        Z: { ...done, Output: '{% $states.input.Error %}' },
      },
    },
    input: [0],
    functions: () => ({ f: () => Promise.reject(failing('Broken')) }),
    expected: { status: 'SUCCEEDED', output: 'Broken' },
    states: ['M', 'A', 'Z'],
  },
  'a Map fails with an error of the language by its name': {
    machines: {
      main: {
        M: mapOf(
          { A: invoke('f', { TimeoutSeconds: 1 }) },
          { Catch: [{ ErrorEquals: ['States.Timeout'], Next: 'Z' }] },
        ),
        Z: { ...done, Output: '{% $states.input.Error %}' },
      },
    },
    input: [0],
    functions: () => ({ f: () => new Promise(() => {}) }),
    expected: { status: 'SUCCEEDED', output: 'States.Timeout' },
    states: ['M', 'A', 'Z'],
  },
  'a Map catches within an iteration and retries as a whole': {
    machines: {
      main: {
        M: mapOf(
          {
            A: invoke('f', { Catch: [{ ErrorEquals: ['Small'], Next: 'B' }] }),
            B: { Type: 'Pass', Output: 'caught', End: true },
          },
          { Retry: [{ ErrorEquals: ['Large'], IntervalSeconds: 7 }] },
        ),
      },
    },
    input: [0],
    functions: () => ({ f: failsThen(['Large', 'Small'], 'fine') }),
    expected: { status: 'SUCCEEDED', output: ['caught'] },
    states: ['M', 'A', 'A', 'B'],
  },
  'a Map runs within a Map': {
    machines: {
      main: { M: mapOf({ N: mapOf({ A: { Type: 'Pass', Output: '{% $states.input * 2 %}', End: true } }) }) },
    },
    input: [[1, 2], [3]],
    expected: { status: 'SUCCEEDED', output: [[2, 4], [6]] },
    states: ['M', 'N', 'A', 'A', 'N', 'A'],
  },
}

const nested: Record<string, MachineExample> = {
  'a nested execution gives its output as JSON': {
    machines: {
      main: { A: nest({ Name: childName, Input: { n: 1 } }, { Output: '{% $states.result.Output %}' }) },
      child: { B: { Type: 'Wait', Seconds: 10, Output: '{% {"m": $states.input.n + 1} %}', End: true } },
    },
    expected: { status: 'SUCCEEDED', output: { m: 2 } },
  },
  'a nested execution gives its description': {
    machines: {
      main: {
        A: nest(
          { Name: childName, Input: { n: 1 } },
          { Output: '{% ($r := $states.result; [$r.Status, $r.Input.n, $exists($r.StopDate), $r.StateMachineArn]) %}' },
        ),
      },
      child: { B: { Type: 'Pass', End: true } },
    },
    expected: { status: 'SUCCEEDED', output: ['SUCCEEDED', 1, true, expect.stringContaining(':stateMachine:')] },
  },
  'a nested execution may give text': {
    machines: {
      main: { A: nest({ Name: childName }, { Output: '{% $states.result.Output %}' }) },
      child: { B: { Type: 'Pass', Output: 'x', End: true } },
    },
    expected: { status: 'SUCCEEDED', output: 'x' },
  },
  'a nested execution that fails is States.TaskFailed with its description': {
    machines: {
      main: {
        A: nest({ Name: childName, Input: { a: 1 } }, { Catch: [{ ErrorEquals: ['States.TaskFailed'], Next: 'Z' }] }),
        Z: {
          ...done,
          Output: '{% ($c := $parse($states.input.Cause); [$states.input.Error, $c.Status, $c.Error, $c.Cause]) %}',
        },
      },
      child: { B: { Type: 'Fail', Error: 'Bad', Cause: 'reason' } },
    },
    expected: { status: 'SUCCEEDED', output: ['States.TaskFailed', 'FAILED', 'Bad', 'reason'] },
    states: ['A', 'Z'],
  },
  'a nested execution that fails within a Map is caught around it': {
    machines: {
      main: {
        M: mapOf({ A: nest({ Name: childName }) }, { Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Z' }] }),
        Z: { ...done, Output: '{% [$states.input.Error, $parse($states.input.Cause).Error] %}' },
      },
      child: { B: { Type: 'Fail', Error: 'Bad' } },
    },
    input: [0],
    expected: { status: 'SUCCEEDED', output: ['States.TaskFailed', 'Bad'] },
    states: ['M', 'A', 'Z'],
  },
  'a nested execution fails when its name is taken': {
    machines: {
      main: { A: nest({ Name: childName }, { Next: 'B2' }), B2: nest({ Name: childName }) },
      child: { B: { Type: 'Pass', End: true } },
    },
    expected: { status: 'FAILED', error: 'StepFunctions.ExecutionAlreadyExistsException' },
    states: ['A', 'B2'],
  },
  'a nested execution fails when an expression names a machine that is not there': {
    machines: { main: { A: nest({ StateMachineArn: "{% '<child>' & 'x' %}" }) }, child: { B: done } },
    expected: { status: 'FAILED', error: 'StepFunctions.StateMachineDoesNotExistException' },
  },
}

const slow = { B: { Type: 'Wait', Seconds: 10, End: true } }

const started: Record<string, MachineExample> = {
  'a task that starts an execution and leaves it alone gives its ARN': {
    machines: {
      main: {
        A: start(
          { Name: childName, Input: { n: 1 } },
          {
            Output:
              '{% ($r := $states.result; [$substringAfter($r.ExecutionArn, ":execution:"), $exists($r.StartDate)]) %}',
          },
        ),
      },
      child: slow,
    },
    expected: { status: 'SUCCEEDED', output: [expect.stringMatching(/-child:example-\d+-child$/), true] },
    states: ['A'],
  },
  'an execution that is left alone may fail': {
    machines: {
      main: { A: start({ Name: childName }, { Output: 'started', Next: 'Z' }), Z: done },
      child: { B: { Type: 'Fail', Error: 'Bad' } },
    },
    expected: { status: 'SUCCEEDED', output: 'started' },
    states: ['A', 'Z'],
  },
  'a start is the same execution again while it runs with the same input': {
    machines: {
      main: {
        A: start(
          { Name: childName, Input: { n: 1 } },
          { Assign: { arn: '{% $states.result.ExecutionArn %}' }, Next: 'B2' },
        ),
        B2: start({ Name: childName, Input: { n: 1 } }, { Output: '{% $states.result.ExecutionArn = $arn %}' }),
      },
      child: slow,
    },
    expected: { status: 'SUCCEEDED', output: true },
    states: ['A', 'B2'],
  },
  'a start is refused while one of that name runs with another input': {
    machines: {
      main: {
        A: start({ Name: childName, Input: { n: 1 } }, { Next: 'B2' }),
        B2: start({ Name: childName, Input: { n: 2 } }),
      },
      child: slow,
    },
    expected: { status: 'FAILED', error: 'StepFunctions.ExecutionAlreadyExistsException' },
    states: ['A', 'B2'],
  },
  'a start that is refused since the name was taken can be caught': {
    machines: {
      main: {
        A: nest({ Name: childName }, { Next: 'B2' }),
        B2: start(
          { Name: childName },
          { Catch: [{ ErrorEquals: ['StepFunctions.ExecutionAlreadyExistsException'], Next: 'Z' }] },
        ),
        Z: { ...done, Output: 'there' },
      },
      child: { B: { Type: 'Pass', End: true } },
    },
    expected: { status: 'SUCCEEDED', output: 'there' },
    states: ['A', 'B2', 'Z'],
  },
}

const tokens: Record<string, MachineExample> = {
  'a task that waits for a token ends with the answer': {
    machines: { main: { Ask: ask('approve') } },
    functions: ({ clock, machines }) => ({
      approve: async (payload) => {
        clock.after(200, () => machines().sendTaskSuccess(tokenOf(payload), { approved: true }).catch(refused))
        return 'asked'
      },
    }),
    expected: { status: 'SUCCEEDED', output: { approved: true } },
  },
  'a task that waits for a token fails with what the answer says': {
    machines: { main: { Ask: ask('approve', { Catch: [{ ErrorEquals: ['Refused'], Next: 'Z' }] }), Z: done } },
    functions: ({ clock, machines }) => ({
      approve: async (payload) => {
        const failure = { error: 'Refused', cause: 'not today' }
        clock.after(200, () => machines().sendTaskFailure(tokenOf(payload), failure).catch(refused))
        return null
      },
    }),
    expected: { status: 'SUCCEEDED', output: { Error: 'Refused', Cause: 'not today' } },
    states: ['Ask', 'Z'],
  },
  'a token may be answered before the function returns': {
    machines: { main: { Ask: ask('approve') } },
    functions: ({ machines }) => ({
      approve: async (payload) => machines().sendTaskSuccess(tokenOf(payload), 'early'),
    }),
    expected: { status: 'SUCCEEDED', output: 'early' },
  },
  'a task that waits for a token fails when its function does': {
    machines: { main: { Ask: ask('approve') } },
    functions: () => ({ approve: () => Promise.reject(failing('MailFailed')) }),
    expected: { status: 'FAILED', error: 'MailFailed' },
  },
  'a task that waits for a token times out': {
    machines: { main: { Ask: ask('approve', { TimeoutSeconds: 1 }) } },
    functions: () => ({ approve: async () => null }),
    expected: { status: 'FAILED', error: 'States.Timeout' },
  },
  'a retried task that waits for a token gets another one': {
    machines: { main: { Ask: ask('approve', { Retry: [{ ErrorEquals: ['Again'] }] }) } },
    functions: ({ clock, machines }) => {
      const seen: string[] = []
      return {
        approve: async (payload) => {
          seen.push(tokenOf(payload))
          const [first, second] = seen
          clock.after(200, () => {
            if (first && !second) machines().sendTaskFailure(first, { error: 'Again', cause: '' }).catch(refused)
            if (second)
              machines()
                .sendTaskSuccess(second, { another: first !== second })
                .catch(refused)
          })
          return null
        },
      }
    },
    expected: { status: 'SUCCEEDED', output: { another: true } },
  },
  'a task without a heartbeat fails': {
    machines: { main: { Ask: ask('approve', { HeartbeatSeconds: 1, TimeoutSeconds: 60 }) } },
    functions: () => ({ approve: async () => null }),
    expected: { status: 'FAILED', error: 'States.HeartbeatTimeout' },
  },
  'States.Timeout takes a missed heartbeat': {
    machines: {
      main: {
        Ask: ask('approve', {
          HeartbeatSeconds: 1,
          TimeoutSeconds: 60,
          Catch: [{ ErrorEquals: ['States.Timeout'], Next: 'Z', Output: 'caught' }],
        }),
        Z: done,
      },
    },
    functions: () => ({ approve: async () => null }),
    expected: { status: 'SUCCEEDED', output: 'caught' },
    states: ['Ask', 'Z'],
  },
  'a task lives on with heartbeats': {
    machines: { main: { Ask: ask('approve', { HeartbeatSeconds: 4, TimeoutSeconds: 60 }) } },
    functions: ({ clock, machines }) => ({
      approve: async (payload) => {
        const token = tokenOf(payload)
        for (const at of [1.5, 3, 4.5]) clock.after(at * 1000, () => machines().sendTaskHeartbeat(token).catch(refused))
        clock.after(6000, () => machines().sendTaskSuccess(token, 'alive').catch(refused))
        return null
      },
    }),
    expected: { status: 'SUCCEEDED', output: 'alive' },
  },
}

export const machineExamples: Readonly<Record<string, MachineExample>> = {
  ...Object.fromEntries(fromUnitTests),
  ...maps,
  ...nested,
  ...started,
  ...tokens,
}
