import { readFileSync } from 'node:fs'
import { App, Stack } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { DefinitionBody, StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { describe, expect, it } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { Alarms, anchorOf } from '../../../infra/aws/alarms.ts'
import { Ledger } from '../../../infra/aws/ledger.ts'
import { LockstepStack } from '../../../infra/aws/lockstep-stack.ts'
import { addRulePacks } from '../../../infra/aws/rule-packs.ts'

function templateOf(more: object = {}): Template {
  const { context } = JSON.parse(readFileSync('cdk.json', 'utf8'))
  const written = { ...context.lockstep, ...more }
  const app = new App({ context: { ...context, 'aws:cdk:bundling-stacks': [] } })
  addRulePacks(app)
  return Template.fromStack(new LockstepStack(app, 'Lockstep', { written, fleet: parseFleet(written) }))
}

const usual = templateOf()
const alarms = Object.values(usual.findResources('AWS::CloudWatch::Alarm')).map(({ Properties }) => Properties)
const described = (name: string) => {
  const found = alarms.find(({ AlarmDescription }) => AlarmDescription.startsWith(`${name}. `))
  expect(found, name).toBeDefined()
  return found ?? {}
}

describe('alarms', () => {
  const runbook = readFileSync('docs/runbooks/alarms.md', 'utf8')
  const headings = [...runbook.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading ?? '')

  it('each say what to do first, and link to a section that is there', () => {
    expect(alarms.length).toBeGreaterThanOrEqual(12)
    for (const { AlarmDescription } of alarms) {
      const [, name, next, link] = /^(.+?)\. (.+[.]) docs\/runbooks\/alarms\.md#(\S+)$/.exec(AlarmDescription) ?? []
      expect(headings).toContain(name)
      expect(anchorOf(name ?? '')).toBe(link)
      expect(next?.length).toBeGreaterThan(20)
      // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
      expect(AlarmDescription.length).toBeLessThanOrEqual(1_024)
    }
  })

  it('are not held back by figures that do not come, but for the one that they are about', () => {
    const missingIsBad = alarms.filter(({ TreatMissingData }) => TreatMissingData === 'breaching')
    for (const { AlarmDescription } of missingIsBad) expect(AlarmDescription).toMatch(/^No .* begins\./)
    expect(missingIsBad.length).toBeGreaterThan(0)
    for (const { TreatMissingData } of alarms) expect(['breaching', 'notBreaching']).toContain(TreatMissingData)
  })

  it('add up what has figures and what has none, at most ten of them', () => {
    const sums = alarms.flatMap(({ Metrics = [] }) => Metrics).filter(({ Expression }) => Expression !== undefined)
    expect(sums).toHaveLength(3)
    for (const { Expression } of sums) expect(Expression).toMatch(/^FILL\(m0, 0\)( \+ FILL\(m[1-9], 0\))+$/)
  })

  it('tell of a rollout that failed, timed out or was aborted', () => {
    const { Metrics, Threshold, EvaluationPeriods } = described('A rollout has failed')
    const names = Metrics.flatMap(({ MetricStat }: { MetricStat?: { Metric: { MetricName: string } } }) =>
      MetricStat ? [MetricStat.Metric.MetricName] : [],
    )
    expect(names).toEqual(['ExecutionsFailed', 'ExecutionsTimedOut', 'ExecutionsAborted'])
    expect({ Threshold, EvaluationPeriods }).toEqual({ Threshold: 1, EvaluationPeriods: 1 })
    expect(JSON.stringify(Metrics)).toMatch(/"StateMachineArn","Value":\{"Ref":"Workflowrollout/)
  })

  it.each([
    ['A lock has been stale for long', 'OldestStaleLockAge', 3_600],
    ['Something is not put back', 'RestorePending', 1],
    ['Locks cannot be read', 'UnreadableStores', 1],
    ['An event was not told', 'EventsUntold', 1],
  ])('%s: by the fleet’s own metric %s', (name, MetricName, Threshold) => {
    expect(described(name)).toMatchObject({
      ...{ Namespace: 'Lockstep', MetricName, Threshold, Dimensions: [{ Name: 'service', Value: 'lockstep' }] },
      ComparisonOperator: 'GreaterThanOrEqualToThreshold',
    })
    expect(readFileSync('functions/lib/powertools-metrics.ts', 'utf8')).toContain(`${MetricName}: `)
  })

  it('tell of the webhook’s errors, of what could not be delivered, and of a schedule that does not run', () => {
    expect(described('The webhook answers with errors')).toMatchObject({
      ...{ Namespace: 'AWS/ApiGateway', MetricName: '5xx' },
      Dimensions: [{ Name: 'ApiId', Value: { Ref: expect.stringMatching(/^WebhookApi/) } }],
    })
    for (const what of ['the end of a rollout', 'the end of an unlock', 'the start of a sweep'])
      expect(described(`Nobody could deliver ${what}`)).toMatchObject({
        ...{ Namespace: 'AWS/SQS', MetricName: 'ApproximateNumberOfMessagesVisible' },
      })
    expect(described('No scan for locks begins')).toMatchObject({
      ...{ MetricName: 'ExecutionsStarted', ComparisonOperator: 'LessThanThreshold', Threshold: 1 },
      // Twice in each, as it runs every two minutes.
      ...{ Period: 300, EvaluationPeriods: 3, TreatMissingData: 'breaching' },
    })
  })

  it('miss no queue', () => {
    const queues = Object.keys(usual.findResources('AWS::SQS::Queue'))
    for (const queue of queues) expect(JSON.stringify(alarms)).toContain(`{"Fn::GetAtt":["${queue}","QueueName"]}`)
    expect(queues.length).toBeGreaterThanOrEqual(3)
  })

  it('wait longer for a schedule that runs less often', () => {
    const locks = { every: '30m', quietWindow: '1h' }
    templateOf({ locks }).hasResourceProperties('AWS::CloudWatch::Alarm', {
      ...{ MetricName: 'ExecutionsStarted', Period: 3_600, AlarmDescription: Match.stringLikeRegexp('^No scan') },
    })
  })

  it.each([
    ['A scan for locks fails', 'lockscan', 300],
    ['A sweep fails', 'sweep', 1_800],
  ])('%s: where it goes on, since nobody else would tell', (name, machine, Period) => {
    expect(described(name)).toMatchObject({
      ...{ Namespace: 'AWS/States', MetricName: 'ExecutionsFailed', Statistic: 'Sum', Period, EvaluationPeriods: 3 },
      ...{ Threshold: 1, ComparisonOperator: 'GreaterThanOrEqualToThreshold' },
      Dimensions: [{ Name: 'StateMachineArn', Value: { Ref: expect.stringMatching(`^Workflow${machine}`) } }],
    })
  })

  it('tell of throttling, by service', () => {
    expect(described('Functions are throttled')).toMatchObject({ Namespace: 'AWS/Lambda', MetricName: 'Throttles' })
    const machines = Object.keys(usual.findResources('AWS::StepFunctions::StateMachine'))
    const { Metrics } = described('State machines are throttled')
    const throttled = JSON.stringify(Metrics)
    for (const machine of machines) expect(throttled).toContain(`{"Ref":"${machine}"}`)
    expect(JSON.stringify(described('The ledger is throttled').Metrics)).toContain('"ThrottledRequests"')
  })

  it('are told, as is their end, on a topic to subscribe to, which CloudWatch may publish to', () => {
    const topic = { Ref: expect.stringMatching(/^AlarmsTopic/) }
    for (const { AlarmActions, OKActions } of alarms)
      expect({ AlarmActions, OKActions }).toEqual({ AlarmActions: [topic], OKActions: [topic] })
    usual.hasResourceProperties('AWS::SNS::TopicPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            ...{ Effect: 'Allow', Action: 'sns:Publish', Principal: { Service: 'cloudwatch.amazonaws.com' } },
            Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
          }),
        ]),
      },
    })
  })

  it('or on one that is there', () => {
    const stack = new Stack(new App(), 'Test')
    const topic = new Topic(stack, 'Topic')
    const ledger = new Ledger(stack, 'Ledger').table
    const definitionBody = DefinitionBody.fromString('{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}')
    const rollout = new StateMachine(stack, 'Rollout', { definitionBody })
    const api = new HttpApi(stack, 'Api')
    new Alarms(stack, 'Alarms', { ...{ api, ledger, rollout, topic }, machines: [rollout], schedules: [], lost: {} })
    for (const { Properties } of Object.values(Template.fromStack(stack).findResources('AWS::CloudWatch::Alarm')))
      expect(Properties).toMatchObject({
        AlarmActions: [stack.resolve(topic.topicArn)],
        OKActions: [stack.resolve(topic.topicArn)],
      })
  })
})

