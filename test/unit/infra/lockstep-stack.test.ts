import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { clusterGroup, locksGroup, unlockGroup } from '../../../infra/aws/cluster-work.ts'
import { LockstepStack } from '../../../infra/aws/lockstep-stack.ts'
import { addRulePacks } from '../../../infra/aws/rule-packs.ts'
import { type FleetFile, readFleet } from '../../../infra/fleet.ts'
import { nestedTemplate, newApp } from '../../fixtures/synthesized.ts'

function stackOf(fleet: FleetFile, app = newApp()): LockstepStack {
  return new LockstepStack(app, 'Lockstep', fleet)
}

// Fails to synthesize where cdk-nag or the rules of CloudFormation find something that is not acknowledged.
const app = newApp()
addRulePacks(app)
const stack = stackOf(readFleet(), app)
const template = Template.fromStack(stack)

interface Statement {
  readonly Effect: string
  readonly Action: string | readonly string[]
  readonly Resource: unknown
  readonly Condition?: object
}
const asList = <T>(value: T | readonly T[]): readonly T[] => (Array.isArray(value) ? value : [value as T])

const policies = Object.entries(template.findResources('AWS::IAM::Policy')).map(([id, { Properties }]) => ({
  id,
  statements: Properties.PolicyDocument.Statement as Statement[],
}))

/** What the role of that construct may do, without what every role may: its own log and traces. */
function rightsOf(prefix: string): string[] {
  const policy = policies.find(({ id }) => id.startsWith(`${prefix}Role`))
  const actions = (policy?.statements ?? []).flatMap(({ Action }) => asList(Action))
  return actions.filter((action) => !/^(logs|xray):/.test(action)).sort()
}

