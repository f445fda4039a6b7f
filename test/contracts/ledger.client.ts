import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { systemClock } from '../../functions/lib/clock.ts'
import { DynamoDbLedger } from '../../functions/lib/ledger/dynamodb-ledger.ts'
import type { Ledger } from '../../functions/lib/ledger/ledger.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'

/** The ledger in these tables of the DynamoDB at `endpoint`, as the functions use it. `close` closes the client. */
export function ledgerAt(
  endpoint: string,
  tables: { readonly table: string; readonly auditTable: string },
): { ledger: Ledger; close(): void } {
  const raw = new DynamoDBClient({ endpoint, region: 'us-east-1', credentials: localCredentials })
  const client = DynamoDBDocumentClient.from(raw, { marshallOptions: { removeUndefinedValues: true } })
  return { ledger: new DynamoDbLedger({ client, ...tables, clock: systemClock }), close: () => raw.destroy() }
}
