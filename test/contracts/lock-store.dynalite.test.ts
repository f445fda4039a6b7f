import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { DynamoDbLockStore } from '../../functions/lib/locks/dynamodb-lock-store.ts'
import { localCredentials, startDynamoDb } from '../../infra/local/dynamodb.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { lockStoreContract } from './lock-store.contract.ts'
import { LockTable } from './lock-table.ts'

lockStoreContract('DynamoDB client on dynalite', async () => {
  const server = await startDynamoDb({ activity: noActivity, table: 'ledger' })
  const region = 'us-east-1'
  const client = new DynamoDBClient({ endpoint: server.url, region, credentials: localCredentials, maxAttempts: 1 })
  const documents = DynamoDBDocumentClient.from(client)
  const table = new LockTable(server.url, 'locks')
  await table.create()
  const lockId = (name: string) => `bucket/${name}/terraform.tfstate`
  const address = (name: string) => ({ store: 'dynamodb', region, table: 'locks', lockId: lockId(name) }) as const
  return {
    store: new DynamoDbLockStore({ client: documents, region, table: 'locks', pageSize: 3 }),
    nowhere: new DynamoDbLockStore({ client: documents, region, table: 'nowhere' }),
    address,
    oddName: 'env:/größe und/🔒',
    tellsTime: false,
    now: () => Date.now(),
    take: (name, raw) => table.take(lockId(name), raw),
    release: (name) => table.delete(lockId(name)),
    clutter: async (name) => {
      await table.writeDigest(lockId(name), '0123')
      const digest = `${lockId(name)}-md5`
      return { address: { ...address(name), lockId: digest }, read: () => table.read(digest) }
    },
    close: async () => {
      table.close()
      client.destroy()
      await server.close()
    },
  }
})
