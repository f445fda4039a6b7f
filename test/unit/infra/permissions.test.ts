import { Template } from 'aws-cdk-lib/assertions'
import { expect, it } from 'vitest'
import { lockstepStacks } from '../../../infra/aws/lockstep-stacks.ts'
import { largeFleet } from '../../fixtures/large-fleet.ts'
import { fleetFile, nestedTemplate, newApp } from '../../fixtures/synthesized.ts'

/** `GetItem, Query` of a service. */
const of = (service: string, ...actions: readonly string[]) => actions.map((action) => `${service}:${action}`)
const inNetwork = [
  ...of('ec2', 'AssignPrivateIpAddresses', 'CreateNetworkInterface', 'DeleteNetworkInterface'),
  ...of('ec2', 'UnassignPrivateIpAddresses'),
]

/**
 * All that any role of Lockstep may do, in any stack of a fleet that asks for everything: by what it is done to. Which role may
 * do which of it is in lockstep-stack.test.ts.
 */
const rights: Readonly<Record<string, readonly string[]>> = {
  'the table LedgerTable': [
    ...of('dynamodb', 'GetItem', 'PutItem', 'Query'),
    'dynamodb:PutItem if ForAllValues:StringLike dynamodb:LeadingKeys approvals',
    'dynamodb:PutItem if ForAllValues:StringLike dynamodb:LeadingKeys notice#*, push#*',
    'dynamodb:PutItem if ForAllValues:StringNotLike dynamodb:LeadingKeys unlock#*',
    'dynamodb:PutItem if ForAllValues:StringNotLike dynamodb:LeadingKeys unlock#*, approvals',
  ],
  'the table LedgerAudit': of('dynamodb', 'PartiQLInsert', 'Query'),
  'a lock table of the fleet': [
    ...of('dynamodb', 'BatchGetItem', 'DescribeTable', 'GetItem', 'Scan'),
    'dynamodb:DeleteItem if ForAllValues:StringNotLike dynamodb:LeadingKeys *-md5',
  ],
  'a state bucket of the fleet': of('s3', 'ListBucket', 'ListBucketVersions'),
  '* in a state bucket of the fleet': of('s3', 'GetObject', 'GetObjectVersion'),
  '*.tflock in a state bucket of the fleet': ['s3:DeleteObject if Null s3:if-match false', 's3:GetObject'],
  '*.lockstep-backup-* in a state bucket of the fleet': ['s3:PutObject'],
  'the bucket WaveFilesBucket': ['s3:ListBucket'],
  '*/waves.json in the bucket WaveFilesBucket': of('s3', 'GetObject', 'PutObject'),
  '*/clusters.json in the bucket WaveFilesBucket': of('s3', 'GetObject', 'PutObject'),
  '*/results/* in the bucket WaveFilesBucket': of(
    ...(['s3', 'AbortMultipartUpload', 'GetObject', 'ListMultipartUploadParts', 'PutObject'] as const),
  ),
  'a cluster of the fleet': ['eks:DescribeCluster'],
  'the role orders, as oneself': ['sts:AssumeRole'],
  'the role judges, as oneself': ['sts:AssumeRole'],
  'the role unlocks, as oneself': ['sts:AssumeRole'],
  "the account's event bus": ['events:PutEvents if StringEquals events:source lockstep'],
  "Step Functions' rule for nested executions": of('events', 'DescribeRule', 'PutRule', 'PutTargets'),
  'a function of Lockstep': ['lambda:InvokeFunction'],
  'a state machine of Lockstep': [
    ...of('states', 'SendTaskFailure', 'SendTaskHeartbeat', 'SendTaskSuccess', 'StartExecution'),
  ],
  'executions of a state machine of Lockstep': of('states', 'DescribeExecution', 'StopExecution'),
  'logs of its own': of('logs', 'CreateLogStream', 'PutLogEvents'),
  'a secret of Lockstep': ['secretsmanager:GetSecretValue'],
  'the topic of approvals': ['sns:Publish'],
  'the topic of notifications': ['sns:Publish'],
  'a queue of lost events': of('sqs', 'GetQueueAttributes', 'GetQueueUrl', 'SendMessage'),
  "the network interfaces of the network's account": inNetwork,
  'the subnets and the security group of functions': ['ec2:CreateNetworkInterface'],
  // None of these has a resource level.
  '*': [
    ...of('ec2', 'DescribeNetworkInterfaces', 'DescribeSubnets'),
    ...of('logs', 'CreateLogDelivery', 'DeleteLogDelivery', 'DescribeLogGroups', 'DescribeResourcePolicies'),
    ...of('logs', 'GetLogDelivery', 'ListLogDeliveries', 'PutResourcePolicy', 'UpdateLogDelivery'),
    ...of('xray', 'GetSamplingRules', 'GetSamplingTargets', 'PutTelemetryRecords', 'PutTraceSegments'),
  ],
}

