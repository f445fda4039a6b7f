import { Rule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { HandlerFunction } from './handler-function.ts'

/**
 * A rollout that was stopped, timed out or failed could not clean up after itself: what it held and claimed is put
 * back by the function `restore`, which gets the event as it is.
 */
export class RestoreRule extends Construct {
  constructor(scope: Construct, id: string, rollout: StateMachine, restore: HandlerFunction) {
    super(scope, id)
    new Rule(this, 'Rule', {
      description: 'Lockstep: a rollout ended without cleaning up',
      eventPattern: {
        source: ['aws.states'],
        detailType: ['Step Functions Execution Status Change'],
        detail: { stateMachineArn: [rollout.stateMachineArn], status: ['ABORTED', 'FAILED', 'TIMED_OUT'] },
      },
      targets: [new LambdaFunction(restore.function)],
    })
  }
}
