import { ConditionalCheckFailedException, DescribeTableCommand } from '@aws-sdk/client-dynamodb'
import {
  BatchGetCommand,
  DeleteCommand,
  type DynamoDBDocumentClient,
  GetCommand,
  ScanCommand,
} from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { awsFailure } from './aws-failure.ts'
import type { KeyReads } from './known-keys.ts'
import { readLockRecord } from './lock-info.ts'
import {
  type DeleteOutcome,
  type DynamoDbLockAddress,
  type FoundLock,
  type LockAddress,
  type LockStore,
  noLockOf,
  versionOf,
} from './lock-store.ts'

export interface DynamoDbLockStoreOptions {
  readonly client: DynamoDBDocumentClient
  /** Of `client`: a table's name says nothing without it. */
  readonly region: string
  readonly table: string
  /** Items that one Scan looks at. Default: as many as fit into 1 MB, which is DynamoDB's limit. */
  readonly pageSize?: number
}

type FoundItem = FoundLock<DynamoDbLockAddress>

const itemSchema = z.object({ LockID: z.string(), Info: z.unknown().optional() })

const digestSuffix = '-md5'
/** What one unit of consistent reading takes in: a part of a page that is scanned, or an item that is read by key. */
const unitBytes = 4096
/** Keys that one BatchGetItem takes. */
const batchSize = 100
/** All names are escaped: AWS adds to its reserved words as it likes. */
const names = { '#id': 'LockID', '#info': 'Info' }

/**
 * The lock table of OpenTofu's S3 backend: partition key `LockID`, the record as text in `Info`. An item whose LockID
 * ends in `-md5` is the digest of a state: it is no lock here, whatever is in it.
 */
export class DynamoDbLockStore implements LockStore<DynamoDbLockAddress>, KeyReads {
  readonly name: string
  private readonly options: DynamoDbLockStoreOptions

  constructor(options: DynamoDbLockStoreOptions) {
    this.options = options
    this.name = `DynamoDB table ${options.table} in ${options.region}`
  }

  async list(): Promise<FoundItem[]> {
    const { client, table, pageSize } = this.options
    const found: FoundItem[] = []
    let from: Record<string, unknown> | undefined
    do {
      const command = new ScanCommand({
        TableName: table,
        ConsistentRead: true,
        ProjectionExpression: '#id, #info',
        // Leaves the digests where they are. What has both counts as a lock.
        FilterExpression: 'attribute_exists(#info) OR attribute_not_exists(#digest)',
        ExpressionAttributeNames: { ...names, '#digest': 'Digest' },
        ...(pageSize !== undefined && { Limit: pageSize }),
        ...(from && { ExclusiveStartKey: from }),
      })
      const page = await this.tried('Scan', () => client.send(command))
      for (const item of page.Items ?? []) found.push(...this.lockIn(item))
      from = page.LastEvaluatedKey
    } while (from)
    return found
  }

  async read(address: LockAddress): Promise<FoundItem | undefined> {
    const { client, table } = this.options
    const { lockId } = this.own(address)
    // A key that is empty is refused, and none is.
    if (lockId === '') return undefined
    const command = new GetCommand({
      TableName: table,
      Key: { LockID: lockId },
      ConsistentRead: true,
      ProjectionExpression: '#id, #info',
      ExpressionAttributeNames: names,
    })
    const { Item } = await this.tried('GetItem', () => client.send(command))
    return this.lockIn(Item)[0]
  }

  /** A Scan reads the digests too. The size is some hours old, and 0 in a table that is new: whatever is not known is taken to be large. */
  async listCost(): Promise<number> {
    const { client, table } = this.options
    try {
      const { Table } = await client.send(new DescribeTableCommand({ TableName: table }))
      return Math.ceil((Table?.TableSizeBytes || Number.POSITIVE_INFINITY) / unitBytes)
    } catch {
      return Number.POSITIVE_INFINITY
    }
  }

  async readMany(addresses: readonly LockAddress[]): Promise<FoundItem[]> {
    // A key that is empty is refused, and none is.
    const lockIds = addresses.map((address) => this.own(address).lockId).filter((lockId) => lockId !== '')
    const found: FoundItem[] = []
    for (let from = 0; from < lockIds.length; from += batchSize) {
      found.push(...(await this.readBatch(lockIds.slice(from, from + batchSize))))
    }
    return found
  }

  private async readBatch(lockIds: readonly string[]): Promise<FoundItem[]> {
    const { client, table, region } = this.options
    const Keys = lockIds.map((LockID) => ({ LockID }))
    const read = { Keys, ConsistentRead: true, ProjectionExpression: '#id, #info', ExpressionAttributeNames: names }
    const command = new BatchGetCommand({ RequestItems: { [table]: read } })
    const { Responses, UnprocessedKeys } = await this.tried('BatchGetItem', () => client.send(command))
    const found = (Responses?.[table] ?? []).flatMap((item) => this.lockIn(item))
    // What is throttled is left out without an error. Alone, the client waits and asks again.
    for (const key of UnprocessedKeys?.[table]?.Keys ?? []) {
      const { LockID: lockId } = itemSchema.parse(key)
      const lock = await this.read({ store: 'dynamodb', region, table, lockId })
      if (lock) found.push(lock)
    }
    return found
  }

  async deleteIfUnchanged(lock: FoundLock): Promise<DeleteOutcome> {
    const address = this.own(lock.address)
    if (await this.deleted(address.lockId, versionOf(this.name, lock))) return 'deleted'
    return (await this.read(address)) ? 'changed' : 'gone'
  }

  private async deleted(lockId: string, raw: string): Promise<boolean> {
    const { client, table } = this.options
    const command = new DeleteCommand({
      TableName: table,
      Key: { LockID: lockId },
      ConditionExpression: '#info = :raw',
      ExpressionAttributeNames: { '#info': 'Info' },
      ExpressionAttributeValues: { ':raw': raw },
    })
    try {
      await client.send(command)
      return true
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false
      throw this.failure('DeleteItem', error)
    }
  }

  /** None for a digest. An item of any other shape holds off whoever wants the lock of that name: it is one. */
  private lockIn(item: unknown): FoundItem[] {
    const parsed = itemSchema.safeParse(item)
    if (!parsed.success || isDigest(parsed.data.LockID)) return []
    const { LockID: lockId, Info: raw } = parsed.data
    const { region, table } = this.options
    const address = { store: 'dynamodb', region, table, lockId } as const
    if (typeof raw === 'string') {
      const record = readLockRecord(raw)
      // What is too long to be kept is not compared either, and never deleted.
      return [{ address, record, ...(record.raw !== undefined && { version: raw }) }]
    }
    return [{ address, record: { problem: raw === undefined ? 'is missing' : 'is not text' } }]
  }

  private own(address: LockAddress): DynamoDbLockAddress {
    const { region, table } = this.options
    const isHere = address.store === 'dynamodb' && address.region === region && address.table === table
    if (!isHere || isDigest(address.lockId)) throw noLockOf(this.name, address)
    return address
  }

  private async tried<T>(operation: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      throw this.failure(operation, error)
    }
  }

  private failure(operation: string, error: unknown) {
    const { region, table } = this.options
    const on = `arn:aws:dynamodb:${region}:<account>:table/${table}`
    return awsFailure({ store: this.name, permission: `dynamodb:${operation}`, on }, error)
  }
}

function isDigest(lockId: string): boolean {
  return lockId.endsWith(digestSuffix)
}