/** How resources are written in templates, and what they are. The first that fits is taken. */
const named: readonly (readonly [RegExp, string])[] = [
  [/^\{(Ledger(?:Table|Audit))\}$/, 'the table $1'],
  [/:table\/terraform-state-lock$/, 'a lock table of the fleet'],
  [/:s3:::my-tfstate-bucket$/, 'a state bucket of the fleet'],
  [/:s3:::my-tfstate-bucket\/(.+)$/, '$1 in a state bucket of the fleet'],
  [/^\{(WaveFilesBucket)\}$/, 'the bucket $1'],
  [/^\{(WaveFilesBucket)\}\/(.+)$/, '$2 in the bucket $1'],
  [/:cluster\/eks-cluster-number-\d+$/, 'a cluster of the fleet'],
  [/^\{ClusterAccessRoles(orders|judges|unlocks)\}$/, 'the role $1, as oneself'],
  [/:iam::222222222222:role\/Lockstep-(orders|judges|unlocks)$/, 'the role $1, as oneself'],
  [/:event-bus\/default$/, "the account's event bus"],
  [/:rule\/StepFunctionsGetEventsForStepFunctionsExecutionRule$/, "Step Functions' rule for nested executions"],
  [/^\{\w+Function\}$/, 'a function of Lockstep'],
  [/^\{Workflow\w+\}$|:stateMachine:Lockstep-[a-z-]+$/, 'a state machine of Lockstep'],
  [/:execution:Lockstep-[a-z-]+:\*$/, 'executions of a state machine of Lockstep'],
  [/^\{(?:Webhook|Approvals)Secret\}$/, 'a secret of Lockstep'],
  [/^\{ApprovalsTopic\}$/, 'the topic of approvals'],
  [/^\{NotificationsTopic\}$/, 'the topic of notifications'],
  [/^\{(?:Restore\w*|Notifications|Sweep)Lost\}$/, 'a queue of lost events'],
  [/:network-interface\/\*$/, "the network interfaces of the network's account"],
  [/:subnet\/subnet-\w+$|:security-group\/\{NetworkFunctions\}$/, 'the subnets and the security group of functions'],
  [/^\*$/, '*'],
]

interface Statement {
  readonly Effect: 'Allow' | 'Deny'
  readonly Action: string | readonly string[]
  readonly Resource: unknown
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>
}
interface Resource {
  readonly Type: string
  readonly Properties: Readonly<Record<string, unknown>>
}
const asList = <T>(value: T | readonly T[]): readonly T[] => (Array.isArray(value) ? value : [value as T])

const stacks = lockstepStacks(newApp(), fleetFile(largeFleet(10)))
const templates = [
  ...[stacks.lockstep, ...stacks.accounts, ...stacks.clusters].map((stack) => Template.fromStack(stack)),
  ...stacks.lockstep.sweeps.parts.map(nestedTemplate),
]
const resources = templates.flatMap((template) => Object.entries<Resource>(template.toJSON().Resources))
const statements = resources
  .filter(([, { Type }]) => Type === 'AWS::IAM::Policy' || Type === 'AWS::IAM::ManagedPolicy')
  .flatMap(([id, { Properties }]) => {
    const { Statement } = Properties.PolicyDocument as { Statement: readonly Statement[] }
    return Statement.map((statement) => ({ ...statement, policy: id.replace(/(?:Role)?DefaultPolicy\w*$/, '') }))
  })

