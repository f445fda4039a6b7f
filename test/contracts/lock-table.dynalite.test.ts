import { startDynamoDb } from '../../infra/local/dynamodb.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { lockTableContract } from './lock-table.contract.ts'

lockTableContract('dynalite', () => startDynamoDb({ activity: noActivity, tables: ['ledger'] }))
