import { readFileSync } from 'node:fs'
import { App, Duration, Stack, Validations } from 'aws-cdk-lib'
import { Match, Template } from 'aws-cdk-lib/assertions'
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { AwsSolutionsChecks } from 'cdk-nag'
import { describe, expect, it } from 'vitest'
import { runnerNamespace } from '../../../infra/aws/runner-identity.ts'
import { type RunnerStates, StateBackend, type StateBackendProps } from '../../../infra/aws/state-backend.ts'

/** Checked, it does not synthesize where cdk-nag or the rules of CloudFormation find something; that takes a second. */
function newStack(checked: boolean): Stack {
  const { context } = JSON.parse(readFileSync('cdk.json', 'utf8'))
  const app = new App({ context: { ...context, '@aws-cdk/core:validateAgainstDefaultRules': checked } })
  if (checked) Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  return new Stack(app, 'Test')
}

function made(
  props: StateBackendProps | ((stack: Stack) => StateBackendProps) = {},
  states?: RunnerStates,
  checked = false,
) {
  const stack = newStack(checked)
  const backend = new StateBackend(stack, 'Backend', typeof props === 'function' ? props(stack) : props)
  const role = new Role(stack, 'Runner', { assumedBy: new ServicePrincipal('pods.eks.amazonaws.com') })
  if (states) backend.grantRunner(role, states)
  return { backend, template: Template.fromStack(stack), stack }
}

const withKey = (stack: Stack) => ({ key: new Key(stack, 'Key', { enableKeyRotation: true }) })

/** Of the runner: `s3:GetObject <Bucket>/network/*`. */
function rightsIn(template: Template): string[] {
  const [policy] = Object.values(template.findResources('AWS::IAM::Policy'))
  return (policy?.Properties.PolicyDocument.Statement ?? []).flatMap(
    ({ Action, Resource }: Record<'Action' | 'Resource', unknown>) =>
      [Action].flat().flatMap((action) => [Resource].flat().map((resource) => `${action} ${shortened(resource)}`)),
  )
}

const shortened = (arn: unknown): string => {
  const { 'Fn::GetAtt': attribute, 'Fn::Join': join } = arn as Record<string, [string, unknown[]]>
  if (attribute) return `<${attribute[0].replace(/^Backend|[0-9A-F]{8}$/g, '')}>`
  return join ? join[1].map((part) => (typeof part === 'string' ? part : shortened(part))).join('') : String(arn)
}

describe('the bucket', () => {
  it('is versioned, encrypted, private, and stays when the stack goes', () => {
    made().template.hasResource('AWS::S3::Bucket', {
      ...{ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' },
      Properties: {
        VersioningConfiguration: { Status: 'Enabled' },
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
        },
        PublicAccessBlockConfiguration: {
          ...{ BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true },
        },
        OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
        LifecycleConfiguration: {
          Rules: [
            {
              NoncurrentVersionExpiration: { NoncurrentDays: 365, NewerNoncurrentVersions: 20 },
              ExpiredObjectDeleteMarker: true,
              AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
              Status: 'Enabled',
            },
          ],
        },
      },
    })
  })

  it('is reached by TLS 1.2 and later only', () => {
    const [policy] = Object.values(made().template.findResources('AWS::S3::BucketPolicy'))
    expect(policy?.Properties.PolicyDocument.Statement).toMatchObject([
      { Effect: 'Deny', Action: 's3:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
      { Effect: 'Deny', Action: 's3:*', Condition: { NumericLessThan: { 's3:TlsVersion': 1.2 } } },
    ])
  })

  it('takes a key, and then no state without it', () => {
    const { template } = made(withKey)
    const key = { 'Fn::GetAtt': [Match.stringLikeRegexp('^Key'), 'Arn'] }
    template.hasResourceProperties('AWS::S3::Bucket', {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          {
            BucketKeyEnabled: true,
            ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: key },
          },
        ],
      },
    })
    for (const [header, value] of Object.entries({ '': 'aws:kms', '-aws-kms-key-id': key })) {
      const name = `s3:x-amz-server-side-encryption${header}`
      const Condition = { Null: { [name]: 'false' }, StringNotEquals: { [name]: value } }
      template.hasResourceProperties('AWS::S3::BucketPolicy', {
        PolicyDocument: { Statement: Match.arrayWith([Match.objectLike({ Effect: 'Deny', Condition })]) },
      })
    }
  })

  it('keeps versions as long, and as many, as is wanted', () => {
    made({ keepVersions: Duration.days(30), keepAtLeast: 5 }).template.hasResourceProperties('AWS::S3::Bucket', {
      LifecycleConfiguration: {
        Rules: [{ NoncurrentVersionExpiration: { NoncurrentDays: 30, NewerNoncurrentVersions: 5 } }],
      },
    })
    for (const keepAtLeast of [0, 101, 1.5]) expect(() => made({ keepAtLeast })).toThrow('from 1 to 100')
  })
})

