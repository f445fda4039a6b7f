import { SFNClient } from '@aws-sdk/client-sfn'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SfnTaskTokens } from '../../../functions/lib/approval/sfn-task-tokens.ts'
import { type TaskTokens, TaskTokensUnavailable } from '../../../functions/lib/approval/task-tokens.ts'
import { systemClock } from '../../../functions/lib/clock.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'
import { InterpreterTaskTokens } from '../../../infra/local/interpreter-task-tokens.ts'
import { loadDefinition } from '../../../infra/local/states/definition.ts'
import { Interpreter } from '../../../infra/local/states/interpreter.ts'
import { startStepFunctionsServer } from '../../../infra/local/states/step-functions-server.ts'
import { noActivity } from '../../../infra/local/virtual-clock.ts'

const waits = {
  QueryLanguage: 'JSONata',
  StartAt: 'Ask',
  States: {
    Ask: {
      Type: 'Task',
      Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken',
      Arguments: { FunctionName: 'ask', Payload: { token: '{% $states.context.Task.Token %}' } },
      TimeoutSeconds: 3_600,
      End: true,
    },
  },
}

let interpreter: Interpreter
let server: Awaited<ReturnType<typeof startStepFunctionsServer>>
let client: SFNClient
let told: (token: string) => void = () => {}

beforeAll(async () => {
  const ask = async (payload: unknown) => told((payload as { token: string }).token)
  const machines = { waits: loadDefinition(JSON.stringify(waits), {}) }
  interpreter = new Interpreter({ clock: systemClock, machines, handlers: { ask } })
  server = await startStepFunctionsServer({ interpreter, activity: noActivity })
  client = new SFNClient({ endpoint: server.url, region: 'us-east-1', credentials: localCredentials, maxAttempts: 1 })
})
afterAll(async () => {
  client.destroy()
  await interpreter.close()
  await server.close()
})

describe.each<[string, () => TaskTokens]>([
  ['over HTTP', () => new SfnTaskTokens(client)],
  ['of the local host', () => new InterpreterTaskTokens(() => interpreter)],
])('tasks that wait, %s', (_, made) => {
  async function waiting() {
    const token = new Promise<string>((resolve) => {
      told = resolve
    })
    const { executionArn } = interpreter.start({ machine: 'waits' })
    return { token: await token, executionArn }
  }

  it('are kept waiting, and take one answer', async () => {
    const { token, executionArn } = await waiting()
    const tasks = made()
    expect(await tasks.heartbeat(token)).toBe('taken')
    expect(await tasks.succeed(token, { approvals: [{ by: 'bob', at: 1 }] })).toBe('taken')
    const { status, output } = await interpreter.finished(executionArn)
    expect([status, JSON.parse(output ?? '')]).toEqual(['SUCCEEDED', { approvals: [{ by: 'bob', at: 1 }] }])
    expect(await tasks.succeed(token, {})).toBe('gone')
    expect(await tasks.fail(token, { error: 'LockChanged', cause: 'x' })).toBe('gone')
    expect(await tasks.heartbeat(token)).toBe('gone')
  })

  it('fail with an error and its cause', async () => {
    const { token, executionArn } = await waiting()
    expect(await made().fail(token, { error: 'LockChanged', cause: 'it is another one' })).toBe('taken')
    expect(await interpreter.finished(executionArn)).toMatchObject({
      ...{ status: 'FAILED', error: 'LockChanged', cause: 'it is another one' },
    })
  })

  it('are gone where the token is none of ours', async () => {
    expect(await made().heartbeat('made up')).toBe('gone')
  })
})

it('cannot be answered while nothing listens, and no error says the token', async () => {
  const credentials = { region: 'us-east-1', credentials: localCredentials, maxAttempts: 1 }
  const tasks = new SfnTaskTokens(new SFNClient({ endpoint: 'http://127.0.0.1:1', ...credentials }))
  const failure = await tasks.heartbeat('a token').catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(TaskTokensUnavailable)
  expect(String(failure)).not.toContain('a token')
})
