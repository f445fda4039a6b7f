import { ArnFormat, Stack, Validations } from 'aws-cdk-lib'
import { Construct } from 'constructs'
import type { Fleet } from '../../functions/lib/fleet.ts'
import type { HandlerFunction } from './handler-function.ts'

/** Who may read the fleet's lock tables and buckets. They are the fleet's own: the stack neither makes nor changes them. */
export class LockStores extends Construct {
  private readonly fleet: Fleet

  constructor(scope: Construct, id: string, fleet: Fleet) {
    super(scope, id)
    this.fleet = fleet
  }

  /**
   * The calls of functions/lib/locks/dynamodb-lock-store.ts and s3-lock-store.ts, without the deletes; with `states`
   * those of s3-state-reader.ts too. The states' names are not known: it is all objects, or those of the prefixes.
   */
  grant(to: HandlerFunction, { states }: { readonly states: boolean }): void {
    const { dynamodb, s3 } = this.fleet.locks
    if (dynamodb.length > 0) {
      to.allow(
        ['dynamodb:BatchGetItem', 'dynamodb:DescribeTable', 'dynamodb:GetItem', 'dynamodb:Scan'],
        dynamodb.map(({ table, region }) => this.tableArn(table, region)),
      )
    }
    if (s3.length === 0) return
    to.allow(
      ['s3:ListBucket'],
      s3.map(({ bucket }) => this.bucketArn(bucket)),
    )
    const objects = s3.flatMap(({ bucket, prefixes = [''] }) =>
      prefixes.map((prefix) => `${this.bucketArn(bucket)}/${prefix}*${states ? '' : '.tflock'}`),
    )
    to.allow(['s3:GetObject'], objects)
    Validations.of(to.role).acknowledge(
      ...objects.map((arn) => ({
        id: `AwsSolutions-IAM5[Resource::${arn.replace(Stack.of(this).partition, '<AWS::Partition>')}]`,
        reason: 'States and lock files: their names follow from objects in clusters.',
      })),
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
