import { createServer } from 'node:http'
import { listenOnLoopback } from '../../infra/local/loopback.ts'

/** EventBridge that takes every event, and forgets it. */
export async function startEventBus(): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    incoming.resume().on('end', () => {
      outgoing.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' })
      outgoing.end(JSON.stringify({ FailedEntryCount: 0, Entries: [{ EventId: '1' }] }))
    })
  })
  return listenOnLoopback(server)
}
