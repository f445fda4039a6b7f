import { globSync, readFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb'
import { afterEach, describe, expect, it } from 'vitest'
import { requestLimits } from '../../../functions/lib/request-limits.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'
import { listenOnLoopback } from '../../../infra/local/loopback.ts'

const sources = globSync('functions/**/*.ts').map((path) => ({ path, text: readFileSync(path, 'utf8') }))

it('are of every client of AWS that a function has', () => {
  const clients = sources.flatMap(({ path, text }) => {
    const names = [...text.matchAll(/^import \{(.*)\} from '@aws-sdk\/client-/gm)].flatMap(
      ([, imported = '']) => imported.match(/\b\w+Client\b/g) ?? [],
    )
    return names.flatMap((name) =>
      [...text.matchAll(new RegExp(`new ${name}\\((.*)`, 'g'))].map(([, given = '']) => ({ path, name, given })),
    )
  })
  expect(clients.length).toBeGreaterThan(10)
  const without = clients.filter(
    ({ given }) => !/^\{[^}]*\.\.\.limits(?:WhileSomebodyWaits|InSteps|ForContent)\b/.test(given),
  )
  expect(without).toEqual([])
})

it('are in one place', () => {
  const places = sources.filter(({ text }) => text.includes('connectionTimeout')).map(({ path }) => path)
  expect(places).toEqual(['functions/lib/request-limits.ts'])
})

describe('a request to AWS is given up, and tried again,', () => {
  const closing: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })

  /** Asks a service that answers so; says how often it was asked. */
  async function ask(answer: (outgoing: ServerResponse) => void): Promise<{ name: string; asked: number }> {
    let asked = 0
    const server = createServer((incoming, outgoing) => {
      asked += 1
      incoming.resume().on('end', () => answer(outgoing))
    })
    const { url, close } = await listenOnLoopback(server)
    const client = new DynamoDBClient({
      ...{ region: 'us-east-1', endpoint: url, credentials: localCredentials },
      ...requestLimits(2, 100, 100),
    })
    closing.push(() => client.destroy(), close)
    const failed = client.send(new GetItemCommand({ TableName: 't', Key: { pk: { S: 'a' } } })).catch((error) => error)
    const { name } = await failed
    return { name, asked }
  }

  it('where no answer comes', async () => {
    expect(await ask(() => {})).toEqual({ name: 'TimeoutError', asked: 2 })
  })

  it('where an answer begins, and does not go on', async () => {
    const begin = (outgoing: ServerResponse) => outgoing.writeHead(200, { 'content-length': 100 }).write('{"Item":')
    expect(await ask(begin)).toEqual({ name: 'TimeoutError', asked: 2 })
  })
})
