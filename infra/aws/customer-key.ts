import { Aspects, CfnOutput, type IAspect, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { CfnTable } from 'aws-cdk-lib/aws-dynamodb'
import { AnyPrincipal, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Key } from 'aws-cdk-lib/aws-kms'
import { CfnLogGroup } from 'aws-cdk-lib/aws-logs'
import { CfnBucket } from 'aws-cdk-lib/aws-s3'
import { CfnSecret } from 'aws-cdk-lib/aws-secretsmanager'
import { CfnTopic } from 'aws-cdk-lib/aws-sns'
import { CfnQueue } from 'aws-cdk-lib/aws-sqs'
import { Construct, type IConstruct } from 'constructs'

const use = ['kms:Decrypt', 'kms:DescribeKey', 'kms:Encrypt', 'kms:GenerateDataKey']

/**
 * One key of yours for all that its stack keeps: the ledger, buckets, topics, queues, logs and secrets. Whoever may use one of these
 * may use the key through that service, and not otherwise, as it is with the keys of AWS; so no role needs a right of its
 * own. The key stays when the stack is deleted: without it the ledger cannot be read.
 */
export class CustomerKey extends Construct {
  readonly key: Key

  constructor(scope: Construct, id: string) {
    super(scope, id)
    const stack = Stack.of(this)
    this.key = new Key(this, 'Key', {
      description: `Lockstep: what the stack ${stack.stackName} keeps`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    })
    for (const statement of statementsFor(stack)) this.key.addToResourcePolicy(statement)
    Aspects.of(stack).add(new EncryptAll(this.key))
    new CfnOutput(this, 'Arn', {
      value: this.key.keyArn,
      description: 'What all that Lockstep keeps is encrypted with',
    })
  }
}

function statementsFor(stack: Stack): PolicyStatement[] {
  const { account, region, partition } = stack
  const through = ['dynamodb', 's3', 'secretsmanager', 'sns', 'sqs'].map(
    (service) => `${service}.${region}.amazonaws.com`,
  )
  // In a key's policy, "*" is this key.
  const resources = ['*']
  return [
    new PolicyStatement({
      ...{ sid: 'ThroughServices', principals: [new AnyPrincipal()], actions: [...use, 'kms:CreateGrant'], resources },
      conditions: { StringEquals: { 'kms:CallerAccount': account, 'kms:ViaService': through } },
    }),
    new PolicyStatement({
      ...{ sid: 'Logs', principals: [new ServicePrincipal('logs.amazonaws.com')], actions: use, resources },
      conditions: {
        ArnLike: { 'kms:EncryptionContext:aws:logs:arn': `arn:${partition}:logs:${region}:${account}:log-group:*` },
      },
    }),
    // Rules that keep what they could not deliver, alarms and approvals that are told on a topic.
    new PolicyStatement({
      sid: 'EventsAndAlarms',
      principals: ['events', 'cloudwatch', 'sns', 'scheduler'].map(
        (name) => new ServicePrincipal(`${name}.amazonaws.com`),
      ),
      ...{ actions: ['kms:Decrypt', 'kms:GenerateDataKey'], resources },
      conditions: { StringEquals: { 'aws:SourceAccount': account } },
    }),
  ]
}

/** Gives the key to whatever can have one: what is added to the stack later has it, too. */
class EncryptAll implements IAspect {
  private readonly key: Key

  constructor(key: Key) {
    this.key = key
  }

  visit(node: IConstruct): void {
    const { keyArn } = this.key
    if (node instanceof CfnTable) node.sseSpecification = { sseEnabled: true, sseType: 'KMS', kmsMasterKeyId: keyArn }
    else if (node instanceof CfnBucket) {
      const serverSideEncryptionByDefault = { sseAlgorithm: 'aws:kms', kmsMasterKeyId: keyArn }
      const rules = [{ serverSideEncryptionByDefault, bucketKeyEnabled: true }]
      node.bucketEncryption = { serverSideEncryptionConfiguration: rules }
    } else if (node instanceof CfnTopic) node.kmsMasterKeyId = keyArn
    else if (node instanceof CfnLogGroup || node instanceof CfnSecret) node.kmsKeyId = keyArn
    else if (node instanceof CfnQueue) {
      node.kmsMasterKeyId = keyArn
      // The two exclude each other.
      node.sqsManagedSseEnabled = undefined
    }
  }
}
