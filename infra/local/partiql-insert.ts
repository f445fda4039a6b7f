import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import * as z from 'zod'

const target = 'DynamoDB_20120810.'

const requestSchema = z.object({
  Statement: z.string(),
  Parameters: z.array(z.record(z.string(), z.unknown())),
})
const insertion = /^INSERT INTO "([\w.-]+)" VALUE \{((?:'\w+': \?(?:, )?)+)\}$/

/**
 * Teaches dynalite one statement of PartiQL, which it has none of: `INSERT INTO "<table>" VALUE {'<key>': ?, …}`, with the
 * partition key first. It is done as a PutItem that must not find an item. Any other statement is refused.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.insert.html
 */
export function teachInsert(server: Server, url: () => string): void {
  const known = server.listeners('request') as RequestListener[]
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers['x-amz-target'] === `${target}ExecuteStatement`) void insert(request, response, url())
    else for (const listener of known) listener.call(server, request, response)
  })
}

async function insert(request: IncomingMessage, response: ServerResponse, url: string): Promise<void> {
  const { Statement, Parameters } = requestSchema.parse(JSON.parse(await text(request)))
  const [, table, columns = ''] = insertion.exec(Statement) ?? []
  const names = [...columns.matchAll(/'(\w+)'/g)].map(([, name = '']) => name)
  if (table === undefined || names.length !== Parameters.length) {
    answer(
      response,
      400,
      refusal('ValidationException', 'Only an INSERT with as many parameters as names is known here'),
    )
    return
  }
  const { authorization = '', 'x-amz-date': date = '' } = request.headers
  const put = await fetch(url, {
    method: 'POST',
    headers: {
      ...{ authorization, 'x-amz-date': String(date), 'x-amz-target': `${target}PutItem` },
      'content-type': 'application/x-amz-json-1.0',
    },
    body: JSON.stringify({
      TableName: table,
      Item: Object.fromEntries(names.map((name, at) => [name, Parameters[at]])),
      ConditionExpression: 'attribute_not_exists(#key)',
      ExpressionAttributeNames: { '#key': names[0] },
    }),
  })
  const said = await put.text()
  const isThere = said.includes('ConditionalCheckFailedException')
  answer(
    response,
    put.status,
    isThere ? refusal('DuplicateItemException', 'Duplicate primary key exists in table') : said,
  )
}

const refusal = (type: string, message: string) =>
  JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${type}`, message })

function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' })
  response.end(body)
}
