import { CfnOutput, Duration, RemovalPolicy, Stack, Token, Validations } from 'aws-cdk-lib'
import { BackupPlan, BackupPlanRule, BackupResource, BackupVault } from 'aws-cdk-lib/aws-backup'
import { AttributeType, BillingMode, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb'
import { Schedule } from 'aws-cdk-lib/aws-events'
import {
  AnyPrincipal,
  Effect,
  type IRole,
  ManagedPolicy,
  PolicyStatement,
  Role,
  ServicePrincipal,
} from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  type CfnBucket,
  type IBucket,
  type LifecycleRule,
  ObjectOwnership,
} from 'aws-cdk-lib/aws-s3'
import { Construct } from 'constructs'

/** `lockfile`: an object beside each state (OpenTofu and Terraform 1.10 and later). `table`: an item in a DynamoDB table. */
export type StateLock = 'lockfile' | 'table' | 'both'

export interface StateBackendProps {
  /** Default: AWS makes one up. */
  readonly bucketName?: string
  /** How states are locked. Default `lockfile`. With `both`, a lock is held in the two at once, for a move from one to the other. */
  readonly lock?: StateLock
  /** A key of yours for states, lock table and backups. Default: S3's and DynamoDB's own. */
  readonly key?: IKey
  /** How long an older version of a state is kept. Default one year. */
  readonly keepVersions?: Duration
  /** How many older versions of a state are kept however old they are, 1 to 100. Default 20. */
  readonly keepAtLeast?: number
  /** Where S3 writes who asked for which state. It must let the service in: a Bucket of the CDK does. */
  readonly accessLogs?: IBucket
  /** A copy by AWS Backup every day, for 35 days, in a vault of its own. Default false: versions are what is kept. */
  readonly backup?: boolean
}

/** Which states a runner may work on: exactly one of the two. */
export type RunnerStates =
  /** All whose keys begin so: `network/`. It ends with a slash, so that `net/` does not mean `network/`, too. */
  | { readonly prefix: string }
  /** The one: `network/vpc.tfstate`. */
  | { readonly key: string }

/** Where to look up what an OpenTofu or Terraform may call: https://opentofu.org/docs/language/settings/backends/s3/ */
const stateActions = ['s3:GetObject', 's3:PutObject']
const lockActions = [...stateActions, 's3:DeleteObject']
/** What S3 and DynamoDB ask KMS for in the name of whoever calls them. */
const keyActions = ['kms:Decrypt', 'kms:DescribeKey', 'kms:Encrypt', 'kms:GenerateDataKey']
const itemActions = ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:DeleteItem']

/**
 * Where OpenTofu and Terraform keep their states: a bucket that is versioned, encrypted, private and reached by TLS only,
 * and how states are locked there. States outlive the stack: bucket and table stay when it is deleted.
 *
 * Throws where `keepAtLeast` is out of range.
 */
export class StateBackend extends Construct {
  readonly bucket: Bucket
  /** The lock table, where there is one. */
  readonly table: Table | undefined
  private readonly lock: StateLock
  private readonly key: IKey | undefined

  constructor(scope: Construct, id: string, props: StateBackendProps = {}) {
    super(scope, id)
    const { bucketName, lock = 'lockfile', key, accessLogs, backup = false } = props
    this.lock = lock
    this.key = key
    this.bucket = new Bucket(this, 'Bucket', {
      ...(bucketName !== undefined && { bucketName }),
      versioned: true,
      ...(key ? { encryption: BucketEncryption.KMS, encryptionKey: key } : { encryption: BucketEncryption.S3_MANAGED }),
      // With it, KMS is asked once for many states.
      bucketKeyEnabled: key !== undefined,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      lifecycleRules: [lifecycle(props)],
      removalPolicy: RemovalPolicy.RETAIN,
      ...(accessLogs && { serverAccessLogsBucket: accessLogs, serverAccessLogsPrefix: `${this.node.path}/` }),
    })
    if (!accessLogs)
      Validations.of(this.bucket).acknowledge({
        id: 'AwsSolutions-S1',
        reason: 'No bucket for access logs was given. CloudTrail can record who reads a state, too.',
      })
    if (key) this.demandKey(key)
    this.table = lock === 'lockfile' ? undefined : this.lockTable()
    if (backup) this.backUp()
    new CfnOutput(this, 'BackendConfig', {
      description: 'For spec.backendConfig.customConfiguration of a Terraform object; put in its key',
      value: this.backendConfig('<key>'),
    })
  }

