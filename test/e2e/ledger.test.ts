import { inject } from 'vitest'
import { createTable } from '../../infra/local/dynamodb.ts'
import { ledgerAt } from '../contracts/ledger.client.ts'
import { ledgerContract } from '../contracts/ledger.contract.ts'
import { lockTableContract } from '../contracts/lock-table.contract.ts'
import { startMoto } from './moto/moto-server.ts'

const start = () => startMoto({ python: inject('python') })

ledgerContract('DynamoDB client on moto', async () => {
  const server = await start()
  await createTable(server.url, 'ledger')
  const { ledger, close } = ledgerAt(server.url, { table: 'ledger', auditTable: 'audit' })
  return {
    ledger,
    close: async () => {
      close()
      await server.close()
    },
  }
})

lockTableContract('moto', start)
