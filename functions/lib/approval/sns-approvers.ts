import { PublishCommand, type SNSClient } from '@aws-sdk/client-sns'
import { type ApprovalMessage, type Approvers, ApproversUnavailable } from './approvers.ts'

/**
 * One topic for all people. Each message carries the attribute `approver`, and each person's subscription has a filter
 * policy on it: nobody gets the link of another one.
 */
export class SnsApprovers implements Approvers {
  private readonly client: SNSClient
  private readonly topicArn: string

  constructor({ client, topicArn }: { client: SNSClient; topicArn: string }) {
    this.client = client
    this.topicArn = topicArn
  }

  async send({ approver, link, summary }: ApprovalMessage): Promise<void> {
    const message = new PublishCommand({
      TopicArn: this.topicArn,
      Subject: 'Lockstep asks for your approval',
      Message: [summary, '', 'See the evidence, and decide:', link, '', 'The link is yours alone.'].join('\n'),
      MessageAttributes: { approver: { DataType: 'String', StringValue: approver } },
    })
    await this.client.send(message).catch((error) => {
      // Only its name: a message may quote the link.
      throw new ApproversUnavailable(error instanceof Error ? error.name : 'unknown error')
    })
  }
}
