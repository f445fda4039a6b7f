import { EventBridgeClient, PutRuleCommand, PutTargetsCommand } from '@aws-sdk/client-eventbridge'
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { EventBridgeEvents } from '../../functions/lib/eventbridge-events.ts'
import { eventSource } from '../../functions/lib/events.ts'
import type { Message } from '../../functions/lib/notify/message.ts'
import { SnsMessages } from '../../functions/lib/notify/sns-messages.ts'
import { rolloutEvents } from '../../functions/lib/rollout/rollout-events.ts'
import { notifyInputSchema } from '../../functions/notify/notify.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'
import { rolloutTo } from '../fixtures/notified-rollout.ts'
import { type MotoServer, startMoto } from './moto/moto-server.ts'

const region = 'us-east-1'
const account = '123456789012'
let moto: MotoServer
beforeAll(async () => {
  moto = await startMoto({ python: inject('python') })
})
afterAll(() => moto?.close())

const access = () => ({ region, endpoint: moto.url, credentials: localCredentials })

/** SQS, in its JSON protocol: nothing of ours reads queues, and so there is no client. */
async function sqs(action: string, input: object): Promise<Record<string, unknown>> {
  const scope = `local/20260302/${region}/sqs/aws4_request`
  const answer = await fetch(moto.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${action}`,
      authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=none`,
    },
    body: JSON.stringify(input),
  })
  expect(answer.status).toBe(200)
  return (await answer.json()) as Record<string, unknown>
}

async function queue(QueueName: string): Promise<{ arn: string; read(): Promise<unknown[]> }> {
  const { QueueUrl } = await sqs('CreateQueue', { QueueName })
  return {
    arn: `arn:aws:sqs:${region}:${account}:${QueueName}`,
    read: async () => {
      const { Messages = [] } = await sqs('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 })
      return (Messages as { Body: string }[]).map(({ Body }) => JSON.parse(Body))
    },
  }
}

describe('on AWS as moto has it', () => {
  test('an event reaches whoever has a rule for it, in the form that the function reads', async () => {
    const client = new EventBridgeClient(access())
    const heard = await queue('heard')
    await client.send(new PutRuleCommand({ Name: 'r', EventPattern: JSON.stringify({ source: [eventSource] }) }))
    await client.send(new PutTargetsCommand({ Rule: 'r', Targets: [{ Id: 't', Arn: heard.arn }] }))
    const [event] = rolloutEvents(rolloutTo('staging'))
    if (!event) throw new Error('a rollout tells of its beginning')
    await new EventBridgeEvents({ client, bus: 'default' }).publish(event)
    const [envelope, ...more] = await heard.read()
    expect(more).toEqual([])
    expect(envelope).toMatchObject({ source: 'lockstep', 'detail-type': 'Rollout Started' })
    expect(notifyInputSchema.parse(envelope)).toEqual({ event })
    client.destroy()
  })

  test('a bus that is not there is an error', async () => {
    const client = new EventBridgeClient(access())
    const [event] = rolloutEvents(rolloutTo('staging'))
    if (!event) throw new Error('a rollout tells of its beginning')
    await expect(new EventBridgeEvents({ client, bus: 'nowhere' }).publish(event)).rejects.toMatchObject({
      name: 'EventsUnavailable',
    })
    client.destroy()
  })

  const message: Message = {
    ...{
      id: 'e1',
      type: 'Rollout Held',
      cluster: 'staging',
      urgency: 'attention',
      title: `Ü is held${'!'.repeat(200)}`,
    },
    ...{ facts: [['Since', '2026-03-02T10:00:00Z']], next: 'Correct it.', link: undefined },
  }

  test('a message reaches the subscriptions of the topic that want it', async () => {
    const client = new SNSClient(access())
    const { TopicArn: topicArn = '' } = await client.send(new CreateTopicCommand({ Name: 'lockstep' }))
    const [attention, news] = [await queue('attention'), await queue('news')]
    for (const [{ arn }, urgency] of [[attention, 'attention'] as const, [news, 'news'] as const]) {
      const Attributes = { FilterPolicy: JSON.stringify({ urgency: [urgency] }) }
      await client.send(new SubscribeCommand({ TopicArn: topicArn, Protocol: 'sqs', Endpoint: arn, Attributes }))
    }
    await new SnsMessages({ client, topicArn }).send(message)
    const [received] = (await attention.read()) as { Subject: string; Message: string; MessageAttributes: object }[]
    expect(received?.Subject).toHaveLength(99)
    expect(received?.Subject).toMatch(/^Lockstep: \? is held!+\.\.\.$/)
    expect(received?.Message).toContain('\nSince: 2026-03-02T10:00:00Z\n\nNext: Correct it.')
    expect(received?.MessageAttributes).toMatchObject({
      type: { Value: 'Rollout Held' },
      cluster: { Value: 'staging' },
    })
    expect(await news.read()).toEqual([])
    client.destroy()
  })

  test('a topic that is not there is an error without its message', async () => {
    const client = new SNSClient(access())
    const topicArn = `arn:aws:sns:${region}:${account}:nowhere`
    const error = await new SnsMessages({ client, topicArn }).send(message).catch((error: Error) => error)
    expect(error).toMatchObject({ name: 'NotifierUnavailable' })
    expect(String(error)).not.toContain('is held')
    client.destroy()
  })
})
