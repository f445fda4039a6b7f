import {
  CreateTableCommand,
  DeleteItemCommand,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb'
import { localCredentials } from '../../infra/local/dynamodb.ts'

/** A lock as OpenTofu's S3 backend keeps it, or the digest of a state. */
export interface LockItem {
  readonly lockId: string
  /** The lock record as it was written, byte for byte. A digest has none. */
  readonly info?: string
  /** MD5 of the state in hex. A lock has none. */
  readonly digest?: string
}

/** A table of OpenTofu's S3 backend, through the requests that are made to one. */
export class LockTable {
  readonly #client: DynamoDBClient
  readonly #name: string

  constructor(endpoint: string, name: string) {
    this.#client = new DynamoDBClient({ endpoint, region: 'us-east-1', credentials: localCredentials, maxAttempts: 1 })
    this.#name = name
  }

  /** Makes it and waits until it can be used. */
  async create(): Promise<void> {
    await this.#client.send(
      new CreateTableCommand({
        TableName: this.#name,
        KeySchema: [{ AttributeName: 'LockID', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'LockID', AttributeType: 'S' }],
        BillingMode: 'PAY_PER_REQUEST',
      }),
    )
    const isActive = async () => {
      const { Table } = await this.#client.send(new DescribeTableCommand({ TableName: this.#name }))
      return Table?.TableStatus === 'ACTIVE'
    }
    while (!(await isActive())) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  /** As OpenTofu takes a lock: throws ConditionalCheckFailedException where it is held. */
  async take(lockId: string, info: string): Promise<void> {
    await this.#client.send(
      new PutItemCommand({
        TableName: this.#name,
        Item: { LockID: { S: lockId }, Info: { S: info } },
        ConditionExpression: 'attribute_not_exists(LockID)',
      }),
    )
  }

  async writeDigest(lockId: string, digest: string): Promise<void> {
    const Item = { LockID: { S: `${lockId}-md5` }, Digest: { S: digest } }
    await this.#client.send(new PutItemCommand({ TableName: this.#name, Item }))
  }

  async read(lockId: string): Promise<LockItem | undefined> {
    const Key = { LockID: { S: lockId } }
    const { Item } = await this.#client.send(new GetItemCommand({ TableName: this.#name, Key, ConsistentRead: true }))
    return Item && itemOf(Item)
  }

  /** Everything in it, `pageSize` items at a time. */
  async list(pageSize = 100): Promise<LockItem[]> {
    const items: LockItem[] = []
    let from: ScanCommand['input']['ExclusiveStartKey']
    do {
      const page = await this.#client.send(
        new ScanCommand({ TableName: this.#name, ConsistentRead: true, Limit: pageSize, ExclusiveStartKey: from }),
      )
      items.push(...(page.Items ?? []).map(itemOf))
      from = page.LastEvaluatedKey
    } while (from)
    return items
  }

  /** Deletes a lock only if its record is `info`: throws ConditionalCheckFailedException otherwise. */
  async break(lockId: string, info: string): Promise<void> {
    await this.#client.send(
      new DeleteItemCommand({
        TableName: this.#name,
        Key: { LockID: { S: lockId } },
        ConditionExpression: 'Info = :raw',
        ExpressionAttributeValues: { ':raw': { S: info } },
      }),
    )
  }

  /** As Terraform releases a lock. */
  async delete(lockId: string): Promise<void> {
    await this.#client.send(new DeleteItemCommand({ TableName: this.#name, Key: { LockID: { S: lockId } } }))
  }

  close(): void {
    this.#client.destroy()
  }
}

function itemOf(item: Record<string, { S?: string | undefined }>): LockItem {
  const { LockID, Info, Digest } = item
  return {
    lockId: LockID?.S ?? '',
    ...(Info?.S !== undefined && { info: Info.S }),
    ...(Digest?.S !== undefined && { digest: Digest.S }),
  }
}
