import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbLockStore } from '../../../functions/lib/locks/stores/dynamodb-lock-store.ts'
import { type KeyReads, locksAt } from '../../../functions/lib/locks/stores/known-keys.ts'
import { LeaseLockStore } from '../../../functions/lib/locks/stores/lease-lock-store.ts'
import type { FoundLock, LockAddress, LockStore } from '../../../functions/lib/locks/stores/lock-store.ts'
import { S3LockStore } from '../../../functions/lib/locks/stores/s3-lock-store.ts'
import { type LocalDynamoDb, localCredentials, startDynamoDb } from '../../../infra/local/dynamodb.ts'
import { noActivity } from '../../../infra/local/virtual-clock.ts'
import { LockTable } from '../../contracts/lock-table.ts'

describe('known locks', () => {
  const address = (key: string): LockAddress => ({ store: 's3', bucket: 'b', key })
  const lock = (key: string): FoundLock => ({ address: address(key), record: { problem: '' } })
  const keys = (count: number) => Array.from({ length: count }, (_, index) => `${index}.tflock`)

  /** Locks 0, 1 and 2 are held. */
  function storeWith(more: Partial<KeyReads> = {}) {
    const calls: string[] = []
    const held = keys(3).map(lock)
    const store: LockStore & Partial<KeyReads> = {
      name: 'test',
      list: async () => {
        calls.push('list')
        return held
      },
      read: async (wanted) => {
        calls.push('read')
        return held.find(({ address }) => JSON.stringify(address) === JSON.stringify(wanted))
      },
      deleteIfUnchanged: async () => 'gone',
      ...more,
    }
    return { store, calls }
  }

  it('are read by key as long as that is cheaper', async () => {
    const { store, calls } = storeWith({ listCost: async () => 2 })
    expect(await locksAt(store, ['0.tflock', '7.tflock'].map(address))).toEqual([lock('0.tflock')])
    expect(calls).toEqual(['read', 'read'])
  })

  it('come out of a list where that is, without what was not asked for', async () => {
    const { store, calls } = storeWith({ listCost: async () => 2 })
    const wanted = ['2.tflock', '1.tflock', '9.tflock'].map(address)
    expect(await locksAt(store, wanted)).toEqual([lock('1.tflock'), lock('2.tflock')])
    expect(calls).toEqual(['list'])
  })

  it('are read by key up to 50 where the store does not say', async () => {
    const few = storeWith()
    expect(await locksAt(few.store, keys(50).map(address))).toHaveLength(3)
    expect(few.calls).not.toContain('list')
    const many = storeWith()
    expect(await locksAt(many.store, keys(51).map(address))).toHaveLength(3)
    expect(many.calls).toEqual(['list'])
  })

  it('are read once, however often they are named; nothing is asked for none', async () => {
    const { store, calls } = storeWith()
    expect(await locksAt(store, [address('0.tflock'), address('0.tflock')])).toHaveLength(1)
    expect(await locksAt(store, [])).toEqual([])
    expect(calls).toEqual(['read'])
  })

  it('are read together where the store can', async () => {
    const { store, calls } = storeWith({ readMany: async (wanted) => [{ ...lock('x'), version: `${wanted.length}` }] })
    expect(await locksAt(store, keys(3).map(address))).toEqual([{ ...lock('x'), version: '3' }])
    expect(calls).toEqual([])
  })

  it('of a bucket with prefixes are never looked for in a list, which may lack them', async () => {
    const unused = {} as never
    expect(await new S3LockStore({ client: unused, bucket: 'b', prefixes: ['a/'] }).listCost()).toBe(Infinity)
    expect(await new S3LockStore({ client: unused, bucket: 'b' }).listCost()).toBe(50)
  })

  it('of a cluster come out of one list, but for a single one', async () => {
    expect(await new LeaseLockStore({ name: 'staging' } as never).listCost()).toBe(1)
  })
})

