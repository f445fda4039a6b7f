import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import { type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { BlockPublicAccess, Bucket, BucketEncryption, type CfnBucket, ObjectOwnership } from 'aws-cdk-lib/aws-s3'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { HandlerFunction } from './handler-function.ts'

/** What a function does with the files of waves. */
export type WaveWork = 'plans waves' | 'concludes waves'

/** Of functions/lib/waves/wave-store.ts. */
const keys = { waves: '*/waves.json', items: '*/clusters.json', results: '*/results/*' } as const

type Rights = Readonly<Partial<Record<keyof typeof keys, readonly string[]>>>

/** The calls of functions/lib/waves/s3-wave-store.ts. */
const rightsOf: Readonly<Record<WaveWork, Rights>> = {
  'plans waves': { waves: ['s3:GetObject', 's3:PutObject'], items: ['s3:PutObject'] },
  'concludes waves': { waves: ['s3:GetObject'], results: ['s3:GetObject'] },
}

/**
 * What ItemReader and ResultWriter need.
 * https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
 */
const rightsOfMap: Rights = {
  items: ['s3:GetObject'],
  results: ['s3:AbortMultipartUpload', 's3:GetObject', 's3:ListMultipartUploadParts', 's3:PutObject'],
}

/**
 * The waves of each push, and of large ones the clusters and how they ended. An execution lasts a year at most, and so do
 * they: without them nobody could tell what a push has still to reach.
 */
export class WaveFiles extends Construct {
  readonly bucket: Bucket

  constructor(scope: Construct, id: string) {
    super(scope, id)
    this.bucket = new Bucket(this, 'Bucket', {
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      lifecycleRules: [{ expiration: Duration.days(366), abortIncompleteMultipartUploadAfter: Duration.days(1) }],
      removalPolicy: RemovalPolicy.RETAIN,
    })
    const logged = 'Names of clusters, written and read by two functions and one state machine, whose calls are logged.'
    const written = 'A key is written once, for one push, and is of no use when the push is a year old.'
    Validations.of(this.bucket).acknowledge(
      { id: 'AwsSolutions-S1', reason: logged },
      { id: 'NIST.800.53.R5-S3BucketLoggingEnabled', reason: logged },
      { id: 'NIST.800.53.R5-S3BucketReplicationEnabled', reason: written },
      { id: 'NIST.800.53.R5-S3BucketVersioningEnabled', reason: written },
      { id: 'NIST.800.53.R5-S3DefaultEncryptionKMS', reason: 'S3 encrypts it with its own key; no secret is in it.' },
    )
  }

  grant(to: HandlerFunction, work: WaveWork): void {
    // Without the right to list, what does not exist is forbidden.
    to.allow(['s3:ListBucket'], [this.bucket.bucketArn])
    this.allow(to.role, rightsOf[work])
  }

  grantMap(machine: StateMachine): void {
    this.allow(machine.role, rightsOfMap)
  }

  private allow(role: IRole, rights: Rights): void {
    const id = Stack.of(this).getLogicalId(this.bucket.node.defaultChild as CfnBucket)
    for (const [kind, actions = []] of Object.entries(rights)) {
      const pattern = keys[kind as keyof typeof keys]
      const resources = [this.bucket.arnForObjects(pattern)]
      role.addToPrincipalPolicy(new PolicyStatement({ actions: [...actions], resources }))
      Validations.of(role).acknowledge({
        id: `AwsSolutions-IAM5[Resource::<${id}.Arn>/${pattern}]`,
        reason: 'Keys begin with the id of a delivery, which nobody knows before the push.',
      })
    }
  }
}
