import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { LockstepError } from '../../../functions/lib/errors.ts'

/**
 * Below the ports that Linux gives to outgoing connections (from 32768): a process that is stopped and started again
 * finds its port as it left it.
 */
const lowest = 20_000
const highest = 32_000
const mostTries = 200

/** Loopback ports that nobody listens on now, all different. Somebody else may still be quicker: see `PortTaken`. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = []
  try {
    for (let tries = 0; held.length < count; tries++) {
      if (tries > mostTries + count) throw noPort()
      const server = await listenOn(randomInt(lowest, highest))
      if (server) held.push(server)
    }
    return held.map(portOf)
  } finally {
    await Promise.all(held.map((server) => new Promise((done) => server.close(done))))
  }
}

async function listenOn(port: number): Promise<Server | undefined> {
  const server = createServer()
  const listening = once(server, 'listening')
  server.listen({ port, host: '127.0.0.1', exclusive: true })
  try {
    await listening
    return server
  } catch {
    return undefined
  }
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw noPort()
  return address.port
}

const noPort = () =>
  new LockstepError('NoFreePort', 'No free port was found on 127.0.0.1.', 'See what listens there: ss -ltnp.')
