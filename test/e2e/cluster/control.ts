import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { createServer, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import * as z from 'zod'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { type Order, orderSchema } from './order.ts'

export interface ControlServer {
  close(): Promise<void>
}

/** No cluster runs that fits. */
export class NoSuchCluster extends LockstepError {
  constructor(message: string, next: string) {
    super('NoSuchCluster', message, next)
  }
}

const socketName = 'control.sock'
const directoryName = /^lockstep-cluster-[0-9a-f]+$/

/** Takes orders through a socket in the cluster's directory, which nobody else may enter. */
export async function startControlServer(
  directory: string,
  obey: (order: Order) => Promise<unknown>,
): Promise<ControlServer> {
  const server = createServer(async (incoming, response) => {
    const { status, body } = await answer(incoming, obey)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  const listening = once(server, 'listening')
  server.listen(join(directory, socketName))
  await listening
  return {
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(incoming: IncomingMessage, obey: (order: Order) => Promise<unknown>) {
  try {
    return { status: 200, body: await obey(orderSchema.parse(await json(incoming))) }
  } catch (error) {
    if (error instanceof LockstepError) {
      const { name, message, next } = error
      return { status: 422, body: { name, message: message.slice(0, -next.length).trimEnd(), next } }
    }
    return { status: 500, body: { name: 'OrderFailed', message: String(error), next: 'See the logs of the cluster.' } }
  }
}

const refusalSchema = z.object({ name: z.string(), message: z.string(), next: z.string() })

/**
 * Sends an order to a cluster, given by its directory or the end of that; undefined: to the one that runs. Answers what
 * came of it. Throws NoSuchCluster, and what the cluster throws when it cannot obey.
 */
export async function sendOrder(order: Order, cluster: string | undefined): Promise<unknown> {
  const directory = await findCluster(cluster)
  const { status, body } = await post(join(directory, socketName), order).catch((cause: unknown) => {
    throw new NoSuchCluster(`The cluster of ${directory} ended before it answered.`, `Start one again. (${cause})`)
  })
  if (status === 200) return body
  const { name, message, next } = refusalSchema.parse(body)
  throw new LockstepError(name, message, next)
}

async function post(socketPath: string, order: Order): Promise<{ status: number | undefined; body: unknown }> {
  const sent = request({ socketPath, method: 'POST', path: '/', headers: { 'content-type': 'application/json' } })
  sent.end(JSON.stringify(order))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: response.statusCode, body: await json(response) }
}

async function findCluster(wanted: string | undefined): Promise<string> {
  const running = await runningClusters()
  const meant = wanted === undefined ? running : running.filter((directory) => directory.endsWith(wanted))
  const [directory, other] = meant
  if (directory !== undefined && other === undefined) return directory
  const list = running.join(', ')
  if (other !== undefined) throw new NoSuchCluster(`Several clusters run: ${list}.`, 'Name one with --cluster.')
  if (wanted !== undefined && running.length > 0) {
    throw new NoSuchCluster(`No cluster ${wanted} runs; there is ${list}.`, 'Name another one with --cluster.')
  }
  throw new NoSuchCluster('No cluster runs.', 'Start one with: npm run cluster')
}

/** Directories of the clusters of this user that take orders now. */
export async function runningClusters(): Promise<string[]> {
  const names = (await readdir(tmpdir())).filter((name) => directoryName.test(name))
  const directories = names.map((name) => join(tmpdir(), name))
  const alive = await Promise.all(directories.map((directory) => isListening(join(directory, socketName))))
  return directories.filter((_, index) => alive[index])
}

async function isListening(path: string): Promise<boolean> {
  const socket = connect({ path })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    // Its cluster has ended, or never took orders.
    return false
  } finally {
    socket.destroy()
  }
}
