import { afterEach, describe, expect, it } from 'vitest'
import { interpreterOf, invoke, machineOf, type States, stopClocks } from './machines.ts'

afterEach(stopClocks)

const childArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:child'

const nest = (Arguments: unknown = {}, extra: Record<string, unknown> = {}) => ({
  Type: 'Task',
  Resource: 'arn:aws:states:::states:startExecution.sync:2',
  Arguments: { StateMachineArn: childArn, ...(Arguments as object) },
  ...('Next' in extra ? {} : { End: true }),
  ...extra,
})

const wait = { Type: 'Wait', Seconds: 10, End: true }

const worldOf = (parent: States, child: States, handlers = {}) =>
  interpreterOf({ machines: { parent: machineOf(parent), child: machineOf(child) }, handlers })

describe('an execution that is started and left alone', () => {
  const start = { ...nest({ Name: 'c1' }), Resource: 'arn:aws:states:::states:startExecution' }

  it('outlives its parent, however that ends', async () => {
    const interpreter = worldOf(
      {
        M: { Type: 'Map', Items: [1], ItemProcessor: { StartAt: 'A', States: { A: start } }, Next: 'Long' },
        Long: wait,
      },
      { B: wait },
    )
    const { executionArn } = interpreter.start({ machine: 'parent' })
    await expect.poll(() => interpreter.list({ machine: 'child' }).length).toBe(1)
    interpreter.stop(executionArn)
    const [child] = interpreter.list({ machine: 'child' })
    expect((await interpreter.finished(child?.executionArn ?? '')).status).toBe('SUCCEEDED')
  })
})

describe('a nested execution', () => {
  it('gives its description, with input and output as JSON', async () => {
    const Input = { n: 1, AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID: '{% $states.context.Execution.Id %}' }
    const interpreter = worldOf(
      { A: nest({ Name: 'c1', Input }) },
      { B: { Type: 'Wait', Seconds: 10, Output: '{% {"m": $states.input.n + 1} %}', End: true } },
    )
    const { executionArn } = interpreter.start({ machine: 'parent', name: 'p1' })
    const { output = '' } = await interpreter.finished(executionArn)
    const at = Date.UTC(2026, 0, 5, 9)
    expect(JSON.parse(output)).toEqual({
      ExecutionArn: 'arn:aws:states:us-east-1:000000000000:execution:child:c1',
      Input: { n: 1, AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID: executionArn },
      InputDetails: { Included: true },
      Name: 'c1',
      Output: { m: 2 },
      OutputDetails: { Included: true },
      StartDate: at,
      StateMachineArn: childArn,
      Status: 'SUCCEEDED',
      StopDate: at + 10_000,
    })
    const submitted = interpreter.history(executionArn).find(({ type }) => type === 'TaskSubmitted')
    expect(submitted?.taskSubmittedEventDetails).toMatchObject({
      resourceType: 'states',
      resource: 'startExecution.sync:2',
    })
  })

  it('that fails is States.TaskFailed with its description', async () => {
    const interpreter = worldOf(
      {
        A: nest({ Name: 'c1', Input: { a: 1 } }, { Catch: [{ ErrorEquals: ['States.TaskFailed'], Next: 'Z' }] }),
        Z: { Type: 'Succeed', Output: '{% [$states.input.Error, $parse($states.input.Cause)] %}' },
      },
      { B: { Type: 'Fail', Error: 'Bad', Cause: 'reason' } },
    )
    const { executionArn } = interpreter.start({ machine: 'parent' })
    const { output = '' } = await interpreter.finished(executionArn)
    const [error, cause] = JSON.parse(output)
    expect(error).toBe('States.TaskFailed')
    expect(cause).toMatchObject({ Name: 'c1', Status: 'FAILED', Error: 'Bad', Cause: 'reason', Input: '{"a":1}' })
  })

  it('joins one that is open under the same name with the same input', async () => {
    const interpreter = worldOf({ A: nest({ Name: 'c1' }) }, { B: { Type: 'Wait', Seconds: 10, End: true } })
    const first = interpreter.start({ machine: 'parent', name: 'p1' })
    const second = interpreter.start({ machine: 'parent', name: 'p2' })
    await Promise.all([first, second].map(({ executionArn }) => interpreter.finished(executionArn)))
    expect(interpreter.list({ machine: 'child' })).toHaveLength(1)
  })

  it('fails when its name is taken', async () => {
    const interpreter = worldOf(
      { A: nest({ Name: 'c1' }, { Next: 'B2' }), B2: nest({ Name: 'c1' }) },
      { B: { Type: 'Pass', End: true } },
    )
    const { executionArn } = interpreter.start({ machine: 'parent' })
    const { error } = await interpreter.finished(executionArn)
    expect(error).toBe('StepFunctions.ExecutionAlreadyExistsException')
  })

  it('fails when an expression names a machine that is not there', async () => {
    const interpreter = worldOf({ A: nest({ StateMachineArn: "{% 'none' %}" }) }, { B: { Type: 'Succeed' } })
    const { executionArn } = interpreter.start({ machine: 'parent' })
    const { error } = await interpreter.finished(executionArn)
    expect(error).toBe('StepFunctions.StateMachineDoesNotExistException')
  })

  it.each([
    ['the parent is stopped', {}, true],
    ['the task times out', { TimeoutSeconds: 5 }, false],
  ])('is stopped when %s', async (_, extra, stop) => {
    let aborted = false
    const f = (_payload: unknown, { signal }: { signal: AbortSignal }) =>
      new Promise(() => signal.addEventListener('abort', () => (aborted = true)))
    const interpreter = worldOf({ A: nest({ Name: 'c1' }, extra) }, { B: invoke('f') }, { f })
    const { executionArn } = interpreter.start({ machine: 'parent' })
    await expect.poll(() => interpreter.list({ machine: 'child' }).length).toBe(1)
    if (stop) interpreter.stop(executionArn)
    await interpreter.finished(executionArn)
    expect(interpreter.list({ machine: 'child' })[0]?.status).toBe('ABORTED')
    expect(aborted).toBe(true)
  })
})
