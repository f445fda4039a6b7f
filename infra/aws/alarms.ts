import { CfnOutput, Duration, Stack, Validations } from 'aws-cdk-lib'
import type { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2'
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import { Operation, type Table } from 'aws-cdk-lib/aws-dynamodb'
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { type ITopic, Topic } from 'aws-cdk-lib/aws-sns'
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions'
import type { Queue } from 'aws-cdk-lib/aws-sqs'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'

/** Something that a schedule starts. */
export interface Scheduled {
  /** `scan for locks`. */
  readonly what: string
  /** Each in its runs, which start that often, in milliseconds. */
  readonly every: number
  readonly machine: StateMachine
}

export interface AlarmsProps {
  readonly api: HttpApi
  readonly ledger: Table
  /** `rollout` of Workflow. */
  readonly rollout: StateMachine
  /** All of them. */
  readonly machines: readonly StateMachine[]
  readonly schedules: readonly Scheduled[]
  /** What nobody could deliver, by what it is: `the end of an unlock`. */
  readonly lost: Readonly<Record<string, Queue>>
  /** Where an alarm, and its end, is told. Default: a topic of its own. */
  readonly topic?: ITopic
  /** Who is subscribed to a topic of its own. */
  readonly emails?: readonly string[]
}

/** Where the section of a runbook is, whose heading is the alarm's name. */
const runbook = 'docs/runbooks/alarms.md'

/** How long a stale lock may be there before somebody has to look: policy and approvals have had their time by then. */
const staleFor = Duration.hours(1)

interface Condition {
  /** In the console, and the heading in the runbook: `A rollout has failed`. */
  readonly name: string
  /** What to do first, as a sentence. */
  readonly next: string
  readonly metric: IMetric
  /** From which value on. */
  readonly atLeast: number
  /** Of how many periods in a row; default 1. */
  readonly periods?: number
  /** That no figure comes is what is wrong. Default: nothing is wrong then. */
  readonly missingIsBad?: true
  /** Below, and not from it on. */
  readonly below?: true
}

const fiveMinutes = Duration.minutes(5)

/** What a person has to act on, and no more. Each alarm says what to do first, and where the rest is written. */
export class Alarms extends Construct {
  readonly alarms: readonly Alarm[]

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id)
    const topic = props.topic ?? this.ownTopic(props.emails ?? [])
    topic.addToResourcePolicy(mayTell(Stack.of(this), topic))
    this.alarms = conditionsOf(props).map((condition) => {
      const alarm = this.alarm(condition)
      alarm.addAlarmAction(new SnsAction(topic))
      alarm.addOkAction(new SnsAction(topic))
      return alarm
    })
  }

  private ownTopic(emails: readonly string[]): Topic {
    const topic = new Topic(this, 'Topic', { displayName: 'Lockstep alarms', enforceSSL: true })
    const reason =
      'CloudWatch cannot tell a topic that is encrypted with the key of AWS. Alarms hold names and numbers; "encryption": "customer-key" encrypts them.'
    const rules = ['AwsSolutions-SNS2', 'NIST.800.53.R5-SNSEncryptedKMS']
    Validations.of(topic).acknowledge(...rules.map((id) => ({ id, reason })))
    for (const email of emails) topic.addSubscription(new EmailSubscription(email))
    new CfnOutput(this, 'TopicArn', { value: topic.topicArn, description: 'Subscribe to it to hear of alarms' })
    return topic
  }

  private alarm({ name, next, metric, atLeast, periods = 1, missingIsBad, below }: Condition): Alarm {
    return new Alarm(this, name.replace(/[^A-Za-z]+/g, ''), {
      alarmDescription: `${name}. ${next} ${runbook}#${anchorOf(name)}`,
      metric,
      threshold: atLeast,
      comparisonOperator: below
        ? ComparisonOperator.LESS_THAN_THRESHOLD
        : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: periods,
      treatMissingData: missingIsBad ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
    })
  }
}

/** A topic with a policy of its own lets nobody else in. */
function mayTell({ account }: Stack, topic: ITopic): PolicyStatement {
  return new PolicyStatement({
    ...{ sid: 'Alarms', principals: [new ServicePrincipal('cloudwatch.amazonaws.com')] },
    ...{ actions: ['sns:Publish'], resources: [topic.topicArn] },
    conditions: { StringEquals: { 'aws:SourceAccount': account } },
  })
}

/** As GitHub makes it of a heading. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-')
}

/** A metric of functions/lib/powertools-metrics.ts, of the fleet as a whole. */
export function fleetMetric(metricName: string, statistic: string, period = fiveMinutes): Metric {
  return new Metric({ namespace: 'Lockstep', metricName, dimensionsMap: { service: 'lockstep' }, statistic, period })
}

/**
 * All of one kind; `of` at most ten, which is what an alarm can add up. Where one of them has no figure, as nothing of its kind has
 * ever happened, it counts as 0: a sum has figures only where all of its parts have some. FILL is explained at
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
 */
