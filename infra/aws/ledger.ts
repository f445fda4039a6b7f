import { RemovalPolicy } from 'aws-cdk-lib'
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import type { HandlerFunction } from './handler-function.ts'

/** The table of claims, rollouts, observations and unlocks. It outlives the stack: without it nothing held can be restored. */
export class Ledger extends Construct {
  readonly table: Table

  constructor(scope: Construct, id: string) {
    super(scope, id)
    this.table = new Table(this, 'Table', {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: 'expiresAt',
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    })
  }

  /**
   * The calls of functions/lib/ledger/dynamodb-ledger.ts: no scan, no update, no delete, no transaction. What has happened
   * in an unlock, and who agreed to it, is written by the functions of unlocks alone. That nobody puts a record of the
   * audit over another one is the condition of each put: IAM cannot tell the two apart.
   */
  grant(to: HandlerFunction, writes: 'rollouts' | 'unlocks'): void {
    const resources = [this.table.tableArn]
    to.allow(['dynamodb:GetItem', 'dynamodb:Query'], resources)
    const ofUnlocks = { 'ForAllValues:StringNotLike': { 'dynamodb:LeadingKeys': ['unlock#*', 'approvals'] } }
    const conditions = writes === 'unlocks' ? {} : ofUnlocks
    to.role.addToPolicy(new PolicyStatement({ actions: ['dynamodb:PutItem'], resources, conditions }))
  }
}