describe('permissions', () => {
  const ledger = ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query']
  /** They write down what happens as well, into a table of its own. */
  const unlocks = [...ledger, 'dynamodb:PartiQLInsert', 'dynamodb:Query']
  const clusters = ['sts:AssumeRole']
  const tables = ['dynamodb:BatchGetItem', 'dynamodb:DescribeTable', 'dynamodb:GetItem', 'dynamodb:Scan']
  const buckets = ['s3:GetObject', 's3:ListBucket']
  const events = ['events:PutEvents']
  const versions = ['s3:GetObject', 's3:GetObjectVersion', 's3:ListBucket', 's3:ListBucketVersions']
  const answers = ['states:SendTaskFailure', 'states:SendTaskSuccess']
  const secret = ['secretsmanager:GetSecretValue']
  /** For Lambda, to keep the event. */
  const lost = ['sqs:GetQueueAttributes', 'sqs:GetQueueUrl', 'sqs:SendMessage']

  it.each([
    ['StepsWaves', ['s3:GetObject', 's3:ListBucket', 's3:PutObject', 's3:PutObject']],
    ['StepsWaveConclude', ['s3:GetObject', 's3:ListBucket']],
    ['StepsWaveAsk', [...unlocks, ...events, ...answers, ...secret, 'sns:Publish'].sort()],
    ['StepsStopAsking', [...unlocks, ...events, ...lost]],
    ['StepsPlanAsk', [...unlocks, ...clusters, ...events, ...secret, 'states:SendTaskSuccess', 'sns:Publish'].sort()],
    ['StepsPlanApprove', [...unlocks, ...clusters, ...events]],
    ['StepsClaim', [...ledger, ...events]],
    ['StepsPlan', [...ledger, ...clusters, ...events]],
    ['StepsGate', [...ledger, ...clusters, ...events]],
    ['StepsFetch', [...ledger, ...clusters, ...events]],
    ['StepsOpen', [...ledger, ...clusters, ...events]],
    ['StepsWait', [...ledger, ...clusters, ...events]],
    ['StepsHold', [...ledger, ...clusters, ...events]],
    ['StepsReport', [...ledger, ...events]],
    ['StepsRelease', [...ledger, ...clusters, ...events]],
    ['StepsRestore', [...ledger, ...clusters, ...events, ...lost]],
    ['StepsJudge', [...ledger, ...tables, ...clusters, ...events, ...buckets].sort()],
    ['StepsJudgeOthers', [...ledger, ...tables, ...events, ...buckets].sort()],
    ['StepsSweepCluster', [...ledger, ...clusters, ...events, ...buckets]],
    ['StepsUnlockAct', [...unlocks, ...events, ...answers, 'states:SendTaskHeartbeat'].sort()],
    ['StepsUnlockAssess', [...unlocks, ...tables, ...clusters, ...events, ...buckets].sort()],
    ['StepsUnlockAsk', [...unlocks, ...clusters, ...answers, ...secret, 'sns:Publish'].sort()],
    ['StepsUnlockBegin', [...unlocks, ...tables, ...clusters, ...events, ...buckets].sort()],
    ['StepsUnlockFence', [...unlocks, ...tables, ...clusters, ...events, ...buckets].sort()],
    ['StepsUnlockBackUp', [...unlocks, ...clusters, ...versions, 's3:PutObject']],
    [
      'StepsUnlockDelete',
      [...unlocks, 'dynamodb:DeleteItem', 'dynamodb:GetItem', ...clusters, ...buckets, 's3:DeleteObject'].sort(),
    ],
    ['NotificationsNotify', [...ledger, 'sns:Publish', ...lost]],
    ['StepsUnlockPutBack', [...unlocks, ...clusters, ...buckets]],
    ['StepsUnlockVerify', [...unlocks, ...clusters, ...versions]],
    ['StepsUnlockConclude', [...unlocks, ...clusters, ...events]],
    ['StepsUnlockWatch', [...unlocks, ...clusters, ...events, ...lost]],
    ['ApprovalsPage', [...unlocks, ...events, ...secret, ...answers]],
    ['WebhookHandler', ['secretsmanager:GetSecretValue', 'states:StartExecution']],
    ['Workflowrollout', ['lambda:InvokeFunction']],
    ['Workflowlockscan', ['lambda:InvokeFunction', 'states:StartExecution']],
    ['Workflowguardedunlock', ['lambda:InvokeFunction']],
    ['Workflowsweep', ['lambda:InvokeFunction', 'states:StartExecution']],
    [
      'Workflowfleet',
      [
        'events:DescribeRule',
        'events:PutRule',
        'events:PutTargets',
        'lambda:InvokeFunction',
        ...['s3:AbortMultipartUpload', 's3:GetObject', 's3:GetObject', 's3:ListMultipartUploadParts', 's3:PutObject'],
        ...['states:DescribeExecution', 'states:StartExecution', 'states:StopExecution'],
      ],
    ],
  ])('%s has exactly its own', (construct, expected) => {
    expect(rightsOf(construct)).toEqual([...expected].sort())
  })

  it('on the ledger are the calls that its code makes', () => {
    const source = readFileSync('functions/lib/ledger/dynamodb-ledger.ts', 'utf8')
    const calls = new Set([...source.matchAll(/new (\w+)Command\(/g)].map(([, call]) => call))
    const actions: Record<string, string> = {
      ...{ Get: 'GetItem', Put: 'PutItem', Update: 'UpdateItem', Query: 'Query', ExecuteStatement: 'PartiQLInsert' },
    }
    const needed = [...calls].map((call) => `dynamodb:${actions[call ?? ''] ?? call}`)
    expect(needed.sort()).toEqual([...new Set(unlocks)].sort())
    // Nothing but inserts is asked of PartiQL.
    expect(source.match(/Statement: .*/g)).toEqual([expect.stringMatching(/^Statement: `INSERT INTO /)])
  })

  it('are one policy for each role, and no managed ones', () => {
    expect(policies).toHaveLength(39)
    for (const role of Object.values(template.findResources('AWS::IAM::Role')))
      expect(role.Properties).not.toHaveProperty('ManagedPolicyArns')
  })

  it('have no wildcard but where AWS has no resource level', () => {
    const withoutResource = new Set([
      'logs:CreateLogDelivery',
      'logs:DeleteLogDelivery',
      'logs:DescribeLogGroups',
      'logs:DescribeResourcePolicies',
      'logs:GetLogDelivery',
      'logs:ListLogDeliveries',
      'logs:PutResourcePolicy',
      'logs:UpdateLogDelivery',
      'xray:GetSamplingRules',
      'xray:GetSamplingTargets',
      'xray:PutTelemetryRecords',
      'xray:PutTraceSegments',
    ])
    for (const { Action, Resource } of policies.flatMap(({ statements }) => statements)) {
      for (const action of asList(Action)) expect(action).not.toContain('*')
      for (const resource of asList(Resource)) {
        if (resource === '*') expect([...asList(Action)].filter((action) => !withoutResource.has(action))).toEqual([])
        // The executions of one state machine, and the fleet's states, have names that are not known before.
        else if (JSON.stringify(resource).includes('*'))
          expect(JSON.stringify(resource)).toMatch(
            /:execution:Lockstep-(rollout|fleet):\*|:s3:::my-tfstate-bucket\/\*|WaveFiles.*\/\*\/(waves\.json|clusters\.json|results\/\*)"/,
          )
      }
    }
  })

  it('on clusters are those of three roles, and name exactly the clusters of the fleet', () => {
    const [described, ...others] = Object.values(template.findResources('AWS::IAM::ManagedPolicy'))
    expect(others).toEqual([])
    expect(described?.Properties.Roles).toHaveLength(3)
    const [{ Action, Resource }] = described?.Properties.PolicyDocument.Statement ?? []
    expect(Action).toBe('eks:DescribeCluster')
    const arns = asList(Resource).map((arn) => (arn as { 'Fn::Join': [string, unknown[]] })['Fn::Join'][1].at(-1))
    expect(arns.sort()).toEqual([':cluster/prod-eks-01', ':cluster/staging-eks-01'])
  })

  it('let a function take on one role, under its own name only', () => {
    const statements = policies.flatMap((policy) => policy.statements).filter(({ Action }) => Action === clusters[0])
    expect(statements).toHaveLength(22)
    const names = statements.map(({ Condition }) => Condition)
    expect(new Set(names.map((name) => JSON.stringify(name))).size).toBe(22)
    for (const { Resource } of statements)
      expect(Resource).toEqual({
        'Fn::GetAtt': [expect.stringMatching(/^ClusterAccessRoles(orders|judges|unlocks)/), 'Arn'],
      })
  })
})

describe('access to clusters', () => {
  it('is one role for each kind of work, which exactly its functions take on', () => {
    const roles = Object.values(template.findResources('AWS::IAM::Role')).map(({ Properties }) => Properties)
    const trusted = (name: string) => {
      const { AssumeRolePolicyDocument } = roles.find(({ RoleName }) => RoleName === name) ?? {}
      const [statement, ...others] = AssumeRolePolicyDocument.Statement
      expect(others).toEqual([])
      const arns: { 'Fn::GetAtt': [string, string] }[] = statement.Condition.ArnEquals['aws:PrincipalArn']
      return arns.map((arn) => arn['Fn::GetAtt'][0].replace(/^Steps(.*)Role.*/, '$1')).sort()
    }
    expect(trusted('Lockstep-orders')).toEqual(
      ['Fetch', 'Gate', 'Hold', 'Open', 'Plan', 'Release', 'Restore', 'Wait'].sort(),
    )
    expect(trusted('Lockstep-judges')).toEqual([
      ...['Judge', 'PlanApprove', 'PlanAsk', 'SweepCluster', 'UnlockAsk', 'UnlockAssess', 'UnlockVerify'],
    ])
    // Each of them changes something that only unlocks change.
    expect(trusted('Lockstep-unlocks')).toEqual([
      'UnlockBackUp',
      'UnlockBegin',
      'UnlockConclude',
      'UnlockDelete',
      'UnlockFence',
      'UnlockPutBack',
      'UnlockWatch',
    ])
  })

  /** The groups that a kustomize base gives a role to, and what the roles allow. */
  function baseIn(folder: string) {
    const { resources } = parse(readFileSync(`${folder}/kustomization.yaml`, 'utf8'))
    expect(resources).toEqual(['rbac.yaml'])
    const documents = parseAllDocuments(readFileSync(`${folder}/rbac.yaml`, 'utf8')).map((each) => each.toJS())
    const groups = documents.flatMap(({ kind, metadata }) => (kind === 'ClusterRole' ? metadata.name : []))
    expect(documents.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      ...groups.flatMap((name) => [`ClusterRole ${name}`, `ClusterRoleBinding ${name}`]),
    ])
    for (const { metadata, roleRef, subjects } of documents.filter(({ kind }) => kind === 'ClusterRoleBinding')) {
      expect(roleRef).toEqual({ apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: metadata.name })
      // The groups are named as the roles that they get.
      expect(subjects).toEqual([{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: metadata.name }])
    }
    const rules = documents.flatMap((document) => document.rules ?? [])
    const rights = rules.flatMap(({ apiGroups, resources: kinds, verbs }: Record<string, string[]>) =>
      kinds?.map((kind) => `${[kind, ...(apiGroups ?? [])].filter(Boolean).join('.')}: ${verbs?.join()}`),
    )
    return { groups, rights }
  }

  it('is what the RBAC in infra/cluster binds, and no more than it needs', () => {
    const { groups, rights } = baseIn('infra/cluster')
    expect(groups).toEqual([clusterGroup, locksGroup])
    expect(rights).toEqual([
      'gitrepositories.source.toolkit.fluxcd.io: list,watch,patch',
      'ocirepositories.source.toolkit.fluxcd.io: list,watch',
      'helmcharts.source.toolkit.fluxcd.io: list,watch',
      'kustomizations.kustomize.toolkit.fluxcd.io: get,list,watch,patch',
      'helmreleases.helm.toolkit.fluxcd.io: get,list,watch,patch',
      'terraforms.infra.contrib.fluxcd.io: get,list,watch,patch',
      'leases.coordination.k8s.io: get,list',
      'pods: get,list',
      'nodes: get,list',
      'deployments.apps: list',
      'horizontalpodautoscalers.autoscaling: list',
      'secrets: get',
      'configmaps: get',
    ])
  })

  it('for unlocks is granted apart, and takes only what they change', () => {
    const { groups, rights } = baseIn('infra/cluster/unlock')
    expect(groups).toEqual([unlockGroup])
    expect(rights).toEqual([
      'deployments.apps: get,patch',
      'deployments/scale.apps: patch',
      'terraforms/status.infra.contrib.fluxcd.io: patch',
      'pods: delete',
      'leases.coordination.k8s.io: patch',
      'secrets: create',
    ])
  })
})

describe('functions', () => {
  const functions = Object.values(template.findResources('AWS::Lambda::Function')).map(({ Properties }) => Properties)

  it('are all built alike, traced, and log to a group that forgets', () => {
    expect(functions).toHaveLength(33)
    for (const each of functions)
      expect(each).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        TracingConfig: { Mode: 'Active' },
        LoggingConfig: { LogFormat: 'JSON' },
      })
    const groups = template.findResources('AWS::Logs::LogGroup')
    for (const { Properties } of Object.values(groups)) expect(Properties.RetentionInDays).toBe(90)
  })

  it('that wait may take 15 minutes', () => {
    const slow = functions.filter(({ Timeout }) => Timeout === 900).map(({ Description }) => Description)
    expect(slow).toEqual([
      'Lockstep: has the source fetched',
      'Lockstep: waits for a layer',
      'Lockstep: asks people to agree to plans',
      'Lockstep: keeps what a failure holds',
      'Lockstep: fences a locked state',
      'Lockstep: deletes a lock that is exactly what was judged',
      'Lockstep: puts back what an unlock changed',
      'Lockstep: waits for the plan after an unlock',
    ])
  })

  it('carry the fleet in the bundle, as their environment holds 4 KB', () => {
    for (const { Environment } of functions) expect(Environment.Variables).not.toHaveProperty('LOCKSTEP_FLEET')
  })
})

describe('the webhook', () => {
  it('is POST /webhook, throttled, with access logs that hold no header and no body', () => {
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: 'POST /webhook' })
    template.resourceCountIs('AWS::ApiGatewayV2::Route', 2)
    template.hasResourceProperties('AWS::ApiGatewayV2::Integration', { PayloadFormatVersion: '2.0' })
    template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      DefaultRouteSettings: { ThrottlingRateLimit: 20, ThrottlingBurstLimit: 40 },
      AccessLogSettings: {
        Format: Match.not(Match.stringLikeRegexp('header|body|authorizer|requestOverride')),
        DestinationArn: Match.anyValue(),
      },
    })
  })

  it('knows its secret and the fleet’s state machine by their names only', () => {
    template.hasResourceProperties('AWS::Lambda::Function', {
      Timeout: 10,
      Environment: {
        Variables: {
          WEBHOOK_SECRET_ARN: { Ref: Match.stringLikeRegexp('^WebhookSecret') },
          FLEET_STATE_MACHINE_ARN: { Ref: Match.stringLikeRegexp('^Workflowfleet') },
        },
      },
    })
    template.hasResourceProperties('AWS::SecretsManager::Secret', {
      GenerateSecretString: { GenerateStringKey: 'current', PasswordLength: 48 },
    })
  })
})

describe('the state machines', () => {
  const machines = Object.values(template.findResources('AWS::StepFunctions::StateMachine')).map(
    (each) => each.Properties,
  )

  it('log everything but what goes through them, and are traced', () => {
    expect(machines.map(({ StateMachineName }) => StateMachineName).sort()).toEqual([
      'Lockstep-fleet',
      'Lockstep-guarded-unlock',
      'Lockstep-lock-scan',
      'Lockstep-rollout',
      'Lockstep-sweep',
    ])
    for (const machine of machines)
      expect(machine).toMatchObject({
        StateMachineType: 'STANDARD',
        LoggingConfiguration: { Level: 'ALL', IncludeExecutionData: false },
        TracingConfiguration: { Enabled: true },
      })
  })

  it('stay readable in the template, with all that they name', () => {
    for (const { StateMachineName, DefinitionString, DefinitionSubstitutions } of machines) {
      const source = readFileSync(`statemachines/${StateMachineName.replace('Lockstep-', '')}.asl.json`, 'utf8')
      expect(DefinitionString).toBe(source)
      const named = [...source.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name)
      expect(Object.keys(DefinitionSubstitutions).sort()).toEqual([...new Set(named)].sort())
    }
    expect(JSON.stringify(machines)).toContain('WaitForLayer')
  })

  const validate: (definition: unknown) => { isValid: boolean; errorsText: () => string } = createRequire(
    import.meta.url,
  )('asl-validator')

  it.each(readdirSync('statemachines').filter((file) => file.endsWith('.asl.json')))('%s passes the linter', (file) => {
    const { isValid, errorsText } = validate(JSON.parse(readFileSync(`statemachines/${file}`, 'utf8')))
    expect(isValid ? '' : errorsText()).toBe('')
  })
})

describe('the files of waves', () => {
  it('are encrypted, not public, reached over TLS only, and gone after a year', () => {
    template.hasResourceProperties('AWS::S3::Bucket', {
      BucketEncryption: Match.anyValue(),
      PublicAccessBlockConfiguration: {
        ...{ BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true },
      },
      LifecycleConfiguration: { Rules: [Match.objectLike({ ExpirationInDays: 366, Status: 'Enabled' })] },
    })
    template.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      },
    })
  })

  it.each([
    ['StepsWaves', 's3:PutObject', ['/*/waves.json', '/*/clusters.json']],
    ['StepsWaves', 's3:GetObject', ['/*/waves.json']],
    ['StepsWaveConclude', 's3:GetObject', ['/*/waves.json', '/*/results/*']],
    ['Workflowfleet', 's3:GetObject', ['/*/clusters.json', '/*/results/*']],
    ['Workflowfleet', 's3:PutObject', ['/*/results/*']],
  ])('%s may %s on its own keys only', (construct, action, endings) => {
    const statements = policies.find(({ id }) => id.startsWith(`${construct}Role`))?.statements ?? []
    const resources = statements
      .filter(({ Action }) => asList(Action).includes(action))
      .flatMap(({ Resource }) => asList(Resource))
    const expected = endings.map((ending) => ({ 'Fn::Join': ['', [bucketArn, ending]] }))
    expect(resources).toHaveLength(expected.length)
    expect(resources).toEqual(expect.arrayContaining(expected))
  })

  const [bucket = ''] = Object.keys(template.findResources('AWS::S3::Bucket'))
  const bucketArn = { 'Fn::GetAtt': [bucket, 'Arn'] }
})

it('keeps the ledger, whatever happens to the stack', () => {
  template.hasResource('AWS::DynamoDB::Table', {
    DeletionPolicy: 'Retain',
    UpdateReplacePolicy: 'Retain',
    Properties: {
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
      BillingMode: 'PAY_PER_REQUEST',
      DeletionProtectionEnabled: true,
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
    },
  })
})

describe('the audit', () => {
  const [audit, ...others] = Object.values(template.findResources('AWS::DynamoDB::Table')).filter(
    ({ Properties }) => Properties.ResourcePolicy,
  )

  it('is kept for good, and nobody at all may do anything to a record that is there', () => {
    expect(others).toEqual([])
    expect(audit).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' })
    expect(audit?.Properties).toMatchObject({
      DeletionProtectionEnabled: true,
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
    })
    expect(audit?.Properties).not.toHaveProperty('TimeToLiveSpecification')
    const { Statement } = audit?.Properties.ResourcePolicy.PolicyDocument ?? {}
    expect(Statement).toEqual([
      {
        ...{ Sid: 'NothingButInsert', Effect: 'Deny', Principal: { AWS: '*' }, Resource: '*' },
        Action: [
          ...['BatchWriteItem', 'DeleteItem', 'DeleteTable', 'PartiQLDelete', 'PartiQLUpdate', 'PutItem'],
          ...['UpdateItem', 'UpdateTimeToLive'],
        ].map((action) => `dynamodb:${action}`),
      },
    ])
  })

  it('is inserted into by the functions of unlocks and approvals alone', () => {
    const inserts = policies.filter(({ statements }) =>
      statements.some(({ Action }) => asList(Action).includes('dynamodb:PartiQLInsert')),
    )
    expect(inserts.map(({ id }) => id.replace(/Role.*/, ''))).toEqual([
      ...['StepsWaveAsk', 'StepsStopAsking', 'StepsPlanAsk', 'StepsPlanApprove'],
      ...['Act', 'Assess', 'Ask', 'Begin', 'Fence', 'BackUp', 'Delete', 'PutBack', 'Verify', 'Conclude', 'Watch'].map(
        (step) => `StepsUnlock${step}`,
      ),
      'ApprovalsPage',
    ])
    for (const { statements } of inserts)
      for (const { Action, Resource } of statements)
        if (asList(Action).includes('dynamodb:PartiQLInsert'))
          expect(Resource).toEqual({ 'Fn::GetAtt': [expect.stringMatching(/^LedgerAudit/), 'Arn'] })
  })
})

it.each([
  ['a rollout', 'Workflowrollout', 'StepsRestore', 'RestoreLost'],
  ['an unlock', 'Workflowguardedunlock', 'StepsUnlockWatch', 'RestoreUnlockLost'],
  ['a push or a rollout', 'Workflowfleet Workflowrollout', 'StepsStopAsking', 'RestoreAskedLost'],
])('puts things right after every end of %s that is not a success, and loses no event', (_, machines, watch, lost) => {
  const queue = { 'Fn::GetAtt': [Match.stringLikeRegexp(`^${lost}`), 'Arn'] }
  template.hasResourceProperties('AWS::Events::Rule', {
    EventPattern: {
      source: ['aws.states'],
      'detail-type': ['Step Functions Execution Status Change'],
      detail: {
        stateMachineArn: machines.split(' ').map((machine) => ({ Ref: Match.stringLikeRegexp(`^${machine}`) })),
        status: ['ABORTED', 'FAILED', 'TIMED_OUT'],
      },
    },
    Targets: [
      {
        Arn: { 'Fn::GetAtt': [Match.stringLikeRegexp(`^${watch}Function`), 'Arn'] },
        DeadLetterConfig: { Arn: queue },
        Id: Match.anyValue(),
      },
    ],
  })
  template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
    FunctionName: { Ref: Match.stringLikeRegexp(`^${watch}Function`) },
    MaximumRetryAttempts: 2,
    DestinationConfig: { OnFailure: { Destination: queue } },
  })
})

describe('unlocks', () => {
  const statementsOf = (action: string) =>
    policies.flatMap(({ id, statements }) =>
      statements
        .filter(({ Action }) => asList(Action).includes(action))
        .map((statement) => ({ id: id.replace(/Role.*/, ''), ...statement })),
    )

  it('delete lock files only by what they were, and nothing else in a bucket', () => {
    const deletes = statementsOf('s3:DeleteObject')
    expect(deletes.map(({ id }) => id)).toEqual(['StepsUnlockDelete'])
    expect(deletes[0]).toMatchObject({ Condition: { Null: { 's3:if-match': 'false' } } })
    expect(JSON.stringify(deletes[0]?.Resource)).toMatch(/:s3:::my-tfstate-bucket\/\*\.tflock"/)
    expect(deletes[0]?.Action).toBe('s3:DeleteObject')
  })

  it('read states where they judge, back up, delete, put back and verify', () => {
    const readers = statementsOf('s3:GetObject').filter(({ id }) => id.startsWith('StepsUnlock'))
    for (const { Resource } of readers) expect(JSON.stringify(Resource)).toMatch(/:s3:::my-tfstate-bucket\/\*"/)
    expect(readers.map(({ id }) => id.replace('StepsUnlock', '')).sort()).toEqual([
      'Assess',
      'BackUp',
      'Begin',
      'Delete',
      'Fence',
      'PutBack',
      'Verify',
    ])
  })

  it('delete items in lock tables only, by one function', () => {
    const deletes = statementsOf('dynamodb:DeleteItem')
    expect(deletes.map(({ id }) => id)).toEqual(['StepsUnlockDelete'])
    expect(JSON.stringify(deletes[0]?.Resource)).toMatch(/:table\/terraform-state-lock"/)
    expect(JSON.stringify(deletes[0]?.Resource)).not.toContain('Ledger')
  })

  it('write copies of states beside them, and no state', () => {
    const isOfWaves = (resource: unknown) => JSON.stringify(resource).includes('WaveFiles')
    const puts = statementsOf('s3:PutObject').filter(({ Resource }) => !isOfWaves(Resource))
    expect(puts.map(({ id }) => id)).toEqual(['StepsUnlockBackUp'])
    expect(JSON.stringify(puts[0]?.Resource)).toMatch(/:s3:::my-tfstate-bucket\/\*\.lockstep-backup-\*"/)
  })

  it('write their audit and their approvals alone, and nobody updates or deletes an item of the ledger', () => {
    const puts = statementsOf('dynamodb:PutItem')
    const writersIf = (operator?: string, keys?: string[]) => {
      const condition = operator && { [`ForAllValues:${operator}`]: { 'dynamodb:LeadingKeys': keys } }
      return puts.filter(({ Condition }) => isDeepStrictEqual(Condition, condition)).map(({ id }) => id)
    }
    const writers = {
      all: writersIf(),
      decisions: writersIf('StringLike', ['approvals']),
      notices: writersIf('StringLike', ['notice#*', 'push#*']),
      approvals: writersIf('StringNotLike', ['unlock#*']),
      others: writersIf('StringNotLike', ['unlock#*', 'approvals']),
    }
    expect(writers.all.sort()).toEqual(unlockSteps.sort())
    // Everybody on the internet can call the page, and the notifier hears of what others put on the bus.
    expect(writers.decisions.sort()).toEqual(['ApprovalsPage', 'StepsStopAsking', 'StepsWaveAsk'])
    expect(writers.notices).toEqual(['NotificationsNotify'])
    expect(writers.approvals.sort()).toEqual(['StepsPlanApprove', 'StepsPlanAsk'])
    expect(Object.values(writers).flat()).toHaveLength(puts.length)
    for (const action of ['dynamodb:UpdateItem', 'dynamodb:BatchWriteItem', 'dynamodb:PartiQLUpdate'])
      expect(statementsOf(action)).toEqual([])
  })

  const unlockSteps = [
    'Act',
    'Ask',
    'Assess',
    'BackUp',
    'Begin',
    'Conclude',
    'Delete',
    'Fence',
    'PutBack',
    'Verify',
    'Watch',
  ].map((step) => `StepsUnlock${step}`)

  it('are started by scans, and answered for where people decide', () => {
    const starts = statementsOf('states:StartExecution').filter(({ id }) => id === 'Workflowlockscan')
    expect(starts.map(({ Resource }) => Resource)).toEqual([{ Ref: expect.stringMatching(/^Workflowguardedunlock/) }])
    const machines: Readonly<Record<string, readonly string[]>> = {
      StepsPlanAsk: ['rollout'],
      StepsWaveAsk: ['fleet'],
      StepsUnlockAct: ['fleet', 'guarded-unlock'],
      ApprovalsPage: ['fleet', 'guarded-unlock', 'rollout'],
    }
    const named = (Resource: unknown) =>
      [...JSON.stringify(Resource).matchAll(/:stateMachine:Lockstep-([\w-]+)/g)].map(([, name]) => name).sort()
    for (const { id, Resource } of statementsOf('states:SendTaskSuccess'))
      expect(named(Resource), id).toEqual(machines[id] ?? ['guarded-unlock'])
    expect(statementsOf('states:SendTaskHeartbeat').map(({ id, Resource }) => [id, named(Resource)])).toEqual([
      ['StepsUnlockAct', ['guarded-unlock']],
    ])
  })
})

describe('approvals', () => {
  it('are a page with its own secret, on the API of the webhook', () => {
    template.resourceCountIs('AWS::ApiGatewayV2::Api', 1)
    template.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: 'ANY /approve/{token}' })
    template.hasResourceProperties('AWS::Lambda::Function', {
      Description: 'Lockstep: the page on which people approve unlocks, plans and waves',
      Environment: { Variables: { APPROVAL_SECRET_ARN: { Ref: Match.stringLikeRegexp('^ApprovalsSecret') } } },
    })
    template.hasResourceProperties('AWS::Lambda::Function', {
      Description: 'Lockstep: asks people to agree to an unlock',
      Environment: {
        Variables: {
          APPROVAL_SECRET_ARN: { Ref: Match.stringLikeRegexp('^ApprovalsSecret') },
          APPROVAL_TOPIC_ARN: { Ref: Match.stringLikeRegexp('^ApprovalsTopic') },
          APPROVAL_URL: { 'Fn::Join': ['', [{ 'Fn::GetAtt': [Match.anyValue(), 'ApiEndpoint'] }, '/approve/']] },
        },
      },
    })
  })

  it('are asked of each person by a link of their own', () => {
    const filters = Object.values(template.findResources('AWS::SNS::Subscription')).map(({ Properties }) => ({
      [Properties.Endpoint]: Properties.FilterPolicy,
    }))
    expect(Object.assign({}, ...filters)).toEqual({
      'ana@example.com': { approver: ['ana'] },
      'bob@example.com': { approver: ['bob'] },
      'carol@example.com': { approver: ['carol'] },
    })
  })
})

describe('the scan for locks', () => {
  const resourcesOf = (construct: string, service: RegExp) =>
    policies
      .filter(({ id }) => id.startsWith(`${construct}Role`))
      .flatMap(({ statements }) => statements)
      .filter(({ Action }) => asList(Action).some((action) => service.test(action)))
      .flatMap(({ Resource }) => asList(Resource))
      .map((arn) => (typeof arn === 'string' ? arn : JSON.stringify(arn)))

  it('reads the fleet’s tables and buckets, and nothing else of their kind', () => {
    for (const construct of ['StepsJudge', 'StepsJudgeOthers']) {
      expect(resourcesOf(construct, /^dynamodb:Scan/)).toEqual([expect.stringContaining(':table/terraform-state-lock')])
      for (const arn of resourcesOf(construct, /^s3:/)) expect(arn).toContain(':s3:::my-tfstate-bucket')
    }
    // Without an object nobody asks for its state.
    expect(resourcesOf('StepsJudgeOthers', /^s3:GetObject/).join()).toContain('/*.tflock')
    expect(resourcesOf('StepsJudge', /^s3:GetObject/).join()).not.toContain('tflock')
  })

  it('keeps to the prefixes of a bucket, and grants nothing where the fleet names no store', () => {
    const written = {
      repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
      clusters: [{ name: 'a', eks: 'a', region: 'eu-west-1', environment: 'test' }],
    }
    const s3 = [{ bucket: 'states', prefixes: ['team-a/', 'env:/'] }]
    const of = (raw: object) => JSON.stringify(Template.fromStack(stackOf({ written: raw, fleet: parseFleet(raw) })))
    const template = of({ ...Object(written), locks: { s3 } })
    for (const prefix of ['team-a/', 'env:/']) expect(template).toContain(`:s3:::states/${prefix}*.tflock`)
    expect(template).not.toContain(':s3:::states/*')
    expect(of(Object(written))).not.toContain(':s3:::')
  })

  it('may tell of itself in its own name only', () => {
    const statements = policies
      .flatMap((policy) => policy.statements)
      .filter(({ Action }) => Action === 'events:PutEvents')
    expect(statements).toHaveLength(24)
    for (const statement of statements)
      expect(statement).toMatchObject({ Condition: { StringEquals: { 'events:source': 'lockstep' } } })
  })

  it('begins as often as the fleet says, over all clusters', () => {
    template.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'rate(2 minutes)',
      Target: {
        Arn: { Ref: Match.stringLikeRegexp('^Workflowlockscan') },
        Input: JSON.stringify({ clusters: ['staging', 'production'] }),
      },
    })
  })
})

describe('the sweep', () => {
  const [schedules, ...furtherParts] = stack.sweeps.parts.map(nestedTemplate)

  it.each(['staging', 'production'])('of %s begins as often as the fleet says, at a time of its own', (cluster) => {
    expect(schedules).toBeDefined()
    expect(furtherParts).toEqual([])
    schedules?.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'rate(15 minutes)',
      FlexibleTimeWindow: { Mode: 'FLEXIBLE', MaximumWindowInMinutes: 15 },
      Target: {
        Arn: { Ref: Match.stringLikeRegexp('^Workflowsweep') },
        Input: JSON.stringify({ cluster }),
        DeadLetterConfig: { Arn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^SweepLost'), 'Arn'] } },
        RetryPolicy: { MaximumEventAgeInSeconds: 900, MaximumRetryAttempts: 3 },
      },
    })
  })

  it('starts rollouts of the fleet, and nothing else', () => {
    const [statement, ...others] = policies
      .filter(({ id }) => id.startsWith('WorkflowsweepRole'))
      .flatMap(({ statements }) => statements)
      .filter(({ Action }) => Action === 'states:StartExecution')
    expect(others).toEqual([])
    expect(statement?.Resource).toEqual({ Ref: expect.stringMatching(/^Workflowfleet/) })
  })

  it('has a window that is no longer than the time between two', () => {
    const raw = {
      ...{ repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }], sweep: { every: '5m' } },
      clusters: [{ name: 'a', eks: 'a', region: 'eu-west-1', environment: 'test' }],
    }
    const [schedules] = stackOf({ written: raw, fleet: parseFleet(raw) }).sweeps.parts.map(nestedTemplate)
    expect(schedules).toBeDefined()
    schedules?.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'rate(5 minutes)',
      FlexibleTimeWindow: { MaximumWindowInMinutes: 5 },
    })
  })
})

it('needs no account and looks nothing up', () => {
  const plain = newApp()
  const stack = stackOf(readFleet(), plain)
  expect(stack.region).toBe('us-east-1')
  const assembly = plain.synth()
  expect(assembly.manifest.missing).toBeUndefined()
  expect(/:\d{12}:/.test(JSON.stringify(assembly.getStackByName('Lockstep').template))).toBe(false)
})
