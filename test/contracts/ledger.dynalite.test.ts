import { startDynamoDb } from '../../infra/local/dynamodb.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { ledgerAt } from './ledger.client.ts'
import { ledgerContract } from './ledger.contract.ts'

ledgerContract('DynamoDB client on dynalite', async () => {
  const server = await startDynamoDb({ activity: noActivity, table: 'ledger' })
  const { ledger, close } = ledgerAt(server.url, 'ledger')
  return {
    ledger,
    close: async () => {
      close()
      await server.close()
    },
  }
})
