import {
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  GetExecutionHistoryCommand,
  ListExecutionsCommand,
  ListStateMachinesCommand,
  paginateGetExecutionHistory,
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type StepFunctionsServer,
  startStepFunctionsServer,
} from '../../../infra/local/states/step-functions-server.ts'
import type { Activity } from '../../../infra/local/virtual-clock.ts'
import { ask, interpreterOf, machineOf, stopClocks } from './machines.ts'

const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:main'
const askerArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:asker'
const unknownArn = 'arn:aws:states:us-east-1:000000000000:execution:main:none'

let server: StepFunctionsServer
let client: SFNClient
let interpreter: ReturnType<typeof interpreterOf>
let hold: () => void
let token: Promise<string>

beforeEach(async () => {
  const asked = Promise.withResolvers<string>()
  token = asked.promise
  interpreter = interpreterOf({
    machines: {
      main: machineOf({ A: { Type: 'Wait', Seconds: 60, End: true } }),
      asker: machineOf({ A: ask('approve', { HeartbeatSeconds: 60 }) }),
    },
    handlers: {
      approve: async (payload) => asked.resolve((payload as { token: string }).token),
    },
  })
  // Time stands still until a test lets it go.
  hold = interpreter.clock.begin()
  server = await startStepFunctionsServer({ interpreter, activity: interpreter.clock })
  client = new SFNClient({
    endpoint: server.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  })
})
afterEach(async () => {
  hold()
  client.destroy()
  await server.close()
  stopClocks()
})

const start = (name: string, input = '{"a":1}', machine = stateMachineArn) =>
  client.send(new StartExecutionCommand({ stateMachineArn: machine, name, input }))
const named = (name: string) => expect.objectContaining({ name })

