import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { handler as Handler } from '../../../functions/approve/handler.ts'
import { signLink } from '../../../functions/lib/approval/approval-link.ts'
import { systemClock } from '../../../functions/lib/clock.ts'
import { DynamoDbLedger } from '../../../functions/lib/ledger/dynamodb-ledger.ts'
import { localCredentials, startDynamoDb } from '../../../infra/local/dynamodb.ts'
import { noActivity } from '../../../infra/local/virtual-clock.ts'
import { approvalOf, people, staleLock } from '../../fixtures/approvals.ts'

// Step Functions and Secrets Manager, as far as the function asks them: the real SDK clients talk to this over HTTP.
const asked: { target: string; input: Record<string, unknown> }[] = []
const secret = 'a secret of the tests'
const secretArn = 'arn:aws:secretsmanager:us-east-1:111122223333:secret:Links'
const table = 'ledger'
const auditTable = 'audit'

const aws = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const target = String(request.headers['x-amz-target']).split('.').at(-1) ?? ''
  asked.push({ target, input: JSON.parse(Buffer.concat(chunks).toString()) })
  const body = target === 'GetSecretValue' ? { SecretString: JSON.stringify({ current: secret }) } : {}
  response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(body))
})

const expiresAt = Date.now() + 3_600_000
const { judged } = approvalOf()
let dynamodb: Awaited<ReturnType<typeof startDynamoDb>>
let client: DynamoDBClient
let ledger: DynamoDbLedger
let handler: typeof Handler

beforeAll(async () => {
  await once(aws.listen(0, '127.0.0.1'), 'listening')
  dynamodb = await startDynamoDb({ activity: noActivity, tables: [table, auditTable] })
  client = new DynamoDBClient({ endpoint: dynamodb.url, region: 'us-east-1', credentials: localCredentials })
  ledger = new DynamoDbLedger({ client: DynamoDBDocumentClient.from(client), table, auditTable, clock: systemClock })
  await ledger.writeObservation(staleLock)
  await ledger.writeApproval(approvalOf({ expiresAt, needed: 1 }))
  vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${(aws.address() as AddressInfo).port}`)
  vi.stubEnv('AWS_ENDPOINT_URL_DYNAMODB', dynamodb.url)
  vi.stubEnv('AWS_REGION', 'us-east-1')
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'id')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'key')
  vi.stubEnv('POWERTOOLS_LOG_LEVEL', 'SILENT')
  vi.stubEnv('LEDGER_TABLE', table)
  vi.stubEnv('EVENT_BUS', 'default')
  vi.stubEnv('AUDIT_TABLE', auditTable)
  vi.stubEnv('APPROVAL_SECRET_ARN', secretArn)
  const fleet = {
    repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
    clusters: [{ name: 'staging', eks: 'staging', region: 'eu-west-1', environment: 'test' }],
    locks: { approvers: people },
  }
  vi.stubEnv('LOCKSTEP_FLEET', JSON.stringify(fleet))
  handler = (await import('../../../functions/approve/handler.ts')).handler
})

afterAll(async () => {
  vi.unstubAllEnvs()
  client.destroy()
  aws.close()
  await dynamodb.close()
})

/** As API Gateway sends it, payload format 2.0. */
const event = (method: string, body?: string) => ({
  requestContext: { http: { method } },
  pathParameters: {
    token: signLink({ approval: 'unlock-1', approver: 'bob', expiresAt, judged }, { current: secret }),
  },
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  isBase64Encoded: body !== undefined,
  ...(body !== undefined && { body: Buffer.from(body).toString('base64') }),
})

it('shows by GET, and by POST decides and answers the task', async () => {
  expect(await handler(event('GET'))).toMatchObject({ statusCode: 200, body: expect.stringContaining('Decide as bob') })
  expect(asked.map(({ target }) => target)).toEqual(['GetSecretValue'])
  expect(asked[0]?.input).toEqual({ SecretId: secretArn })

  expect(await handler(event('POST', 'decision=approve'))).toMatchObject({ statusCode: 303 })
  expect(asked.map(({ target }) => target)).toEqual(['GetSecretValue', 'SendTaskSuccess'])
  const { taskToken, output } = asked[1]?.input ?? {}
  expect(taskToken).toBe('a task token')
  expect(JSON.parse(String(output))).toEqual({ approvals: [{ by: 'bob', at: expect.any(Number) }] })
  expect(await ledger.readApproval('unlock-1')).toMatchObject({ closed: { how: 'approved' } })
})

it('takes what is no link for one that is none', async () => {
  expect(await handler({ ...event('GET'), pathParameters: {} })).toMatchObject({ statusCode: 404 })
})