  /**
   * The backend of the state `key`, to paste into `spec.backendConfig.customConfiguration` of a Terraform object, or into
   * a `terraform` block.
   */
  backendConfig(key: string): string {
    return [
      'backend "s3" {',
      `  bucket = "${this.bucket.bucketName}"`,
      `  key = "${key}"`,
      `  region = "${Stack.of(this).region}"`,
      '  encrypt = true',
      ...(this.key ? [`  kms_key_id = "${this.key.keyArn}"`] : []),
      ...(this.lock === 'table' ? [] : ['  use_lockfile = true']),
      ...(this.table ? [`  dynamodb_table = "${this.table.tableName}"`] : []),
      '}',
    ].join('\n')
  }

  /**
   * Lets a runner work on these states, and on nothing else: read and write them, take and release their locks. It may not
   * delete a state, nor read or delete an older version. Workspaces other than the default one are elsewhere
   * (`env:/<workspace>/<key>`): grant their prefix, too.
   *
   * Throws where a prefix does not end with a slash, or a key or prefix has a wildcard.
   */
  grantRunner(role: IRole, states: RunnerStates): void {
    const keys = keysOf(states)
    const allow = (actions: string[], resources: string[], conditions: object = {}) =>
      role.addToPrincipalPolicy(new PolicyStatement({ actions, resources, conditions: conditions as Conditions }))
    // To be told that a state does not exist yet takes the right to list it; else it is forbidden. S3 takes the key that was
    // asked for as the prefix: https://developer.hashicorp.com/terraform/language/backend/s3#s3-bucket-permissions
    allow(['s3:ListBucket'], [this.bucket.bucketArn], { StringLike: { 's3:prefix': [keys] } })
    allow(stateActions, [this.bucket.arnForObjects(keys)])
    if (this.lock !== 'table') allow(lockActions, [this.bucket.arnForObjects(`${keys}.tflock`)])
    if (this.table) this.allowItems(role, keys)
    this.key?.grant(role, ...keyActions)
    this.acknowledge(role, keys)
  }

  /** Whoever asks for another encryption than the bucket's would leave a state that the key does not protect. */
  private demandKey(key: IKey): void {
    const wanted = { '': 'aws:kms', '-aws-kms-key-id': key.keyArn }
    for (const [ending, value] of Object.entries(wanted)) {
      const header = `s3:x-amz-server-side-encryption${ending}`
      this.bucket.addToResourcePolicy(
        new PolicyStatement({
          ...{ effect: Effect.DENY, principals: [new AnyPrincipal()], actions: ['s3:PutObject'] },
          resources: [this.bucket.arnForObjects('*')],
          // Not asked for at all is right, too: then S3 takes the bucket's.
          conditions: { Null: { [header]: 'false' }, StringNotEquals: { [header]: value } },
        }),
      )
    }
  }

