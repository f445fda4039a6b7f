import type { PublishCommand, SNSClient } from '@aws-sdk/client-sns'
import { beforeEach, expect, test } from 'vitest'
import type { Message } from '../../../functions/lib/notify/message.ts'
import { SnsMessages } from '../../../functions/lib/notify/sns-messages.ts'

const message: Message = {
  ...{ id: 'e1', type: 'Rollout Held', cluster: 'staging', urgency: 'attention', title: 'Ein Rollout hält – überall' },
  ...{ facts: [['Since', 'now']], next: 'Push.', link: undefined },
}
let published: PublishCommand['input'][]
beforeEach(() => {
  published = []
})
const client = { send: async ({ input }: PublishCommand) => void published.push(input) } as unknown as SNSClient
const send = (over: Partial<Message> = {}) => new SnsMessages({ client, topicArn: 'arn' }).send({ ...message, ...over })

test('a subject is short, and printable ASCII: SNS refuses any other', async () => {
  await send()
  expect(published[0]?.Subject).toBe('Lockstep: Ein Rollout h?lt ? ?berall')
  await send({ title: 'x'.repeat(300) })
  expect(published[1]?.Subject).toMatch(/^Lockstep: x+\.\.\.$/)
  expect(published[1]?.Subject).toHaveLength(99)
})

test('subscriptions can filter by what it is about', async () => {
  await send()
  await send({ cluster: undefined })
  const values = published.map(({ MessageAttributes = {} }) =>
    Object.fromEntries(Object.entries(MessageAttributes).map(([key, { StringValue }]) => [key, StringValue])),
  )
  const type = 'Rollout Held'
  expect(values).toEqual([
    { type, urgency: 'attention', cluster: 'staging' },
    { type, urgency: 'attention' },
  ])
})
