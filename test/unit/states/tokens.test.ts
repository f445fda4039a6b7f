import { EventEmitter, once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { MemoryExecutionStore } from '../../../infra/local/states/execution-store.ts'
import { readTaskToken, taskToken } from '../../../infra/local/states/task-token.ts'
import { ask, failing, interpreterOf, machineOf, stopClocks } from './machines.ts'

afterEach(stopClocks)

/** A machine that asks, in the moment when the question was put: before the virtual clock moves on. */
async function asking(extra: Record<string, unknown> = {}) {
  const questions = new EventEmitter()
  const interpreter = interpreterOf({
    machines: { main: machineOf({ Ask: ask('approve', extra), ...(extra.Catch ? { Z: { Type: 'Succeed' } } : {}) }) },
    handlers: {
      approve: async (payload) => {
        const { token } = payload as { token: string }
        questions.emit('asked', token)
        return { asked: token }
      },
    },
  })
  const nextToken = async (): Promise<string> => (await once(questions, 'asked'))[0]
  const asked = nextToken()
  const { executionArn } = interpreter.start({ machine: 'main', name: 'one' })
  return { interpreter, executionArn, token: await asked, nextToken }
}

const refusal = (code: string) => expect.objectContaining({ code })

describe('a task that waits for a token', () => {
  it('ends with the answer', async () => {
    const { interpreter, executionArn, token } = await asking()
    interpreter.sendTaskSuccess(token, { approved: true })
    expect(await interpreter.finished(executionArn)).toMatchObject({ status: 'SUCCEEDED', output: '{"approved":true}' })
    expect(() => interpreter.sendTaskSuccess(token, 1)).toThrow(refusal('TaskTimedOut'))
    expect(() => interpreter.sendTaskHeartbeat(token)).toThrow(refusal('TaskTimedOut'))
  })

  it('takes one answer only', async () => {
    const { interpreter, executionArn, token } = await asking()
    interpreter.sendTaskSuccess(token, 1)
    expect(() => interpreter.sendTaskFailure(token)).toThrow(refusal('TaskTimedOut'))
    expect((await interpreter.finished(executionArn)).output).toBe('1')
  })

  it('fails with what the answer says', async () => {
    const { interpreter, executionArn, token } = await asking({ Catch: [{ ErrorEquals: ['Refused'], Next: 'Z' }] })
    interpreter.sendTaskFailure(token, { error: 'Refused', cause: 'not today' })
    expect((await interpreter.finished(executionArn)).output).toBe('{"Error":"Refused","Cause":"not today"}')
  })

  it('keeps its token out of the history', async () => {
    const { interpreter, executionArn, token } = await asking()
    interpreter.sendTaskSuccess(token, 1)
    await interpreter.finished(executionArn)
    const history = interpreter.history(executionArn)
    expect(JSON.stringify(history)).not.toContain(token)
    expect(history.map(({ type }) => type)).toContain('TaskSubmitted')
    expect(history[2]?.taskScheduledEventDetails).toMatchObject({
      resourceType: 'lambda',
      resource: 'invoke.waitForTaskToken',
      parameters: '{"FunctionName":"approve","Payload":{"token":"***"}}',
    })
  })

  it('may be answered before the function returns', async () => {
    const interpreter = interpreterOf({
      machines: { main: machineOf({ Ask: ask('approve') }) },
      handlers: {
        approve: async (payload) => interpreter.sendTaskSuccess((payload as { token: string }).token, 'early'),
      },
    })
    const { executionArn } = interpreter.start({ machine: 'main' })
    expect((await interpreter.finished(executionArn)).output).toBe('"early"')
  })

  it('fails when its function does', async () => {
    const interpreter = interpreterOf({
      machines: { main: machineOf({ Ask: ask('approve') }) },
      handlers: { approve: () => Promise.reject(failing('MailFailed')) },
    })
    const { executionArn } = interpreter.start({ machine: 'main' })
    expect(await interpreter.finished(executionArn)).toMatchObject({ status: 'FAILED', error: 'MailFailed' })
  })

  it('times out, and its token with it', async () => {
    const { interpreter, executionArn, token } = await asking({ TimeoutSeconds: 600 })
    const { status, error, startDate, stopDate = '' } = await interpreter.finished(executionArn)
    expect([status, error]).toEqual(['FAILED', 'States.Timeout'])
    expect(Date.parse(stopDate) - Date.parse(startDate)).toBe(600_000)
    expect(() => interpreter.sendTaskSuccess(token, 1)).toThrow(refusal('TaskTimedOut'))
  })

  it('gets another token for each attempt; the old one is void', async () => {
    const { interpreter, executionArn, token, nextToken } = await asking({ Retry: [{ ErrorEquals: ['Again'] }] })
    const second = nextToken()
    interpreter.sendTaskFailure(token, { error: 'Again' })
    const newToken = await second
    expect(() => interpreter.sendTaskSuccess(token, 1)).toThrow(refusal('TaskTimedOut'))
    interpreter.sendTaskSuccess(newToken, 2)
    expect((await interpreter.finished(executionArn)).output).toBe('2')
  })

  it('fails without a heartbeat, and lives on with them', async () => {
    const { interpreter, executionArn, token } = await asking({ HeartbeatSeconds: 60, TimeoutSeconds: undefined })
    for (const at of [50, 100, 150]) interpreter.clock.after(at * 1000, () => interpreter.sendTaskHeartbeat(token))
    const { error, startDate, stopDate = '' } = await interpreter.finished(executionArn)
    expect(error).toBe('States.HeartbeatTimeout')
    expect(Date.parse(stopDate) - Date.parse(startDate)).toBe((150 + 60) * 1000)
    expect(interpreter.history(executionArn).map(({ type }) => type)).toContain('TaskTimedOut')
  })

  it('is void when the execution is stopped', async () => {
    const { interpreter, executionArn, token } = await asking()
    interpreter.stop(executionArn)
    expect(() => interpreter.sendTaskSuccess(token, 1)).toThrow(refusal('TaskTimedOut'))
  })

  it('is not answered by made-up tokens, nor by those of another store', async () => {
    const { interpreter, executionArn, token } = await asking()
    const foreign = taskToken(new MemoryExecutionStore().tokenKey, { executionArn, task: '1.0' })
    const [body = '', signature = ''] = token.split('.')
    for (const wrong of ['', 'x', foreign, `${body}.`, `${body}x.${signature}`, '%%.%%']) {
      expect(() => interpreter.sendTaskSuccess(wrong, 1)).toThrow(refusal('InvalidToken'))
    }
  })
})

describe('a token', () => {
  it('is signed, and says what it stands for', () => {
    const key = Buffer.from('0123456789abcdef0123456789abcdef')
    const subject = { executionArn: 'arn:a', task: '3.1[0]/2.0' }
    expect(readTaskToken(key, taskToken(key, subject))).toEqual(subject)
    expect(readTaskToken(Buffer.from('other'), taskToken(key, subject))).toBeUndefined()
  })
})
