import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { RunnerFailure, runnerRequestSchema } from '../../../infra/local/simulation/tofu/runner.ts'
import type { RunnerServer } from '../../../infra/local/simulation/tofu/runner-server.ts'

/** Serves a runner on all addresses. A connection that ends before its answer calls the call off. */
export async function serveRunner(runner: RunnerServer, port: number): Promise<void> {
  const server = createServer((request, response) => {
    serve(runner, request, response).catch((error: unknown) =>
      answer(response, 400, { error: { message: `${error}` } }),
    )
  })
  // Silence is work.
  server.requestTimeout = 0
  server.headersTimeout = 0
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
}

async function serve(runner: RunnerServer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const asked = runnerRequestSchema.parse(JSON.parse(await text(request)))
  try {
    answer(response, 200, { reply: await runner.serve(asked, gone.signal) })
  } catch (error) {
    if (!(error instanceof RunnerFailure)) throw error
    const { message, lockId } = error
    answer(response, 200, { error: { message, ...(lockId !== undefined && { lockId }) } })
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify(body))
}
