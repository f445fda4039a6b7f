import { CfnOutput, Duration, Validations } from 'aws-cdk-lib'
import { type HttpApi, HttpMethod } from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import { Alias } from 'aws-cdk-lib/aws-kms'
import { SubscriptionFilter, Topic } from 'aws-cdk-lib/aws-sns'
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions'
import { Construct } from 'constructs'
import type { FleetFile } from '../fleet.ts'
import { allowEvents, eventBus } from './allow-events.ts'
import { HandlerFunction } from './handler-function.ts'
import type { Ledger } from './ledger.ts'
import { signingSecret } from './signing-secret.ts'
import type { Steps } from './steps.ts'
import { machineArn } from './workflow.ts'

export interface ApprovalsProps extends FleetFile {
  readonly ledger: Ledger
  readonly steps: Steps
  readonly api: HttpApi
}

/**
 * How people agree to unlocks, plans and waves: a topic that sends each of them a link, the secret that links are signed with, and the
 * page behind them.
 */
export class Approvals extends Construct {
  constructor(scope: Construct, id: string, { fleet, written, ledger, steps, api }: ApprovalsProps) {
    super(scope, id)
    const { 'unlock-ask': unlockAsk, 'plan-ask': planAsk, 'wave-ask': waveAsk, 'unlock-act': act } = steps.functions
    const asking = [unlockAsk, planAsk, waveAsk]
    const secret = signingSecret(this, {
      of: 'that links to approvals are signed with',
      unrotated:
        'Links that were sent have to stay good: the old secret becomes "previous", which only a person can decide.',
    })
    const topic = this.topic(fleet)
    const page = new HandlerFunction(this, 'Page', {
      handler: 'approve',
      description: 'Lockstep: the page on which people approve unlocks, plans and waves',
      timeout: Duration.seconds(20),
      // Memory is also CPU, and a person waits for this one.
      memorySize: 512,
      environment: { ...ledger.environment, EVENT_BUS: eventBus, APPROVAL_SECRET_ARN: secret.secretArn },
      bundled: { LOCKSTEP_FLEET: written },
    })
    ledger.grant(page, 'decisions')
    allowEvents(page)
    const [route] = api.addRoutes({
      path: '/approve/{token}',
      methods: [HttpMethod.ANY],
      integration: new HttpLambdaIntegration('Integration', page.function),
    })
    if (route)
      Validations.of(route).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason:
          'The last part of the address is signed, and for one person; the function checks it before anything else.',
      })

    for (const [name, value] of Object.entries({
      APPROVAL_TOPIC_ARN: topic.topicArn,
      APPROVAL_SECRET_ARN: secret.secretArn,
      APPROVAL_URL: `${api.apiEndpoint}/approve/`,
    }))
      for (const ask of asking) ask.function.addEnvironment(name, value)
    for (const ask of asking) ask.allow(['sns:Publish'], [topic.topicArn])
    for (const signs of [...asking, page]) signs.allow(['secretsmanager:GetSecretValue'], [secret.secretArn])
    // By its name: the state machine itself comes after the functions that it invokes.
    const unlocks = [machineArn(this, 'guarded-unlock')]
    const answer = ['states:SendTaskFailure', 'states:SendTaskSuccess']
    unlockAsk.allow(answer, unlocks)
    planAsk.allow(['states:SendTaskSuccess'], [machineArn(this, 'rollout')])
    waveAsk.allow(answer, [machineArn(this, 'fleet')])
    page.allow(answer, [...unlocks, machineArn(this, 'rollout'), machineArn(this, 'fleet')])
    act.allow(['states:SendTaskHeartbeat'], unlocks)
    act.allow(answer, [...unlocks, machineArn(this, 'fleet')])

    new CfnOutput(this, 'TopicArn', { value: topic.topicArn, description: 'Where approvers get their links from' })
  }

  /** Each person gets the links that are meant for them, and no others. */
  private topic({ locks, plans, waves }: ApprovalsProps['fleet']): Topic {
    const topic = new Topic(this, 'Topic', {
      displayName: 'Lockstep',
      enforceSSL: true,
      masterKey: Alias.fromAliasName(this, 'Key', 'alias/aws/sns'),
    })
    const people = [locks, plans, waves].flatMap(({ approvers }) => approvers)
    const mailboxes = new Map(people.flatMap(({ name, email }) => (email === undefined ? [] : [[name, email]])))
    for (const [name, email] of mailboxes) {
      const filterPolicy = { approver: SubscriptionFilter.stringFilter({ allowlist: [name] }) }
      topic.addSubscription(new EmailSubscription(email, { filterPolicy }))
    }
    return topic
  }
}