describe('locks', () => {
  it('are files where nothing else is said', () => {
    const { template, backend } = made()
    template.resourceCountIs('AWS::DynamoDB::Table', 0)
    expect(backend.table).toBeUndefined()
  })

  it.each(['table', 'both'] as const)('%s: are items in a table that cannot be deleted by mistake', (lock) => {
    made({ lock }).template.hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Retain',
      Properties: {
        KeySchema: [{ AttributeName: 'LockID', KeyType: 'HASH' }],
        BillingMode: 'PAY_PER_REQUEST',
        DeletionProtectionEnabled: true,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      },
    })
  })

  it.each([
    ['lockfile', true, false],
    ['table', false, true],
    ['both', true, true],
  ] as const)('%s is what the configuration of the backend says', (lock, file, table) => {
    const { backend, stack } = made({ lock })
    const text = JSON.stringify(stack.resolve(backend.backendConfig('network/vpc.tfstate')))
    expect(text).toContain('key = \\"network/vpc.tfstate\\"')
    expect(text.includes('use_lockfile = true')).toBe(file)
    expect(text.includes('dynamodb_table = ')).toBe(table)
    expect(text).not.toContain('kms_key_id')
  })
})

describe('a runner', () => {
  it('may work on the states below its prefix and on their lock files, and on nothing else', () => {
    const { template } = made({}, { prefix: 'network/' })
    expect(rightsIn(template)).toEqual([
      's3:ListBucket <Bucket>',
      's3:GetObject <Bucket>/network/*',
      's3:PutObject <Bucket>/network/*',
      's3:DeleteObject <Bucket>/network/*.tflock',
      's3:GetObject <Bucket>/network/*.tflock',
      's3:PutObject <Bucket>/network/*.tflock',
    ])
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Action: 's3:ListBucket', Condition: { StringLike: { 's3:prefix': ['network/*'] } } }),
        ]),
      },
    })
  })

  it('may work on one state alone, with its items and its key', () => {
    const { template } = made((stack) => ({ ...withKey(stack), lock: 'table' }), { key: 'network/vpc.tfstate' })
    expect(rightsIn(template).filter((right) => !right.startsWith('kms:'))).toEqual([
      's3:ListBucket <Bucket>',
      's3:GetObject <Bucket>/network/vpc.tfstate',
      's3:PutObject <Bucket>/network/vpc.tfstate',
      'dynamodb:DeleteItem <Locks>',
      'dynamodb:GetItem <Locks>',
      'dynamodb:PutItem <Locks>',
      'dynamodb:DescribeTable <Locks>',
    ])
    const state = (ending: string) => ({
      'Fn::Join': ['', [{ Ref: Match.stringLikeRegexp('^BackendBucket') }, `/network/vpc.tfstate${ending}`]],
    })
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: ['dynamodb:DeleteItem', 'dynamodb:GetItem', 'dynamodb:PutItem'],
            Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [state(''), state('-md5')] } },
          }),
        ]),
      },
    })
    expect(rightsIn(template).filter((right) => right.startsWith('kms:'))).toEqual(
      ['Decrypt', 'DescribeKey', 'Encrypt', 'GenerateDataKey'].map((action) => `kms:${action} <Key>`),
    )
  })

  it('may be many, each with the states of its namespace', () => {
    const { template } = made({}, { prefix: `teams/${runnerNamespace}/` })
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of IAM.
    expect(rightsIn(template)).toContain('s3:GetObject <Bucket>/teams/${aws:PrincipalTag/kubernetes-namespace}/*')
  })

  it.each([
    [{ prefix: 'network' }, 'give "network/"'],
    [{ prefix: '*/' }, 'has a wildcard'],
    [{ key: 'network/*' }, 'has a wildcard'],
    [{ prefix: '' }, 'does not end with a slash'],
  ])('is not granted %j, which would mean more than it says', (states, message) => {
    expect(() => made({}, states as RunnerStates)).toThrow(message)
  })
})

it('is backed up every day, where that is wanted, by a role of AWS Backup', () => {
  made().template.resourceCountIs('AWS::Backup::BackupPlan', 0)
  const { template } = made({ backup: true })
  template.hasResourceProperties('AWS::Backup::BackupPlan', {
    BackupPlan: { BackupPlanRule: [{ ScheduleExpression: 'cron(0 5 * * ? *)', Lifecycle: { DeleteAfterDays: 35 } }] },
  })
  template.hasResourceProperties('AWS::Backup::BackupSelection', {
    BackupSelection: { Resources: [{ 'Fn::GetAtt': [Match.stringLikeRegexp('^BackendBucket'), 'Arn'] }] },
  })
  template.hasResource('AWS::Backup::BackupVault', { DeletionPolicy: 'Retain' })
})

it.each([
  ['a key, both locks, a backup and access logs', { lock: 'both', backup: true, logs: true }],
  ['nothing', { lock: 'lockfile', backup: false, logs: false }],
] as const)('passes cdk-nag and the rules of CloudFormation with %s', (_, { lock, backup, logs }) => {
  const { stack } = made(
    (scope) => ({
      ...{ lock, backup },
      ...(logs && { ...withKey(scope), accessLogs: Bucket.fromBucketName(scope, 'Logs', 'access-logs') }),
    }),
    { prefix: `network/${runnerNamespace}/` },
    true,
  )
  expect(stack.stackName).toBe('Test')
})
