import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbLockStore } from '../../../functions/lib/locks/stores/dynamodb-lock-store.ts'
import { type LocalDynamoDb, localCredentials, startDynamoDb } from '../../../infra/local/dynamodb.ts'
import { noActivity } from '../../../infra/local/virtual-clock.ts'
import { LockTable } from '../../contracts/lock-table.ts'

const region = 'us-east-1'
const table = 'locks'
let server: LocalDynamoDb
let locks: LockTable
let client: DynamoDBClient

const storeOf = (name: string) =>
  new DynamoDbLockStore({ client: DynamoDBDocumentClient.from(client), region, table: name, pageSize: 2 })
const addressOf = (lockId: string, name = table) => ({ store: 'dynamodb', region, table: name, lockId }) as const

beforeAll(async () => {
  server = await startDynamoDb({ activity: noActivity, tables: ['ledger'] })
  locks = new LockTable(server.url, table)
  await locks.create()
  client = new DynamoDBClient({ endpoint: server.url, region, credentials: localCredentials, maxAttempts: 1 })
})

afterAll(async () => {
  locks.close()
  client.destroy()
  await server.close()
})

describe('an item that OpenTofu did not write', () => {
  it.each([
    ['without Info', {}, 'is missing'],
    ['with a number', { Info: { N: '7' } }, 'is not text'],
    ['with nothing', { Info: { NULL: true } }, 'is not text'],
    ['with bytes', { Info: { B: new Uint8Array([1]) } }, 'is not text'],
  ])('%s is a lock that cannot be deleted', async (title, attributes, problem) => {
    const lockId = `bucket/${title}`
    await client.send(new PutItemCommand({ TableName: table, Item: { LockID: { S: lockId }, ...attributes } }))
    const lock = { address: addressOf(lockId), record: { problem } }
    expect(await storeOf(table).read(lock.address)).toEqual(lock)
    expect(await storeOf(table).list()).toContainEqual(lock)
    await expect(storeOf(table).deleteIfUnchanged(lock)).rejects.toMatchObject({ name: 'LockNotComparable' })
    expect(await locks.read(lockId)).toBeDefined()
  })

  it('and that ends in -md5 is a digest, whatever is in it', async () => {
    await locks.take('bucket/state-md5', '{"ID":"1"}')
    const found = await storeOf(table).list()
    expect(found.filter(({ address }) => address.lockId.endsWith('-md5'))).toEqual([])
  })
})

describe('a table', () => {
  it('that does not exist is told by every request', async () => {
    const store = storeOf('nowhere')
    const lock = { address: addressOf('bucket/a', 'nowhere'), record: { problem: '' }, version: 'x' }
    for (const work of [() => store.list(), () => store.read(lock.address), () => store.deleteIfUnchanged(lock)]) {
      await expect(work()).rejects.toMatchObject({
        name: 'LockStoreMissing',
        store: 'DynamoDB table nowhere in us-east-1',
        message: expect.stringMatching(/dynamodb:(Scan|GetItem|DeleteItem)/),
      })
    }
  })

  it('that is of the same name in another region is another', async () => {
    const address = { ...addressOf('bucket/a'), region: 'eu-central-1' }
    await expect(storeOf(table).read(address)).rejects.toMatchObject({ name: 'NoLockOfThisStore' })
  })
})
