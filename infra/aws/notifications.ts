import { ArnFormat, CfnOutput, Duration, Stack, Validations } from 'aws-cdk-lib'
import { Rule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import { Alias } from 'aws-cdk-lib/aws-kms'
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions'
import { Queue } from 'aws-cdk-lib/aws-sqs'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import { eventSource } from '../../functions/lib/events.ts'
import { functionSeconds } from '../../functions/notify/notify.ts'
import type { FleetFile } from '../fleet.ts'
import { eventBus } from './allow-events.ts'
import { HandlerFunction } from './handler-function.ts'
import type { Ledger } from './ledger.ts'

export interface NotificationsProps extends FleetFile {
  readonly ledger: Ledger
  /** Its end is the end of a push. */
  readonly fleetMachine: StateMachine
  readonly guardedUnlock: StateMachine
}

/**
 * Who is told what happens: a topic, and what the fleet names besides. One function hears Lockstep's own events. What it
 * cannot tell, also when it is tried again, is kept in a queue.
 */
export class Notifications extends Construct {
  readonly topic: Topic
  /** Events that were not told. */
  readonly lost: Queue

  constructor(scope: Construct, id: string, props: NotificationsProps) {
    super(scope, id)
    const { fleet, written, ledger, fleetMachine, guardedUnlock } = props
    const { emails, slack, github } = fleet.notifications
    this.topic = new Topic(this, 'Topic', {
      displayName: 'Lockstep',
      enforceSSL: true,
      masterKey: Alias.fromAliasName(this, 'Key', 'alias/aws/sns'),
    })
    for (const email of emails) this.topic.addSubscription(new EmailSubscription(email))
    this.lost = new Queue(this, 'Lost', { enforceSSL: true, retentionPeriod: Duration.days(14) })
    Validations.of(this.lost).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'It is a dead-letter queue itself: of the rules, and of the function.',
    })
    const secrets = Object.entries({ SLACK_SECRET: slack?.secret, GITHUB_SECRET: github?.secret }).flatMap(
      ([name, secret]) => (secret === undefined ? [] : [[name, secret] as const]),
    )
    const notify = new HandlerFunction(this, 'Notify', {
      handler: 'notify',
      description: 'Lockstep: tells people what happens',
      timeout: Duration.seconds(functionSeconds),
      memorySize: 256,
      environment: {
        ...{ ...ledger.environment, EVENT_BUS: eventBus, NOTIFICATION_TOPIC_ARN: this.topic.topicArn },
        UNLOCK_EXECUTIONS: executionsOf(guardedUnlock),
        ...Object.fromEntries(secrets),
      },
      bundled: { LOCKSTEP_FLEET: written },
    })
    ledger.grant(notify, 'notices')
    notify.allow(['sns:Publish'], [this.topic.topicArn])
    for (const [, secret] of secrets) notify.allow(['secretsmanager:GetSecretValue'], [this.secretArn(secret)])
    this.rules(notify, fleetMachine)
    new CfnOutput(this, 'TopicArn', { value: this.topic.topicArn, description: 'Where Lockstep tells what happens' })
  }

  /** Lambda tries twice again, after one minute and after two more. */
  private rules(notify: HandlerFunction, fleetMachine: StateMachine): void {
    const deadLetterQueue = this.lost
    notify.function.configureAsyncInvoke({
      ...{ retryAttempts: 2, maxEventAge: Duration.hours(6), onFailure: new SqsDestination(deadLetterQueue) },
    })
    new Rule(this, 'Events', {
      description: 'Lockstep: tells people what happens',
      eventPattern: { source: [eventSource] },
      targets: [new LambdaFunction(notify.function, { deadLetterQueue })],
    })
    new Rule(this, 'PushEnds', {
      description: 'Lockstep: a push is through',
      eventPattern: {
        source: ['aws.states'],
        detailType: ['Step Functions Execution Status Change'],
        detail: {
          stateMachineArn: [fleetMachine.stateMachineArn],
          status: ['SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT'],
        },
      },
      targets: [new LambdaFunction(notify.function, { deadLetterQueue })],
    })
  }

  /** Of a name the ARN has six more characters that nobody knows: each of them is one question mark. */
  private secretArn(secret: string): string {
    if (secret.startsWith('arn:')) return secret
    const resourceName = `${secret}-??????`
    const arnFormat = ArnFormat.COLON_RESOURCE_NAME
    return Stack.of(this).formatArn({ service: 'secretsmanager', resource: 'secret', resourceName, arnFormat })
  }
}

/** ARN of a state machine's executions, up to their names. */
function executionsOf(machine: StateMachine): string {
  return Stack.of(machine).formatArn({
    ...{ service: 'states', resource: 'execution', resourceName: `${machine.stateMachineName}:` },
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  })
}
