import { readFileSync } from 'node:fs'
import { ArnFormat, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import {
  type CfnStateMachine,
  DefinitionBody,
  LogLevel,
  StateMachine,
  StateMachineType,
} from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import { acknowledgeWildcard } from './acknowledge-wildcard.ts'
import type { Steps } from './steps.ts'
import type { WaveFiles } from './wave-files.ts'

export interface WorkflowProps {
  readonly steps: Steps
  readonly waveFiles: WaveFiles
}

/**
 * The state machines of statemachines/*.asl.json: `fleet` runs one `rollout` for each cluster and waits for it;
 * `lock-scan` looks for locks, and starts a `guarded-unlock` for each that is to be unlocked.
 */
export class Workflow extends Construct {
  readonly rollout: StateMachine
  readonly fleet: StateMachine
  readonly lockScan: StateMachine
  readonly guardedUnlock: StateMachine

  constructor(scope: Construct, id: string, { steps, waveFiles }: WorkflowProps) {
    super(scope, id)
    this.rollout = this.machine('rollout', steps, {})
    this.fleet = this.machine('fleet', steps, {
      RolloutStateMachine: this.rollout.stateMachineArn,
      WavesBucket: waveFiles.bucket.bucketName,
    })
    this.allowNested(this.fleet, this.rollout)
    this.allowItself(this.fleet, 'fleet')
    waveFiles.grantMap(this.fleet)
    this.guardedUnlock = this.machine('guarded-unlock', steps, {})
    this.lockScan = this.machine('lock-scan', steps, { GuardedUnlockStateMachine: this.guardedUnlock.stateMachineArn })
    const resources = [this.guardedUnlock.stateMachineArn]
    this.lockScan.addToRolePolicy(new PolicyStatement({ actions: ['states:StartExecution'], resources }))
  }

  private machine(name: string, steps: Steps, others: Readonly<Record<string, string>>): StateMachine {
    // fromString keeps the definition readable in the template; fromFile would hide it in an asset.
    const definition = readFileSync(`statemachines/${name}.asl.json`, 'utf8')
    const used = Object.fromEntries(
      Object.entries({ ...steps.substitutions(), ...others }).filter(([key]) => definition.includes(`\${${key}}`)),
    )
    const machine = new StateMachine(this, name, {
      stateMachineName: nameOf(this, name),
      definitionBody: DefinitionBody.fromString(definition),
      definitionSubstitutions: used,
      stateMachineType: StateMachineType.STANDARD,
      tracingEnabled: true,
      logs: {
        destination: new LogGroup(this, `${name}-logs`, {
          // Below this prefix, AWS needs no entry of its own in the account's one policy for log deliveries.
          logGroupName: `/aws/vendedlogs/states/${nameOf(this, name)}`,
          retention: RetentionDays.THREE_MONTHS,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
        level: LogLevel.ALL,
        includeExecutionData: false,
      },
    })
    if (/"(?:Timeout|Heartbeat)Seconds": "\{%/.test(definition)) {
      // JSONata may give a time limit, and cfn-lint takes a number for the only thing that may. Our own tests lint the file.
      const resource = machine.node.defaultChild as CfnStateMachine
      resource.addMetadata('cfn-lint', { config: { ignore_checks: ['E3601'] } })
    }
    const invoked = Object.values(steps.functions)
      .map((each) => each.function.functionArn)
      .filter((arn) => Object.values(used).includes(arn))
    machine.addToRolePolicy(new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: invoked }))
    Validations.of(machine).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'The actions of CloudWatch log deliveries and of X-Ray have no resource level.',
    })
    return machine
  }

  /** What `states:startExecution.sync:2` needs: to start, to hear of the end through a managed rule, and to stop. */
  private allowNested(outer: StateMachine, inner: StateMachine): void {
    const rule = Stack.of(this).formatArn({
      service: 'events',
      resource: 'rule',
      resourceName: 'StepFunctionsGetEventsForStepFunctionsExecutionRule',
    })
    const allow = (actions: string[], resources: string[]) =>
      outer.addToRolePolicy(new PolicyStatement({ actions, resources }))
    allow(['states:StartExecution'], [inner.stateMachineArn])
    this.allowExecutions(outer, 'rollout')
    allow(['events:PutTargets', 'events:PutRule', 'events:DescribeRule'], [rule])
  }

  /**
   * A distributed Map starts executions of its own machine.
   * https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
   */
  private allowItself(machine: StateMachine, name: string): void {
    const resources = [machineArn(this, name)]
    machine.addToRolePolicy(new PolicyStatement({ actions: ['states:StartExecution'], resources }))
    this.allowExecutions(machine, name)
  }

  /** To see and to stop the executions of the state machine `name`. */
  private allowExecutions(machine: StateMachine, name: string): void {
    const stack = Stack.of(this)
    const executions = stack.formatArn({
      ...{ service: 'states', resource: 'execution', resourceName: `${nameOf(this, name)}:*` },
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    })
    const actions = ['states:DescribeExecution', 'states:StopExecution']
    machine.addToRolePolicy(new PolicyStatement({ actions, resources: [executions] }))
    acknowledgeWildcard(
      machine,
      [executions],
      'The executions of one state machine: their names are not known before they start.',
    )
  }
}

/** Of one of these state machines, for whom it cannot be there yet. */
export function machineArn(scope: Construct, machine: string): string {
  return Stack.of(scope).formatArn({
    ...{ service: 'states', resource: 'stateMachine', resourceName: nameOf(scope, machine) },
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  })
}

/** People look for a rollout by this name in the AWS console. */
const nameOf = (scope: Construct, machine: string) => `${Stack.of(scope).stackName}-${machine}`
