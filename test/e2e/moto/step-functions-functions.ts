import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { listenOnLoopback } from '../../../infra/local/loopback.ts'
import type { TaskHandler } from '../../../infra/local/states/interpreter.ts'

export interface FunctionCall {
  readonly functionName: string
  /** ARN of the execution that calls. */
  readonly execution: string
}

/** The function that is meant; undefined where there is none. */
export type FindFunction = (call: FunctionCall) => TaskHandler | undefined

export interface FunctionServer {
  readonly url: string
  /** Cuts off the calls that are still under way. */
  close(): Promise<void>
}

/**
 * Functions over HTTP, as step_functions.py calls them. What a function throws is answered as Lambda reports it: the
 * error's name and message, without its stack.
 */
export async function serveFunctions(find: FindFunction): Promise<FunctionServer> {
  const server = createServer((request, response) => void call(find, request, response))
  return listenOnLoopback(server)
}

async function call(find: FindFunction, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const functionName = decodeURIComponent((request.url ?? '').slice(1))
  const called = find({ functionName, execution: String(request.headers['x-execution']) })
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  try {
    const payload: unknown = JSON.parse(Buffer.concat(await request.toArray()).toString())
    if (!called) return answer(response, 404, `Function not found: ${functionName}`)
    answer(response, 200, (await called(payload, { signal: gone.signal, functionName })) ?? null)
  } catch (error) {
    const [errorType, errorMessage] = error instanceof Error ? [error.name, error.message] : ['Error', String(error)]
    answer(response, 500, { errorMessage, errorType, trace: [] })
  }
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  if (!response.destroyed) response.writeHead(status).end(JSON.stringify(body))
}
