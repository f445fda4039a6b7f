import { DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb'

/** What DynamoDB charges for on demand: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html */
export interface LedgerUnits {
  /** A consistent read of up to 4 KB each. */
  readUnits: number
  /** A write of up to 1 KB each. */
  writeUnits: number
}

/** Counts what every document client of this process asks for while `run` runs: by the sizes of items as JSON, which are close. */
export async function countLedgerUnits<T>(run: () => Promise<T>): Promise<{ answer: T; units: LedgerUnits }> {
  const units: LedgerUnits = { readUnits: 0, writeUnits: 0 }
  const { send } = DynamoDBDocumentClient.prototype
  DynamoDBDocumentClient.prototype.send = async function (this: DynamoDBDocumentClient, ...args: unknown[]) {
    const [command] = args
    const answer = await (send as (...args: unknown[]) => Promise<unknown>).apply(this, args)
    count(command, answer, units)
    return answer
  } as typeof send
  try {
    return { answer: await run(), units }
  } finally {
    DynamoDBDocumentClient.prototype.send = send
  }
}

function count(command: unknown, answer: unknown, units: LedgerUnits): void {
  const { Item, Items } = answer as { Item?: object; Items?: object[] }
  if (command instanceof PutCommand) units.writeUnits += unitsOf(command.input.Item, 1)
  else if (command instanceof GetCommand) units.readUnits += unitsOf(Item, 4)
  else if (command instanceof QueryCommand) units.readUnits += unitsOf(Items, 4)
  else throw new Error('The ledger sends a command that the bench does not know the price of.')
}

const unitsOf = (content: unknown, kilobytes: number) =>
  Math.max(1, Math.ceil(JSON.stringify(content ?? {}).length / (kilobytes * 1_024)))