  /** The locks of these states, and the digests that are kept beside them. */
  private allowItems(role: IRole, keys: string): void {
    const { table } = this
    if (!table) return
    const state = `${this.bucket.bucketName}/${keys}`
    // All of the items that one request names must be among these.
    const conditions = { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [state, `${state}-md5`] } }
    role.addToPrincipalPolicy(new PolicyStatement({ actions: itemActions, resources: [table.tableArn], conditions }))
    const actions = ['dynamodb:DescribeTable']
    role.addToPrincipalPolicy(new PolicyStatement({ actions, resources: [table.tableArn] }))
  }

  /** For cdk-nag, where it is used. */
  private acknowledge(role: IRole, keys: string): void {
    const bucket = Stack.of(this).getLogicalId(this.bucket.node.defaultChild as CfnBucket)
    // It writes variables of IAM as it does those of CloudFormation.
    const shown = keys.replace(/\$\{(.*?)\}/g, '<$1>')
    const of = (ending: string) => `AwsSolutions-IAM5[Resource::<${bucket}.Arn>/${shown}${ending}]`
    const reason =
      'The states below one prefix, and their lock files: what they are called is up to whoever writes them.'
    Validations.of(role).acknowledge(...['', '.tflock'].map((ending) => ({ id: of(ending), reason })))
  }

  /** One item for each lock, and one for each digest. */
  private lockTable(): Table {
    return new Table(this, 'Locks', {
      partitionKey: { name: 'LockID', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      ...(this.key
        ? { encryption: TableEncryption.CUSTOMER_MANAGED, encryptionKey: this.key }
        : { encryption: TableEncryption.DEFAULT }),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    })
  }

  /** The digests in the table are not backed up: one that does not fit the state that was brought back stops every run. */
  private backUp(): void {
    const vault = new BackupVault(this, 'Vault', {
      ...(this.key && { encryptionKey: this.key }),
      removalPolicy: RemovalPolicy.RETAIN,
    })
    const plan = new BackupPlan(this, 'Backup', { backupVault: vault })
    plan.addRule(
      new BackupPlanRule({
        ruleName: 'daily',
        scheduleExpression: Schedule.cron({ hour: '5', minute: '0' }),
        deleteAfter: Duration.days(35),
      }),
    )
    const policies = ['ForS3Backup', 'ForS3Restore'].map((name) => `AWSBackupServiceRolePolicy${name}`)
    const role = new Role(this, 'BackupRole', {
      assumedBy: new ServicePrincipal('backup.amazonaws.com'),
      description: `Backs up the states of ${this.node.path}`,
      managedPolicies: policies.map((name) => ManagedPolicy.fromAwsManagedPolicyName(name)),
    })
    this.key?.grant(role, ...keyActions, 'kms:CreateGrant')
    Validations.of(role).acknowledge(
      ...policies.map((name) => ({
        id: `AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/${name}]`,
        reason: 'What AWS Backup calls is up to AWS, which keeps this policy.',
      })),
    )
    plan.addSelection('States', {
      resources: [BackupResource.fromArn(this.bucket.bucketArn)],
      role,
      disableDefaultBackupPolicy: true,
    })
  }
}

type Conditions = Record<string, Record<string, unknown>>

/** Lock files leave a version and a delete marker each time: they go with the old versions. */
function lifecycle({ keepVersions = Duration.days(365), keepAtLeast = 20 }: StateBackendProps): LifecycleRule {
  if (!Token.isUnresolved(keepAtLeast) && !(Number.isInteger(keepAtLeast) && keepAtLeast >= 1 && keepAtLeast <= 100))
    throw new Error(`keepAtLeast is ${keepAtLeast}; give a whole number from 1 to 100.`)
  return {
    noncurrentVersionExpiration: keepVersions,
    noncurrentVersionsToRetain: keepAtLeast,
    expiredObjectDeleteMarker: true,
    abortIncompleteMultipartUploadAfter: Duration.days(7),
  }
}

/** `network/*`, or the key itself. A variable of IAM, such as a session tag, may be part of it. */
function keysOf(states: RunnerStates): string {
  const given = 'key' in states ? states.key : states.prefix
  if (/[*?]/.test(given)) throw new Error(`${given} has a wildcard; give a prefix such as "network/", or a key.`)
  if ('key' in states) return given
  if (!given.endsWith('/')) throw new Error(`The prefix "${given}" does not end with a slash; give "${given}/".`)
  return `${given}*`
}