/** An ARN as it is in the template, with `{LogicalId}` without its hash for what a stack makes. */
function textOf(arn: unknown): string {
  if (typeof arn === 'string') return arn
  const { Ref, 'Fn::GetAtt': attribute, 'Fn::Join': join } = arn as Record<string, unknown>
  if (Array.isArray(join)) return (join[1] as unknown[]).map(textOf).join(join[0])
  const id = Array.isArray(attribute) ? String(attribute[0]) : String(Ref)
  return `{${id.replace(/[0-9A-F]{8}$/, '')}}`
}

function nameOf(arn: string, policy: string): string {
  // Logs are checked to be the role's own: no other name fits them.
  if (arn === `{${policy}Logs}`) return 'logs of its own'
  const fits = named.flatMap(([pattern, name]) => {
    const match = pattern.exec(arn)
    return match ? [name.replaceAll(/\$(\d)/g, (_, group) => match[Number(group)] ?? '')] : []
  })
  return fits[0] ?? `unknown: ${arn} of ${policy}`
}

it('are granted for what has a name here, and nothing more', () => {
  const found = new Map<string, Set<string>>()
  for (const { Effect, Action, Resource, Condition = {}, policy } of statements) {
    if (Effect === 'Deny') continue
    for (const resource of asList(Resource)) {
      const name = nameOf(textOf(resource), policy)
      const conditions = Object.entries(Condition).flatMap(([operator, keys]) =>
        Object.entries(keys).map(([key, values]) => `${operator} ${key} ${asList(values).join(', ')}`),
      )
      // Under which name a role is taken on is asserted for each function, below.
      const when = name.endsWith('as oneself') ? '' : conditions.map((condition) => ` if ${condition}`).join('')
      const known = found.get(name) ?? new Set()
      for (const action of asList(Action)) known.add(`${action}${when}`)
      found.set(name, known)
    }
  }
  const sorted = (table: Iterable<readonly [string, Iterable<string>]>) =>
    Object.fromEntries([...table].map(([name, actions]) => [name, [...actions].sort()]))
  expect(sorted(found)).toEqual(sorted(Object.entries(rights)))
})

it('name every action, and a resource where there is one', () => {
  expect(statements.length).toBeGreaterThan(200)
  for (const { Effect, Action, Resource, Condition } of statements) {
    for (const action of asList(Action)) expect(action).toMatch(/^[a-z0-9]+:[A-Za-z]+$/)
    if (Effect === 'Deny') continue
    for (const resource of asList(Resource)) if (resource === '*') expect(Condition).toBeUndefined()
  }
})

it('let a function take on a role under its own name only', () => {
  const taking = statements.filter(({ Action }) => Action === 'sts:AssumeRole')
  expect(taking.length).toBeGreaterThan(15)
  const kebab = (policy: string) =>
    policy
      .replace(/^Steps/, '')
      .replace(/(?!^)[A-Z]/g, '-$&')
      .toLowerCase()
  for (const { policy, Condition } of taking)
    expect(Condition).toEqual({ StringEquals: { 'sts:RoleSessionName': kebab(policy) } })
})

it('are denied to functions’ own code where only Lambda needs them', () => {
  const denied = statements.filter(({ Effect }) => Effect === 'Deny')
  expect(denied.length).toBeGreaterThan(15)
  for (const { Action, Condition } of denied) {
    expect([...asList(Action)].sort()).toEqual(
      [...inNetwork, ...of('ec2', 'DescribeNetworkInterfaces', 'DescribeSubnets')].sort(),
    )
    expect(Condition).toEqual({ Null: { 'lambda:SourceFunctionArn': 'false' } })
  }
})

it('come from policies of Lockstep’s own', () => {
  const roles = resources.filter(([, { Type }]) => Type === 'AWS::IAM::Role')
  expect(roles.length).toBeGreaterThan(30)
  for (const [, { Properties }] of roles) {
    expect(Properties).not.toHaveProperty('ManagedPolicyArns')
    expect(Properties).not.toHaveProperty('Policies')
  }
})
