import { createServer, request } from 'node:http'
import { listenOnLoopback } from '../../infra/local/loopback.ts'

export interface CountingProxy {
  readonly url: string
  /** How many requests of each operation went through: `Scan`, `BatchGetItem`. */
  readonly operations: ReadonlyMap<string, number>
  close(): Promise<void>
}

/** Passes requests on to a DynamoDB, and counts them by their operation. */
export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const operations = new Map<string, number>()
  const server = createServer((incoming, outgoing) => {
    const operation = String(incoming.headers['x-amz-target'] ?? '').replace(/^.*\./, '')
    operations.set(operation, (operations.get(operation) ?? 0) + 1)
    const { method, headers } = incoming
    const onward = request(target, { method: method ?? 'POST', headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    incoming.pipe(onward)
  })
  const { url, close } = await listenOnLoopback(server)
  return { url, operations, close }
}
