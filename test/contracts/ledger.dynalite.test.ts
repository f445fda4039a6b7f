import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { systemClock } from '../../functions/lib/clock.ts'
import { DynamoDbLedger } from '../../functions/lib/ledger/dynamodb-ledger.ts'
import { localCredentials, startDynamoDb } from '../../infra/local/dynamodb.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { ledgerContract } from './ledger.contract.ts'

ledgerContract('DynamoDB client on dynalite', async () => {
  const server = await startDynamoDb({ activity: noActivity, table: 'ledger' })
  const raw = new DynamoDBClient({ endpoint: server.url, region: 'us-east-1', credentials: localCredentials })
  const client = DynamoDBDocumentClient.from(raw, { marshallOptions: { removeUndefinedValues: true } })
  return {
    ledger: new DynamoDbLedger({ client, table: 'ledger', clock: systemClock }),
    close: async () => {
      raw.destroy()
      await server.close()
    },
  }
})
