import { RemovalPolicy } from 'aws-cdk-lib'
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb'
import { Construct } from 'constructs'
import type { HandlerFunction } from './handler-function.ts'

/** The table of claims, rollouts and observations. It outlives the stack: without it nothing held can be restored. */
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

  /** The calls of functions/lib/ledger/dynamodb-ledger.ts: no scan, no delete, no transaction. */
  grant(to: HandlerFunction): void {
    to.allow(['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query'], [this.table.tableArn])
  }
}
