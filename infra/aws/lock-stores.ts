import { ArnFormat, Stack } from 'aws-cdk-lib'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import type { Fleet } from '../../functions/lib/fleet.ts'
import { acknowledgeWildcard } from './acknowledge-wildcard.ts'
import type { HandlerFunction } from './handler-function.ts'

/** What a function does in the fleet's lock tables and buckets. */
export type StoreWork =
  | 'reads locks'
  | 'reads locks and states'
  | 'reads states'
  | 'reads versions of states'
  | 'backs up states'
  | 'reads states and deletes locks'

interface Rights {
  /** On the lock tables. */
  readonly tables?: readonly string[]
  /** On the buckets. */
  readonly buckets: readonly string[]
  /** On objects whose keys end like this; `''` is all of them, states too. */
  readonly objects: Readonly<Record<string, readonly string[]>>
}

const states = ''
const lockFiles = '.tflock'
/** Of the copies that functions/lib/unlock/state/s3-state-keeper.ts makes. */
const copies = '.lockstep-backup-*'

/** Beside the lock `<bucket>/<key>` the S3 backend keeps the item `<bucket>/<key>-md5`. */
const noDigest = { 'ForAllValues:StringNotLike': { 'dynamodb:LeadingKeys': ['*-md5'] } }

const readTables = ['dynamodb:BatchGetItem', 'dynamodb:DescribeTable', 'dynamodb:GetItem', 'dynamodb:Scan']
/** Without the right to list, what does not exist is forbidden. */
const list = 's3:ListBucket'
const versions = {
  buckets: [list, 's3:ListBucketVersions'],
  objects: { [states]: ['s3:GetObject', 's3:GetObjectVersion'] },
}

/** The calls of dynamodb-lock-store.ts, s3-lock-store.ts, s3-state-reader.ts and s3-state-keeper.ts. */
const rightsOf: Readonly<Record<StoreWork, Rights>> = {
  'reads locks': { tables: readTables, buckets: [list], objects: { [lockFiles]: ['s3:GetObject'] } },
  'reads locks and states': { tables: readTables, buckets: [list], objects: { [states]: ['s3:GetObject'] } },
  'reads states': { buckets: [list], objects: { [states]: ['s3:GetObject'] } },
  'reads versions of states': versions,
  'backs up states': { ...versions, objects: { ...versions.objects, [copies]: ['s3:PutObject'] } },
  'reads states and deletes locks': {
    tables: ['dynamodb:DeleteItem', 'dynamodb:GetItem'],
    buckets: [list],
    objects: { [states]: ['s3:GetObject'], [lockFiles]: ['s3:DeleteObject'] },
  },
}

/**
 * Who may do what in the fleet's lock tables and buckets. They are the fleet's own: the stack neither makes nor changes
 * them.
 */
export class LockStores extends Construct {
  private readonly fleet: Fleet

  constructor(scope: Construct, id: string, fleet: Fleet) {
    super(scope, id)
    this.fleet = fleet
  }

  /** The states' names are not known: it is all objects, or those of the prefixes. */
  grant(to: HandlerFunction, work: StoreWork): void {
    const { dynamodb, s3 } = this.fleet.locks
    const { tables, buckets, objects } = rightsOf[work]
    if (tables && dynamodb.length > 0) {
      const resources = dynamodb.map(({ table, region }) => this.tableArn(table, region))
      for (const action of tables) {
        // The digest of a state is in the same table, and nobody's to delete.
        const conditions = action === 'dynamodb:DeleteItem' ? noDigest : {}
        to.role.addToPolicy(new PolicyStatement({ actions: [action], resources, conditions }))
      }
    }
    if (s3.length === 0) return
    to.allow(
      [...buckets],
      s3.map(({ bucket }) => this.bucketArn(bucket)),
    )
    for (const [ending, actions] of Object.entries(objects)) this.allowOn(ending, actions, to)
  }

  private allowOn(ending: string, actions: readonly string[], to: HandlerFunction): void {
    const resources = this.fleet.locks.s3.flatMap(({ bucket, prefixes = [''] }) =>
      prefixes.map((prefix) => `${this.bucketArn(bucket)}/${prefix}*${ending}`),
    )
    for (const action of actions) {
      // A delete that does not say which version of the lock file it means could hit another lock.
      // https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-delete-enforce.html
      const conditions = action === 's3:DeleteObject' ? { Null: { 's3:if-match': 'false' } } : {}
      to.role.addToPolicy(new PolicyStatement({ actions: [action], resources, conditions }))
    }
    acknowledgeWildcard(
      to.role,
      resources,
      'States, their copies and lock files: their names follow from objects in clusters.',
    )
  }

  private tableArn(table: string, region: string): string {
    return Stack.of(this).formatArn({ service: 'dynamodb', resource: 'table', resourceName: table, region })
  }

  private bucketArn(bucket: string): string {
    return Stack.of(this).formatArn({
      ...{ service: 's3', resource: bucket, region: '', account: '' },
      arnFormat: ArnFormat.NO_RESOURCE_NAME,
    })
  }
}