function sumOf(of: readonly IMetric[]): MathExpression {
  const usingMetrics = Object.fromEntries(of.map((metric, at) => [`m${at}`, metric]))
  const expression = Object.keys(usingMetrics)
    .map((name) => `FILL(${name}, 0)`)
    .join(' + ')
  return new MathExpression({ expression, usingMetrics, period: fiveMinutes, label: 'sum' })
}

function conditionsOf({ api, ledger, rollout, machines, schedules, lost }: AlarmsProps): Condition[] {
  const ofRollouts = [rollout.metricFailed(), rollout.metricTimedOut(), rollout.metricAborted()]
  const operations = [Operation.GET_ITEM, Operation.PUT_ITEM, Operation.QUERY]
  return [
    {
      name: 'A rollout has failed',
      next: 'Open the failed execution of the state machine rollout: its report names the object and why.',
      metric: sumOf(ofRollouts.map((metric) => metric.with({ period: fiveMinutes, statistic: Stats.SUM }))),
      atLeast: 1,
    },
    {
      name: 'A lock has been stale for long',
      next: 'Look for who has to agree, or why the unlock was refused: the latest execution of guarded-unlock says it.',
      metric: fleetMetric('OldestStaleLockAge', Stats.MAXIMUM),
      atLeast: staleFor.toSeconds(),
      periods: 3,
    },
    {
      name: 'Something is not put back',
      next: 'Read the annotation lockstep.dev/unlock on the Deployment of tofu-controller, and the last error of the function unlock-watch.',
      metric: fleetMetric('RestorePending', Stats.MAXIMUM),
      atLeast: 1,
      periods: 3,
    },
    {
      name: 'Locks cannot be read',
      next: 'Read the output of the latest execution of lock-scan, which names the store or cluster: locks there are unknown, and none is unlocked.',
      metric: fleetMetric('UnreadableStores', Stats.MAXIMUM),
      atLeast: 1,
      periods: 6,
    },
    {
      name: 'An event was not told',
      next: 'Look into the log of the function that the alarm’s metric names by type; what has happened is in the ledger all the same.',
      metric: fleetMetric('EventsUntold', Stats.SUM),
      atLeast: 1,
    },
    {
      name: 'The webhook answers with errors',
      next: 'Look into the log of the function webhook, then have GitHub send the failed deliveries again: it does not by itself.',
      metric: api.metricServerError({ period: fiveMinutes, statistic: Stats.SUM }),
      atLeast: 1,
    },
    ...schedules.map(({ what, every, machine }) => ({
      name: `No ${what} begins`,
      next: 'Look at the schedule in EventBridge Scheduler: whether it is enabled, and its role may start the state machine.',
      metric: machine.metricStarted({ period: wholeMinutes(every), statistic: Stats.SUM }),
      ...({ atLeast: 1, below: true, missingIsBad: true, periods: 3 } as const),
    })),
    // One that fails now and then is made up for by the next.
    ...schedules.map(({ what, every, machine }) => ({
      name: `A ${what} fails`,
      next: 'Open the latest execution that failed: its input or its error names the cluster, and its error the reason.',
      metric: machine.metricFailed({ period: wholeMinutes(every), statistic: Stats.SUM }),
      ...{ atLeast: 1, periods: 3 },
    })),
    {
      name: 'Functions are throttled',
      next: 'Raise the quota of concurrent executions of this account and region: all functions share it, other ones too.',
      // Without a dimension: Lambda counts what it refuses for the account.
      metric: new Metric({
        namespace: 'AWS/Lambda',
        metricName: 'Throttles',
        statistic: Stats.SUM,
        period: fiveMinutes,
      }),
      ...{ atLeast: 1, periods: 3 },
    },
    {
      name: 'State machines are throttled',
      next: 'Raise the quota of state transitions of this account and region; executions go on, later.',
      metric: sumOf(machines.map((machine) => machine.metricThrottled({ period: fiveMinutes, statistic: Stats.SUM }))),
      ...{ atLeast: 1, periods: 3 },
    },
    {
      name: 'The ledger is throttled',
      next: 'Look at the table’s consumed capacity: an on-demand table takes twice what it has ever had, at once.',
      metric: sumOf(
        operations.map((operation) =>
          ledger.metricThrottledRequestsForOperation(operation, { period: fiveMinutes, statistic: Stats.SUM }),
        ),
      ),
      ...{ atLeast: 1, periods: 3 },
    },
    ...Object.entries(lost).map(([what, queue]) => ({
      name: `Nobody could deliver ${what}`,
      next: 'Read the message in the queue: it holds the event and the error. Put it back as the runbook says, then delete it.',
      metric: queue.metricApproximateNumberOfMessagesVisible({ period: fiveMinutes, statistic: Stats.MAXIMUM }),
      atLeast: 1,
    })),
  ]
}

/** Two of its runs at least, and as many minutes as CloudWatch takes. */
function wholeMinutes(every: number): Duration {
  return Duration.minutes(Math.max(5, Math.ceil((2 * every) / 60_000)))
}
