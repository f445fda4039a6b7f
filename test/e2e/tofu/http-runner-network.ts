import { request } from 'node:http'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import * as z from 'zod'
import {
  Disconnected,
  type PodAddress,
  type RunnerConnection,
  RunnerFailure,
  type RunnerNetwork,
  type RunnerReply,
  type RunnerRequest,
  Unreachable,
} from '../../../infra/local/simulation/tofu/runner.ts'
import { runnerPort } from '../../../infra/local/simulation/tofu/runner-pod.ts'

export const replySchema = z.union([
  z.object({ reply: z.object({ changes: z.boolean().optional() }) }),
  z.object({ error: z.object({ message: z.string(), lockId: z.string().optional() }) }),
])

/**
 * Reaches runners by the names that tofu-controller has for pods, through an HTTP proxy that knows CONNECT: each call
 * is a connection of its own, which stays silent while the runner works.
 */
export class HttpRunnerNetwork implements RunnerNetwork {
  readonly #proxy: URL

  /** `proxy` is the value of HTTPS_PROXY. */
  constructor(proxy: string) {
    this.#proxy = new URL(proxy)
  }

  connect({ namespace, ip }: PodAddress): RunnerConnection {
    const host = `${ip.replaceAll('.', '-')}.${namespace}.pod.cluster.local:${runnerPort}`
    const call = async (asked: RunnerRequest, signal: AbortSignal) =>
      ask(await this.#dial(host, signal), host, asked, signal)
    return { call, close: () => {} }
  }

  #dial(host: string, signal: AbortSignal): Promise<Socket> {
    const { hostname, port } = this.#proxy
    return new Promise((resolve, reject) => {
      const dial = request({ host: hostname, port, method: 'CONNECT', path: host, headers: { host }, signal })
      const refuse = (why: string) => reject(new Unreachable(`${host}: ${why}`))
      dial.on('connect', ({ statusCode }, socket: Socket) => {
        if (statusCode === 200) return resolve(socket)
        socket.destroy()
        refuse(`${statusCode}`)
      })
      dial.on('response', ({ statusCode }) => refuse(`${statusCode}`))
      dial.on('error', (error) => refuse(error.message))
      dial.end()
    })
  }
}

async function ask(socket: Socket, host: string, asked: RunnerRequest, signal: AbortSignal): Promise<RunnerReply> {
  const answer = await answered(socket, host, asked, signal)
  const parsed = replySchema.safeParse(answer)
  if (!parsed.success) throw new RunnerFailure(`rpc error: code = Internal desc = unreadable: ${parsed.error.message}`)
  if ('error' in parsed.data) throw new RunnerFailure(parsed.data.error.message, parsed.data.error.lockId)
  const { changes } = parsed.data.reply
  return changes === undefined ? {} : { changes }
}

/** Throws Disconnected when the connection ends before the answer does. */
async function answered(socket: Socket, host: string, asked: RunnerRequest, signal: AbortSignal): Promise<unknown> {
  const body = JSON.stringify(asked)
  const headers = { host, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  try {
    return await new Promise((resolve, reject) => {
      const sent = request(
        { method: 'POST', path: '/call', headers, createConnection: () => socket, signal },
        (response) => {
          text(response).then((content) => resolve(JSON.parse(content)), reject)
        },
      )
      sent.on('error', reject)
      sent.end(body)
    })
  } catch (error) {
    signal.throwIfAborted()
    throw new Disconnected(error instanceof Error ? error.message : String(error))
  } finally {
    socket.destroy()
  }
}
