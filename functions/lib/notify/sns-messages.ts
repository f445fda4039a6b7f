import { PublishCommand, type SNSClient } from '@aws-sdk/client-sns'
import { type Message, type MessageChannel, messageText } from './message.ts'
import { NotifierUnavailable } from './notifier-error.ts'

/** A subject is printable ASCII, and shorter than 100 characters: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html */
const longestSubject = 99

/** Publishes to a topic. Subscriptions may filter by the attributes `type`, `cluster` and `urgency`. */
export class SnsMessages implements MessageChannel {
  readonly name = 'sns'
  private readonly client: SNSClient
  private readonly topicArn: string

  constructor({ client, topicArn }: { client: SNSClient; topicArn: string }) {
    this.client = client
    this.topicArn = topicArn
  }

  async send(message: Message): Promise<void> {
    const { type, cluster, urgency, title } = message
    const attributes = { type, urgency, ...(cluster !== undefined && { cluster }) }
    const command = new PublishCommand({
      TopicArn: this.topicArn,
      Subject: subject(title),
      Message: messageText(message),
      MessageAttributes: Object.fromEntries(
        Object.entries(attributes).map(([key, value]) => [key, { DataType: 'String', StringValue: value }]),
      ),
    })
    await this.client.send(command).catch((error: unknown) => {
      throw new NotifierUnavailable('SNS', error instanceof Error ? error.name : 'unknown error')
    })
  }
}

function subject(title: string): string {
  const plain = `Lockstep: ${title}`.replace(/[^\x20-\x7e]/g, '?')
  return plain.length > longestSubject ? `${plain.slice(0, longestSubject - 3)}...` : plain
}