describe('known items of a table', () => {
  const region = 'us-east-1'
  const table = 'locks'
  let server: LocalDynamoDb
  let locks: LockTable
  let client: DynamoDBClient
  let requests: string[] = []

  beforeAll(async () => {
    server = await startDynamoDb({ activity: noActivity, tables: ['ledger'] })
    locks = new LockTable(server.url, table)
    await locks.create()
    client = new DynamoDBClient({ endpoint: server.url, region, credentials: localCredentials, maxAttempts: 1 })
    const count = (next: (args: object) => Promise<object>, { commandName }: { commandName?: string }) => {
      return (args: object) => {
        requests.push(commandName ?? '')
        return next(args)
      }
    }
    client.middlewareStack.add(count as never, { step: 'initialize' })
    for (let index = 0; index < 3; index++) await locks.take(lockId(index), `{"ID":"${index}"}`)
    await locks.writeDigest(lockId(0), '0123')
  })
  afterAll(async () => {
    locks.close()
    client.destroy()
    await server.close()
  })

  const lockId = (index: number) => `bucket/${index}/terraform.tfstate`
  const addressOf = (lockId: string) => ({ store: 'dynamodb', region, table, lockId }) as const
  const addresses = (count: number) => Array.from({ length: count }, (_, index) => addressOf(lockId(index)))
  const storeOf = (name = table) =>
    new DynamoDbLockStore({ client: DynamoDBDocumentClient.from(client), region, table: name })
  const asked = async (work: () => Promise<unknown>) => {
    requests = []
    await work()
    return requests
  }
  const ids = (found: FoundLock[]) => found.map(({ record }) => record.info?.id).toSorted()

  it('are read in batches of 100', async () => {
    const store = storeOf()
    let found: FoundLock[] = []
    const made = await asked(async () => {
      found = await store.readMany([...addresses(200), addressOf('')])
    })
    expect(ids(found)).toEqual(['0', '1', '2'])
    expect(made).toEqual(['BatchGetItemCommand', 'BatchGetItemCommand'])
    expect(await store.read(addressOf(lockId(1)))).toEqual(found.find(({ record }) => record.info?.id === '1'))
  })

  /** Answers one command itself while something is done. */
  async function answered<T>(command: string, output: object, work: () => Promise<T>): Promise<T> {
    const stand = (next: (args: object) => Promise<object>, context: { commandName?: string }) => (args: object) =>
      context.commandName === command ? Promise.resolve({ output }) : next(args)
    client.middlewareStack.add(stand as never, { step: 'initialize', name: 'answered', priority: 'low' })
    try {
      return await work()
    } finally {
      client.middlewareStack.remove('answered')
    }
  }

  it('that are throttled are read alone', async () => {
    const Keys = [0, 1, 7].map((index) => ({ LockID: lockId(index) }))
    const throttled = { Responses: {}, UnprocessedKeys: { [table]: { Keys } } }
    const made = await asked(async () => {
      const found = await answered('BatchGetItemCommand', throttled, () => storeOf().readMany(addresses(8)))
      expect(ids(found)).toEqual(['0', '1'])
    })
    expect(made).toEqual(['BatchGetItemCommand', 'GetItemCommand', 'GetItemCommand', 'GetItemCommand'])
  })

  it('are not read where one is a digest, or of another table', async () => {
    const digest = addressOf(`${lockId(0)}-md5`)
    await expect(storeOf().readMany([digest])).rejects.toMatchObject({ name: 'NoLockOfThisStore' })
    const other = { ...addressOf(lockId(0)), table: 'others' }
    await expect(storeOf().readMany([other])).rejects.toMatchObject({ name: 'NoLockOfThisStore' })
  })

  it('cost what the size of the table says', async () => {
    const sized = <T>(work: () => Promise<T>) =>
      answered('DescribeTableCommand', { Table: { TableSizeBytes: 4097 } }, work)
    expect(await sized(() => storeOf().listCost())).toBe(2)
    const [, ...few] = await asked(() => sized(() => locksAt(storeOf(), addresses(2))))
    expect(few).toEqual(['BatchGetItemCommand'])
    const [, ...many] = await asked(() => sized(() => locksAt(storeOf(), addresses(3))))
    expect(many).toEqual(['ScanCommand'])
    expect(ids(await sized(() => locksAt(storeOf(), addresses(3))))).toEqual(['0', '1', '2'])
  })

  it('of a table that does not tell are read by key', async () => {
    expect(await storeOf().listCost()).toBe(Infinity)
    expect(await storeOf('nowhere').listCost()).toBe(Infinity)
    const nowhere = addresses(1).map((address) => ({ ...address, table: 'nowhere' }))
    await expect(locksAt(storeOf('nowhere'), nowhere)).rejects.toMatchObject({
      name: 'LockStoreMissing',
      message: expect.stringContaining('dynamodb:BatchGetItem'),
    })
  })
})
