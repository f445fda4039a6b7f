import {
  CreateTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  ResourceInUseException,
} from '@aws-sdk/client-dynamodb'
import dynalite from 'dynalite'
import { listenOnLoopback } from './loopback.ts'
import { teachInsert } from './partiql-insert.ts'
import type { Activity } from './virtual-clock.ts'

/** Any name and key do: the stand-ins check no signatures. */
export const localCredentials = { accessKeyId: 'local', secretAccessKey: 'local' }

export interface LocalDynamoDb {
  /** Endpoint for @aws-sdk/client-dynamodb. */
  readonly url: string
  close(): Promise<void>
}

/** DynamoDB on loopback. `directory` keeps the data; without it they live in memory. */
export async function startDynamoDb(options: {
  readonly activity: Activity
  /** The ledger's, which are made where they are not there yet. */
  readonly tables?: readonly string[]
  readonly directory?: string
}): Promise<LocalDynamoDb> {
  const server = dynalite({ createTableMs: 0, ...(options.directory && { path: options.directory }) })
  let url = ''
  teachInsert(server, () => url)
  const underWay = new Set<object>()
  server.on('request', (_request, response) => {
    const end = options.activity.begin()
    underWay.add(response)
    response.on('close', () => {
      underWay.delete(response)
      end()
    })
  })
  url = (await listenOnLoopback(server)).url
  for (const table of options.tables ?? []) await createTable(url, table)
  return {
    url,
    close: async () => {
      // A request that finds the database closed ends the process: dynalite throws out of reach of any handler.
      while (underWay.size > 0) await new Promise((resolve) => setImmediate(resolve))
      // dynalite's own close ends its database as well.
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

/** What a table's items are found by: the names of the partition key and, where there is one, of the sort key. */
type TableKeys = readonly [partition: string, sort?: string]

const ledgerKeys: TableKeys = ['pk', 'sk']
/** Of OpenTofu's S3 backend. */
export const lockTableKeys: TableKeys = ['LockID']

/** Makes a table, the ledger's for one, where it is not there yet, and waits until it can be used. */
export async function createTable(endpoint: string, table: string, keys = ledgerKeys): Promise<void> {
  const names = keys.filter((name) => name !== undefined)
  const client = new DynamoDBClient({ endpoint, region: 'us-east-1', credentials: localCredentials })
  try {
    await client.send(
      new CreateTableCommand({
        TableName: table,
        KeySchema: names.map((AttributeName, at) => ({ AttributeName, KeyType: at === 0 ? 'HASH' : 'RANGE' })),
        AttributeDefinitions: names.map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
        BillingMode: 'PAY_PER_REQUEST',
      }),
    )
  } catch (error) {
    // The directory is one of an earlier run.
    if (!(error instanceof ResourceInUseException)) throw error
  }
  // It is being made for a moment even here.
  const isActive = async () => {
    const { Table } = await client.send(new DescribeTableCommand({ TableName: table }))
    return Table?.TableStatus === 'ACTIVE'
  }
  while (!(await isActive())) await new Promise((resolve) => setTimeout(resolve, 5))
  client.destroy()
}
