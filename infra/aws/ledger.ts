import { RemovalPolicy, Validations } from 'aws-cdk-lib'
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb'
import { AnyPrincipal, Effect, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import type { HandlerFunction } from './handler-function.ts'

/** What a function writes about. */
export type LedgerWork = keyof typeof partitions

/** Partitions of functions/lib/ledger/dynamodb-ledger.ts that are written about it: these alone, or all but these. */
const partitions = {
  /** What people were told, and statuses at GitHub. */
  notices: { only: ['notice#*', 'push#*'] },
  /** What people are asked, and what they decide: by the only function that the whole internet can call, too. */
  decisions: { only: ['approvals'] },
  rollouts: { not: ['unlock#*', 'approvals'] },
  /** Rollouts, and what people are asked in them. */
  approvals: { not: ['unlock#*'] },
  /** All of it. */
  unlocks: {},
} as const satisfies Record<string, { readonly only: readonly string[] } | { readonly not?: readonly string[] }>

/** Who may say what has happened in unlocks and approvals. */
const audited: readonly LedgerWork[] = ['decisions', 'approvals', 'unlocks']

/**
 * The table of claims, rollouts, observations and unlocks, and that of what happened in unlocks and approvals. They outlive
 * the stack: without the one nothing held can be restored, and the other one is for good.
 */
export class Ledger extends Construct {
  readonly table: Table
  readonly audit: Table

  constructor(scope: Construct, id: string) {
    super(scope, id)
    const lasting = {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    }
    this.table = new Table(this, 'Table', { ...lasting, timeToLiveAttribute: 'expiresAt' })
    this.audit = new Table(this, 'Audit', { ...lasting, resourcePolicy: nothingButInsert })
    Validations.of(this).acknowledge({
      id: 'NIST.800.53.R5-DynamoDBInBackupPlan',
      reason:
        'Both have point-in-time recovery, of 35 days. Which plan covers an account is for the account to say, by its tags.',
    })
  }

  /** What a function has to know of it. */
  get environment(): Record<string, string> {
    return { LEDGER_TABLE: this.table.tableName, AUDIT_TABLE: this.audit.tableName }
  }

  /**
   * The calls of functions/lib/ledger/dynamodb-ledger.ts: no scan, no update, no delete, no transaction. Who agreed to
   * what is written by the functions of approvals and unlocks alone, and so is what has happened: that is inserted, which
   * fails where a record is there already (DuplicateItemException). An INSERT takes this one right, whether its values are in the
   * statement or are parameters: these belong to the call, and IAM knows the action and the table.
   * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
   * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.insert.html
   */
  grant(to: HandlerFunction, writes: LedgerWork): void {
    const resources = [this.table.tableArn]
    to.allow(['dynamodb:GetItem', 'dynamodb:Query'], resources)
    const conditions = conditionsFor(partitions[writes])
    to.role.addToPolicy(new PolicyStatement({ actions: ['dynamodb:PutItem'], resources, conditions }))
    if (audited.includes(writes)) to.allow(['dynamodb:PartiQLInsert', 'dynamodb:Query'], [this.audit.tableArn])
  }
}

/** On the keys of all items that a request names, which is one. */
function conditionsFor({ only, not }: { readonly only?: readonly string[]; readonly not?: readonly string[] }) {
  return {
    ...(only && { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': only } }),
    ...(not && { 'ForAllValues:StringNotLike': { 'dynamodb:LeadingKeys': not } }),
  }
}

/**
 * Whoever they are, and whatever their own policies allow: nobody changes a record, writes over it, deletes it, or lets it
 * expire. All that is left is PartiQL's INSERT, which never touches an item that is there. Those who may change this policy can
 * get around it, and CloudTrail tells of that.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-iam-actions.html
 */
const nothingButInsert = new PolicyDocument({
  statements: [
    new PolicyStatement({
      sid: 'NothingButInsert',
      effect: Effect.DENY,
      principals: [new AnyPrincipal()],
      actions: [
        'dynamodb:BatchWriteItem',
        'dynamodb:DeleteItem',
        'dynamodb:DeleteTable',
        'dynamodb:PartiQLDelete',
        'dynamodb:PartiQLUpdate',
        'dynamodb:PutItem',
        'dynamodb:UpdateItem',
        'dynamodb:UpdateTimeToLive',
      ],
      // This table: in its own policy it cannot be named before it is there.
      resources: ['*'],
    }),
  ],
})
