import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb'
import { DeleteCommand, type DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb'
import type { LockPart } from './s3-state.ts'

/** The item of a lock table that stands for the lock of one state, and the digest that lies beside it. */
export class LockItem implements LockPart {
  private readonly client: DynamoDBDocumentClient
  private readonly table: string
  private readonly lockId: string

  constructor(client: DynamoDBDocumentClient, table: string, lockId: string) {
    this.client = client
    this.table = table
    this.lockId = lockId
  }

  async take(info: string): Promise<boolean> {
    const item = { TableName: this.table, Item: { LockID: this.lockId, Info: info } }
    try {
      await this.client.send(new PutCommand({ ...item, ConditionExpression: 'attribute_not_exists(LockID)' }))
      return true
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false
      throw error
    }
  }

  async read(): Promise<string | undefined> {
    const key = { TableName: this.table, Key: { LockID: this.lockId } }
    const { Item } = await this.client.send(new GetCommand({ ...key, ConsistentRead: true }))
    return typeof Item?.Info === 'string' ? Item.Info : undefined
  }

  async remove(): Promise<void> {
    await this.client.send(new DeleteCommand({ TableName: this.table, Key: { LockID: this.lockId } }))
  }

  async stateWritten(md5: string): Promise<void> {
    const Item = { LockID: `${this.lockId}-md5`, Digest: md5 }
    await this.client.send(new PutCommand({ TableName: this.table, Item }))
  }
}