describe('the dashboard', () => {
  const [dashboard] = Object.values(usual.findResources('AWS::CloudWatch::Dashboard'))
  const body = JSON.stringify(dashboard?.Properties.DashboardBody)

  it('shows every alarm first, then each part', () => {
    for (const alarm of Object.keys(usual.findResources('AWS::CloudWatch::Alarm'))) expect(body).toContain(`"${alarm}"`)
    for (const title of ['Rollouts', 'Unlocks', 'Scans for locks', 'Ledger'])
      expect(body).toContain(`"title\\":\\"${title}`)
  })

  it('names no cluster: it stays as it is when one comes', () => {
    for (const name of ['staging', 'production', 'prod-eks-01']) expect(body).not.toContain(name)
    expect(body).toContain('{Lockstep,service,Cluster}')
  })

  it('is one, which costs nothing', () => usual.resourceCountIs('AWS::CloudWatch::Dashboard', 1))
})

describe('a key of one’s own', () => {
  const template = templateOf({ encryption: 'customer-key' })
  const key = { 'Fn::GetAtt': [Match.stringLikeRegexp('^Key'), 'Arn'] }
  const all = (type: string) => Object.values(template.findResources(type)).map(({ Properties }) => Properties)

  it('is not there where nobody asks for it', () => usual.resourceCountIs('AWS::KMS::Key', 0))

  it('encrypts the ledger, and every bucket, topic, queue, log and secret', () => {
    template.resourceCountIs('AWS::KMS::Key', 1)
    template.allResourcesProperties('AWS::DynamoDB::Table', {
      SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: key },
    })
    template.allResourcesProperties('AWS::S3::Bucket', {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          { ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: key } },
        ],
      },
    })
    template.allResourcesProperties('AWS::SNS::Topic', { KmsMasterKeyId: key })
    template.allResourcesProperties('AWS::SQS::Queue', { KmsMasterKeyId: key })
    template.allResourcesProperties('AWS::Logs::LogGroup', { KmsKeyId: key, RetentionInDays: 90 })
    template.allResourcesProperties('AWS::SecretsManager::Secret', { KmsKeyId: key })
    for (const queue of all('AWS::SQS::Queue')) expect(queue).not.toHaveProperty('SqsManagedSseEnabled')
  })

  it('is turned every year, outlives the stack, and may be used through its services only', () => {
    template.hasResource('AWS::KMS::Key', { DeletionPolicy: 'Retain', Properties: { EnableKeyRotation: true } })
    const [{ KeyPolicy }] = all('AWS::KMS::Key') as [{ KeyPolicy: { Statement: Record<string, unknown>[] } }]
    const own = KeyPolicy.Statement.filter(({ Sid }) => Sid !== undefined)
    expect(own.map(({ Sid }) => Sid)).toEqual(['ThroughServices', 'Logs', 'EventsAndAlarms'])
    for (const { Action, Condition } of own) {
      expect(JSON.stringify(Action)).not.toContain('*')
      expect(Condition).toBeDefined()
    }
    expect(own[0]?.Condition).toEqual({
      StringEquals: {
        'kms:CallerAccount': { Ref: 'AWS::AccountId' },
        'kms:ViaService': ['dynamodb', 's3', 'secretsmanager', 'sns', 'sqs'].map(
          (name) => `${name}.us-east-1.amazonaws.com`,
        ),
      },
    })
  })
})

it('tags everything that can have tags', () => {
  const template = templateOf({ tags: { team: 'platform' } })
  for (const type of [
    'AWS::Lambda::Function',
    'AWS::DynamoDB::Table',
    'AWS::StepFunctions::StateMachine',
    'AWS::IAM::Role',
  ])
    template.allResourcesProperties(type, { Tags: Match.arrayWith([{ Key: 'team', Value: 'platform' }]) })
})

it.each([
  [{ tags: { 'aws:team': 'a' } }, 'tags'],
  [{ tags: { team: 'a'.repeat(257) } }, 'tags.team'],
  [{ encryption: 'mine' }, 'encryption'],
])('the fleet refuses %j', (more, path) => {
  const { context } = JSON.parse(readFileSync('cdk.json', 'utf8'))
  expect(() => parseFleet({ ...context.lockstep, ...more })).toThrow(`  ${path}`)
})
