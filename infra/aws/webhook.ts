import { CfnOutput, Duration, RemovalPolicy, Validations } from 'aws-cdk-lib'
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway'
import { HttpApi, HttpMethod, HttpStage, LogGroupLogDestination } from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { Fleet } from '../../functions/lib/fleet.ts'
import { HandlerFunction } from './handler-function.ts'
import { signingSecret } from './signing-secret.ts'

export interface WebhookProps {
  readonly fleet: Fleet
  readonly fleetStateMachine: StateMachine
}

/** `POST /webhook` for GitHub: an HTTP API, its function, and the secret that GitHub signs with. */
export class Webhook extends Construct {
  readonly handler: HandlerFunction
  /** Others may add routes to it. */
  readonly api: HttpApi

  constructor(scope: Construct, id: string, { fleet, fleetStateMachine }: WebhookProps) {
    super(scope, id)
    const secret = signingSecret(this, {
      of: 'of the GitHub webhook',
      unrotated:
        'GitHub must learn the new secret at the same time, by hand. Two secrets are good during the rotation.',
    })

    this.handler = new HandlerFunction(this, 'Handler', {
      handler: 'webhook',
      description: 'Lockstep: takes pushes from GitHub',
      // GitHub waits 10 s for an answer.
      timeout: Duration.seconds(10),
      // Memory is also CPU, and GitHub and a person wait for this one.
      memorySize: 512,
      environment: {
        WEBHOOK_SECRET_ARN: secret.secretArn,
        FLEET_STATE_MACHINE_ARN: fleetStateMachine.stateMachineArn,
      },
      bundled: { LOCKSTEP_REPOSITORIES: fleet.repositories },
    })
    this.handler.allow(['secretsmanager:GetSecretValue'], [secret.secretArn])
    this.handler.allow(['states:StartExecution'], [fleetStateMachine.stateMachineArn])

    this.api = new HttpApi(this, 'Api', {
      apiName: 'Lockstep',
      description: 'Lockstep: GitHub webhook, and the page for approvals',
      createDefaultStage: false,
    })
    const [route] = this.api.addRoutes({
      path: '/webhook',
      methods: [HttpMethod.POST],
      integration: new HttpLambdaIntegration('Integration', this.handler.function),
    })
    if (route)
      Validations.of(route).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason: 'GitHub signs its deliveries; the function checks the signature before anything else.',
      })
    const stage = this.stage(this.api)

    new CfnOutput(this, 'Url', { value: `${stage.url}webhook`, description: 'Payload URL of the GitHub webhook' })
    new CfnOutput(this, 'SecretArn', { value: secret.secretArn, description: 'Secret of the GitHub webhook' })
  }

  /** Pushes come one at a time, and people click; what is more than a busy organization sends is neither. */
  private stage(api: HttpApi): HttpStage {
    const logs = new LogGroup(this, 'AccessLogs', {
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    return new HttpStage(this, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      detailedMetricsEnabled: true,
      throttle: { rateLimit: 20, burstLimit: 40 },
      accessLogSettings: {
        destination: new LogGroupLogDestination(logs),
        // Neither headers nor bodies: the one carries the signature, the other is not ours to keep.
        format: AccessLogFormat.custom(
          JSON.stringify({
            requestId: '$context.requestId',
            time: '$context.requestTime',
            ip: '$context.identity.sourceIp',
            route: '$context.routeKey',
            status: '$context.status',
            bytes: '$context.responseLength',
            latency: '$context.responseLatency',
            error: '$context.error.message',
            integrationError: '$context.integrationErrorMessage',
          }),
        ),
      },
    })
  }
}