describe('with the SDK client', () => {
  it('an execution is started, described, listed and read', async () => {
    const startDate = new Date('2026-01-05T09:00:00.000Z')
    const { executionArn, startDate: started } = await start('one')
    expect(started).toEqual(startDate)
    const running = await client.send(new DescribeExecutionCommand({ executionArn }))
    expect(running).toMatchObject({ status: 'RUNNING', name: 'one', stateMachineArn, input: '{"a":1}', startDate })
    hold()
    await interpreter.finished(executionArn ?? '')
    const ended = await client.send(new DescribeExecutionCommand({ executionArn }))
    expect(ended).toMatchObject({
      status: 'SUCCEEDED',
      output: '{"a":1}',
      stopDate: new Date('2026-01-05T09:01:00.000Z'),
    })
    const { executions } = await client.send(new ListExecutionsCommand({ stateMachineArn, statusFilter: 'SUCCEEDED' }))
    expect(executions).toMatchObject([{ executionArn, name: 'one', status: 'SUCCEEDED' }])
    const { events } = await client.send(new GetExecutionHistoryCommand({ executionArn }))
    expect(events).toEqual(
      interpreter.history(executionArn ?? '').map((event) => ({ ...event, timestamp: new Date(event.timestamp) })),
    )
  })

  it('a history is read in pages, backwards, and without data', async () => {
    const { executionArn } = await start('one')
    hold()
    await interpreter.finished(executionArn ?? '')
    const ids: unknown[] = []
    for await (const page of paginateGetExecutionHistory(
      { client, pageSize: 2 },
      { executionArn, reverseOrder: true },
    )) {
      ids.push(page.events?.map(({ id }) => id))
    }
    expect(ids).toEqual([
      [4, 3],
      [2, 1],
    ])
    const { events } = await client.send(new GetExecutionHistoryCommand({ executionArn, includeExecutionData: false }))
    expect(events?.[1]?.stateEnteredEventDetails).toEqual({ name: 'A' })
  })

  it('executions are listed in pages, the newest first', async () => {
    for (const name of ['1', '2', '3']) await start(name)
    const first = await client.send(new ListExecutionsCommand({ stateMachineArn, maxResults: 2 }))
    expect(first.executions?.map(({ name }) => name)).toEqual(['3', '2'])
    const rest = await client.send(new ListExecutionsCommand({ stateMachineArn, nextToken: first.nextToken }))
    expect([rest.executions?.map(({ name }) => name), rest.nextToken]).toEqual([['1'], undefined])
  })

  it('an execution is started once under its name', async () => {
    const first = await start('one')
    expect((await start('one')).executionArn).toBe(first.executionArn)
    await expect(start('one', '{"a":2}')).rejects.toEqual(named('ExecutionAlreadyExists'))
  })

  it('an execution is stopped', async () => {
    const { executionArn } = await start('one')
    const { stopDate } = await client.send(new StopExecutionCommand({ executionArn, error: 'E', cause: 'by hand' }))
    expect(stopDate).toEqual(new Date('2026-01-05T09:00:00.000Z'))
    const ended = await client.send(new DescribeExecutionCommand({ executionArn }))
    expect(ended).toMatchObject({ status: 'ABORTED', error: 'E', cause: 'by hand' })
  })

  it('a token is answered', async () => {
    const { executionArn } = await start('one', '{}', askerArn)
    const taskToken = await token
    await client.send(new SendTaskHeartbeatCommand({ taskToken }))
    await expect(client.send(new SendTaskSuccessCommand({ taskToken, output: '{' }))).rejects.toEqual(
      named('InvalidOutput'),
    )
    await client.send(new SendTaskSuccessCommand({ taskToken, output: '{"yes":1}' }))
    expect((await interpreter.finished(executionArn ?? '')).output).toBe('{"yes":1}')
    await expect(client.send(new SendTaskSuccessCommand({ taskToken, output: '1' }))).rejects.toEqual(
      named('TaskTimedOut'),
    )
  })

  it('a token is refused', async () => {
    const { executionArn } = await start('one', '{}', askerArn)
    await client.send(new SendTaskFailureCommand({ taskToken: await token, error: 'No', cause: 'because' }))
    expect(await interpreter.finished(executionArn ?? '')).toMatchObject({ error: 'No', cause: 'because' })
  })

  it('machines are listed and described', async () => {
    const { stateMachines } = await client.send(new ListStateMachinesCommand({}))
    expect(stateMachines?.map((one) => one.stateMachineArn)).toEqual([stateMachineArn, askerArn])
    const main = await client.send(new DescribeStateMachineCommand({ stateMachineArn }))
    expect(JSON.parse(main.definition ?? '')).toMatchObject({ QueryLanguage: 'JSONata', StartAt: 'A' })
  })

  it.each([
    ['ExecutionDoesNotExist', () => client.send(new DescribeExecutionCommand({ executionArn: unknownArn }))],
    ['ExecutionDoesNotExist', () => client.send(new GetExecutionHistoryCommand({ executionArn: unknownArn }))],
    ['ExecutionDoesNotExist', () => client.send(new StopExecutionCommand({ executionArn: unknownArn }))],
    ['StateMachineDoesNotExist', () => start('one', '{}', `${stateMachineArn}x`)],
    ['StateMachineDoesNotExist', () => client.send(new ListExecutionsCommand({ stateMachineArn: 'x' }))],
    ['StateMachineDoesNotExist', () => client.send(new DescribeStateMachineCommand({ stateMachineArn: 'x' }))],
    ['InvalidName', () => start('a b')],
    ['InvalidExecutionInput', () => start('one', '{')],
    ['InvalidToken', () => client.send(new SendTaskHeartbeatCommand({ taskToken: 'made.up' }))],
    ['InvalidToken', () => client.send(new ListExecutionsCommand({ stateMachineArn, nextToken: 'x' }))],
    ['ValidationException', () => client.send(new ListExecutionsCommand({ stateMachineArn, maxResults: -1 }))],
  ])('what is wrong is %s', async (name, call) => {
    await expect(call()).rejects.toEqual(named(name))
  })
})

describe('without it', () => {
  const post = async (target: string, body: string) => {
    const response = await fetch(server.url, { method: 'POST', headers: { 'x-amz-target': target }, body })
    return [response.status, ((await response.json()) as { __type: string }).__type.split('#').at(-1)]
  }

  it.each([
    ['AWSStepFunctions.DeleteStateMachine', '{}', 'UnknownOperationException'],
    ['AWSStepFunctions.constructor', '{}', 'UnknownOperationException'],
    ['Other.StartExecution', '{}', 'UnknownOperationException'],
    ['AWSStepFunctions.StartExecution', '{', 'SerializationException'],
    ['AWSStepFunctions.StartExecution', 'null', 'ValidationException'],
    ['AWSStepFunctions.StartExecution', `"${'x'.repeat(2 ** 20)}"`, 'SerializationException'],
  ])('%s with a strange body is refused', async (target, body, code) => {
    expect(await post(target, body)).toEqual([400, code])
  })
})

describe('each request', () => {
  it('is activity from its begin to its end', async () => {
    const marks: string[] = []
    const activity: Activity = {
      begin: () => {
        marks.push('begin')
        return () => marks.push('end')
      },
      touch: () => {},
    }
    const other = await startStepFunctionsServer({ interpreter, activity })
    const response = await fetch(other.url, { method: 'POST' })
    await response.text()
    await expect.poll(() => marks).toEqual(['begin', 'end'])
    await other.close()
  })
})
