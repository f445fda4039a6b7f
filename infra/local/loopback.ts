import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that listens on this machine only. */
export interface Loopback {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** Cuts every connection and stops listening. */
  close(): Promise<void>
}

/** `port` 0: any that is free. Rejects with the server's error where it is taken. */
export async function listenOnLoopback(server: Server, port = 0): Promise<Loopback> {
  // Connections are for the client to end: a request that meets the server's end of an idle one is lost.
  server.keepAliveTimeout = 0
  const listening = once(server, 'listening')
  server.listen(port, '127.0.0.1')
  await listening
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
