import { startDynamoDb } from '../../infra/local/dynamodb.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { lockTableAt, withServer } from './lock-store.client.ts'
import { lockStoreContract } from './lock-store.contract.ts'

lockStoreContract('DynamoDB client on dynalite', async () => {
  const server = await startDynamoDb({ activity: noActivity, tables: ['ledger'] })
  return withServer(await lockTableAt(server.url), server)
})
