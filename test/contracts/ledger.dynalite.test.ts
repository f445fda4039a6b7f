import { startDynamoDb } from '../../infra/local/dynamodb.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { ledgerAt } from './ledger.client.ts'
import { auditContract, ledgerContract } from './ledger.contract.ts'

async function onDynalite() {
  const server = await startDynamoDb({ activity: noActivity, tables: ['ledger', 'audit'] })
  const { ledger, close } = ledgerAt(server.url, { table: 'ledger', auditTable: 'audit' })
  return {
    ledger,
    close: async () => {
      close()
      await server.close()
    },
  }
}

ledgerContract('DynamoDB client on dynalite', onDynalite)
auditContract('DynamoDB client on dynalite', onDynalite)
