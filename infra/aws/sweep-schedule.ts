import { Duration, NestedStack, Validations } from 'aws-cdk-lib'
import { Schedule, ScheduleExpression, ScheduleTargetInput, TimeWindow } from 'aws-cdk-lib/aws-scheduler'
import { StepFunctionsStartExecution } from 'aws-cdk-lib/aws-scheduler-targets'
import { Queue } from 'aws-cdk-lib/aws-sqs'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { Fleet } from '../../functions/lib/fleet.ts'
import { stableParts } from './stable-parts.ts'

/** At most, in milliseconds: whoever waits for a sweep waits for that long in addition. */
const longestWindowMs = 15 * 60_000

/**
 * A stack holds 500 resources, and each of these has the schedules' role and its policy besides.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
 */
export const schedulesPerStack = 450

/**
 * Has every cluster swept as often as the fleet says, each at a time of its own within a window, so that a large fleet does
 * not sweep all at once. One that could not be started is kept for a person; the next one comes anyway.
 *
 * Schedules are in nested stacks: the main stack has no room for one for each of hundreds of clusters, and a part that is no longer
 * needed goes away with the next deployment, with its schedules.
 */
export class SweepSchedule extends Construct {
  /** What could not be started. */
  readonly lost: Queue
  readonly parts: readonly NestedStack[]

  constructor(scope: Construct, id: string, { clusters, sweep: { every } }: Fleet, sweep: StateMachine) {
    super(scope, id)
    this.lost = new Queue(this, 'Lost', { enforceSSL: true, retentionPeriod: Duration.days(14) })
    Validations.of(this.lost).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'It is a dead-letter queue itself: of the schedules.',
    })
    this.parts = stableParts(clusters, ({ name }) => name, schedulesPerStack).flatMap((part, at) => {
      if (part.length === 0) return []
      const stack = new NestedStack(this, `Part${at + 1}`, { description: 'Lockstep: when clusters are swept' })
      for (const { name } of part) {
        new Schedule(stack, name, {
          description: `Lockstep: looks ${name} through for what no event told of`,
          schedule: ScheduleExpression.rate(Duration.millis(every)),
          timeWindow: TimeWindow.flexible(Duration.millis(Math.min(every, longestWindowMs))),
          target: new StepFunctionsStartExecution(sweep, {
            input: ScheduleTargetInput.fromObject({ cluster: name }),
            deadLetterQueue: this.lost,
            maxEventAge: Duration.minutes(15),
            retryAttempts: 3,
          }),
        })
      }
      return stack
    })
  }
}
