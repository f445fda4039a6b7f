import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import type { handler as Handler } from '../../../functions/webhook/handler.ts'
import { deliveryId, pushPayload, secret, signed } from './signed.ts'

// Both AWS services, as far as the function asks them: the real SDK clients talk to this over HTTP.
const asked: { target: string; input: Record<string, unknown> }[] = []
let answers: Record<string, () => { status?: number; body: object }> = {}

const aws = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const target = String(request.headers['x-amz-target']).split('.').at(-1) ?? ''
  asked.push({ target, input: JSON.parse(Buffer.concat(chunks).toString()) })
  const { status = 200, body } = answers[target]?.() ?? { status: 400, body: { __type: 'UnknownOperationException' } }
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(body))
})

const stateMachine = 'arn:aws:states:us-east-1:111122223333:stateMachine:Lockstep-fleet'
const secretArn = 'arn:aws:secretsmanager:us-east-1:111122223333:secret:Webhook'
let handler: typeof Handler

beforeAll(async () => {
  await once(aws.listen(0, '127.0.0.1'), 'listening')
  vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${(aws.address() as AddressInfo).port}`)
  vi.stubEnv('AWS_REGION', 'us-east-1')
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'id')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'key')
  vi.stubEnv('POWERTOOLS_LOG_LEVEL', 'SILENT')
  vi.stubEnv('WEBHOOK_SECRET_ARN', secretArn)
  vi.stubEnv('FLEET_STATE_MACHINE_ARN', stateMachine)
  vi.stubEnv(
    'LOCKSTEP_REPOSITORIES',
    JSON.stringify([{ name: 'my-org/fleet-infra', branches: ['main'], host: 'github.com' }]),
  )
})

beforeEach(async () => {
  asked.length = 0
  answers = {
    GetSecretValue: () => ({ body: { SecretString: JSON.stringify({ current: secret }) } }),
    StartExecution: () => ({ body: { executionArn: `${stateMachine}:${deliveryId}`, startDate: 1767603583 } }),
  }
  // A new one for each test, as it keeps the secret.
  vi.resetModules()
  handler = (await import('../../../functions/webhook/handler.ts')).handler
})

afterAll(() => {
  vi.unstubAllEnvs()
  aws.close()
})

const push = () => signed(JSON.stringify(pushPayload()))

it('reads the secret once, and starts the fleet’s state machine under the delivery’s id', async () => {
  expect(await handler(await push())).toMatchObject({
    statusCode: 202,
    body: JSON.stringify({ execution: deliveryId }),
  })
  expect(await handler(await push())).toMatchObject({ statusCode: 202 })
  expect(asked.map(({ target }) => target)).toEqual(['GetSecretValue', 'StartExecution', 'StartExecution'])
  expect(asked[0]?.input).toEqual({ SecretId: secretArn })
  expect(asked[1]?.input).toMatchObject({ stateMachineArn: stateMachine, name: deliveryId })
  expect(JSON.parse(String(asked[1]?.input.input))).toMatchObject({ branch: 'main', delivery: deliveryId })
  // Step Functions takes a repeated start for the same one only where the input is the same to the byte.
  expect(asked[2]?.input).toEqual(asked[1]?.input)
})

it('takes an execution that exists for a success', async () => {
  answers.StartExecution = () => ({ status: 400, body: { __type: 'ExecutionAlreadyExists', message: stateMachine } })
  expect(await handler(await push())).toMatchObject({ statusCode: 200 })
})

it('answers 503 where Step Functions refuses, after no more than two tries', async () => {
  answers.StartExecution = () => ({ status: 500, body: { __type: 'InternalFailure', message: stateMachine } })
  const { statusCode, body } = await handler(await push())
  expect(statusCode).toBe(503)
  expect(body).not.toContain('arn:')
  expect(asked.filter(({ target }) => target === 'StartExecution')).toHaveLength(2)
})

it.each(['not JSON', '{}', '{"current": ""}'])('answers 503 where the secret is %s', async (SecretString) => {
  answers.GetSecretValue = () => ({ body: { SecretString } })
  expect(await handler(await push())).toMatchObject({ statusCode: 503 })
  expect(asked.map(({ target }) => target)).not.toContain('StartExecution')
})
