import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SNSClient } from '@aws-sdk/client-sns'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { ApproversUnavailable } from '../../../functions/lib/approval/approvers.ts'
import { SnsApprovers } from '../../../functions/lib/approval/sns-approvers.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'

// SNS, as far as it is asked: the real SDK client talks to this over HTTP.
const asked: URLSearchParams[] = []
let status = 200
const sns = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  asked.push(new URLSearchParams(Buffer.concat(chunks).toString()))
  const answer = '<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>'
  const error = '<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>'
  response.writeHead(status, { 'content-type': 'text/xml' }).end(status === 200 ? answer : error)
})

const topicArn = 'arn:aws:sns:us-east-1:111122223333:Approvals'
const message = { approver: 'bob', link: 'https://lockstep.example.com/approve/secret', summary: 'ana asks' }
let approvers: SnsApprovers

beforeAll(async () => {
  await once(sns.listen(0, '127.0.0.1'), 'listening')
  const endpoint = `http://127.0.0.1:${(sns.address() as AddressInfo).port}`
  const client = new SNSClient({ endpoint, region: 'us-east-1', credentials: localCredentials, maxAttempts: 1 })
  approvers = new SnsApprovers({ client, topicArn })
})
beforeEach(() => {
  asked.length = 0
  status = 200
})
afterAll(() => sns.close())

it('marks each message with the one person that it is for', async () => {
  await approvers.send(message)
  expect(Object.fromEntries(asked[0] ?? [])).toMatchObject({
    ...{ Action: 'Publish', TopicArn: topicArn },
    'MessageAttributes.entry.1.Name': 'approver',
    'MessageAttributes.entry.1.Value.DataType': 'String',
    'MessageAttributes.entry.1.Value.StringValue': 'bob',
  })
  expect(asked[0]?.get('Message')).toContain(message.link)
  expect(asked[0]?.get('Subject')).not.toContain('secret')
})

it('says why it cannot, and no link', async () => {
  status = 403
  const failure = await approvers.send(message).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(ApproversUnavailable)
  expect(String(failure)).not.toContain('secret')
})
