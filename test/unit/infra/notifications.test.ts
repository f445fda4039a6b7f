import { App, Stack } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { DefinitionBody, Pass, StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { describe, expect, test } from 'vitest'
import { eventSource } from '../../../functions/lib/events.ts'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { Ledger } from '../../../infra/aws/ledger.ts'
import { Notifications } from '../../../infra/aws/notifications.ts'

const arn = 'arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:github-AbCdEf'

function templateOf(notifications: object): Template {
  const written = {
    repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
    clusters: [{ name: 'staging', eks: 'staging', region: 'us-gov-west-1', environment: 'staging' }],
    notifications,
  }
  const stack = new Stack(new App({ context: { 'aws:cdk:bundling-stacks': [] } }), 'Stack')
  const machine = (id: string) =>
    new StateMachine(stack, id, { definitionBody: DefinitionBody.fromChainable(new Pass(stack, `${id}Pass`)) })
  new Notifications(stack, 'Notifications', {
    ...{ written, fleet: parseFleet(written), ledger: new Ledger(stack, 'Ledger') },
    ...{ fleetMachine: machine('Fleet'), guardedUnlock: machine('GuardedUnlock') },
  })
  return Template.fromStack(stack)
}

const all = templateOf({ emails: ['ana@example.com'], slack: { secret: 'lockstep/slack' }, github: { secret: arn } })

describe('notifications on AWS', () => {
  test('go to a topic, to which mails subscribe', () => {
    all.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'ana@example.com' })
    templateOf({}).resourceCountIs('AWS::SNS::Topic', 1)
    templateOf({}).resourceCountIs('AWS::SNS::Subscription', 0)
  })

  test('come of every event of Lockstep, and of the end of every push', () => {
    all.hasResourceProperties('AWS::Events::Rule', { EventPattern: { source: [eventSource] } })
    all.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['aws.states'],
        detail: {
          stateMachineArn: [{ Ref: Match.stringLikeRegexp('^Fleet') }],
          status: ['SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT'],
        },
      },
    })
  })

  test('that fail are tried twice again, and kept in a queue, whoever has failed', () => {
    const queue = { 'Fn::GetAtt': [Match.stringLikeRegexp('^NotificationsLost'), 'Arn'] }
    all.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
      ...{ MaximumRetryAttempts: 2, DestinationConfig: { OnFailure: { Destination: queue } } },
    })
    for (const rule of Object.values(all.findResources('AWS::Events::Rule')))
      expect(rule.Properties.Targets[0].DeadLetterConfig.Arn['Fn::GetAtt'][0]).toMatch(/^NotificationsLost/)
  })

  test('may read exactly the secrets that the fleet names', () => {
    const statementsOf = (template: Template) =>
      Object.values(template.findResources('AWS::IAM::Policy'))
        .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
        .filter(({ Action }) => Action === 'secretsmanager:GetSecretValue')
        .map(({ Resource }) => JSON.stringify(Resource))
    expect(statementsOf(all)).toEqual([expect.stringContaining(':secret:lockstep/slack-??????"'), JSON.stringify(arn)])
    expect(statementsOf(templateOf({}))).toEqual([])
  })

  test('know what their function has to know', () => {
    const variables = (template: Template) =>
      Object.values(
        template.findResources('AWS::Lambda::Function', {
          Properties: { Description: Match.stringLikeRegexp('tells people') },
        }),
      )
        .flatMap(({ Properties }) => Object.keys(Properties.Environment.Variables))
        .sort()
    const always = [
      'AUDIT_TABLE',
      'EVENT_BUS',
      'LEDGER_TABLE',
      'NODE_OPTIONS',
      'NOTIFICATION_TOPIC_ARN',
      'UNLOCK_EXECUTIONS',
    ]
    expect(variables(templateOf({}))).toEqual(always)
    expect(variables(all)).toEqual([...always, 'GITHUB_SECRET', 'SLACK_SECRET'].sort())
  })
})
