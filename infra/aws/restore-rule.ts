import { Duration, Validations } from 'aws-cdk-lib'
import { Rule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations'
import { Queue } from 'aws-cdk-lib/aws-sqs'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { HandlerFunction } from './handler-function.ts'

export interface RestoreRuleProps {
  /** What ends: `a rollout`. */
  readonly of: string
  readonly machines: readonly StateMachine[]
  /** Gets the event as it is. */
  readonly restore: HandlerFunction
}

/**
 * An execution that was stopped, timed out or failed could not clean up after itself: what it held is put back by a
 * function. An event that could not be delivered, or that the function failed on three times, is kept for a person.
 */
export class RestoreRule extends Construct {
  /** What could not be delivered. */
  readonly lost: Queue

  constructor(scope: Construct, id: string, { of, machines, restore }: RestoreRuleProps) {
    super(scope, id)
    this.lost = new Queue(this, 'Lost', { enforceSSL: true, retentionPeriod: Duration.days(14) })
    Validations.of(this.lost).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'It is a dead-letter queue itself: of the rule, and of the function.',
    })
    restore.function.configureAsyncInvoke({
      retryAttempts: 2,
      maxEventAge: Duration.hours(6),
      onFailure: new SqsDestination(this.lost),
    })
    new Rule(this, 'Rule', {
      description: `Lockstep: ${of} ended without cleaning up`,
      eventPattern: {
        source: ['aws.states'],
        detailType: ['Step Functions Execution Status Change'],
        detail: {
          stateMachineArn: machines.map(({ stateMachineArn }) => stateMachineArn),
          status: ['ABORTED', 'FAILED', 'TIMED_OUT'],
        },
      },
      targets: [new LambdaFunction(restore.function, { deadLetterQueue: this.lost })],
    })
  }
}
