import { Duration } from 'aws-cdk-lib'
import { Schedule, ScheduleExpression, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler'
import { StepFunctionsStartExecution } from 'aws-cdk-lib/aws-scheduler-targets'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { Fleet } from '../../functions/lib/fleet.ts'

/** Starts the scan for locks as often as the fleet says. One that is late is left out: the next one is near. */
export class LockSchedule extends Construct {
  constructor(scope: Construct, id: string, { clusters, locks }: Fleet, lockScan: StateMachine) {
    super(scope, id)
    new Schedule(this, 'Schedule', {
      description: 'Lockstep: looks for state locks whose holder is dead',
      schedule: ScheduleExpression.rate(Duration.millis(locks.every)),
      target: new StepFunctionsStartExecution(lockScan, {
        input: ScheduleTargetInput.fromObject({ clusters: clusters.map(({ name }) => name) }),
        maxEventAge: Duration.minutes(1),
        retryAttempts: 1,
      }),
    })
  }
}
