import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * The network between the tofu manager and its runner pods, without pod addresses, name resolution or root: an HTTP
 * proxy on loopback that knows CONNECT only. gRPC in the manager asks it (HTTPS_PROXY) for
 * `10-244-0-7.flux-system.pod.cluster.local:30000`, unresolved; the address in that name tells the pod, and the pod's
 * runner listens on a loopback port of its own. The bytes are pumped as they are, so mTLS stays end to end.
 *
 * There is no idle timeout: to the runner a cut connection is the death of its manager, and it interrupts tofu.
 */
export interface RunnerNetwork {
  /** For HTTPS_PROXY of the manager: `http://127.0.0.1:<port>`. */
  readonly url: string
  /** An address that no pod has had. */
  newAddress(): string
  /** From now on connections to the pod address `ip` reach the loopback port `port`. Open ones stay as they are. */
  attach(ip: string, port: number): void
  /** Nothing listens at `ip` any more: new connections get 502. Open ones are left to whoever holds their ends. */
  detach(ip: string): void
  /** Packets to and from `ip` are lost, for open and for new connections, until `heal`. Nothing is closed, whatever dies. */
  partition(ip: string): void
  /** Lost packets flow again, in order; a connection that lost an end meanwhile is closed only now. */
  heal(ip: string): void
  /**
   * Every connection that is open now loses its packets for good, as when the manager's node goes away: the runners
   * never learn that the manager died. Connections made later work.
   */
  blackHole(): void
  /** Closes every connection to `ip`, at both ends; new ones work. */
  cut(ip: string): void
  /** How many connections to `ip` are open, black-holed ones included. */
  connections(ip: string): number
  close(): Promise<void>
}

/** Starts the proxy on a free loopback port. */
export async function startRunnerNetwork(): Promise<RunnerNetwork> {
  let addresses = 0
  const ports = new Map<string, number>()
  const partitioned = new Set<string>()
  const tunnels = new Set<Tunnel>()
  const clients = new Set<Duplex>()
  const waiting = new Set<{ readonly ip: string; readonly open: () => void }>()

  const open = (ip: string, client: Duplex, head: Buffer) => {
    const port = ports.get(ip)
    if (port === undefined) return refuse(client, '502 Bad Gateway')
    const runner = connect({ host: '127.0.0.1', port })
    runner.once('error', () => refuse(client, '502 Bad Gateway'))
    runner.once('connect', () => {
      if (client.destroyed) return void runner.destroy()
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      if (head.length > 0) runner.write(head)
      const tunnel = new Tunnel(ip, client, runner, () => tunnels.delete(tunnel))
      tunnels.add(tunnel)
      // The partition may have begun between the dial and its answer.
      if (partitioned.has(ip)) tunnel.freeze('healable')
    })
  }

  const server = createServer((_request, response) => response.writeHead(405).end())
  server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    clients.add(client)
    client.once('close', () => clients.delete(client))
    client.on('error', () => client.destroy())
    const ip = podAddress(request.url ?? '')
    if (ip === undefined) return refuse(client, '403 Forbidden')
    if (!partitioned.has(ip)) return open(ip, client, head)
    const entry = { ip, open: () => client.destroyed || open(ip, client, head) }
    waiting.add(entry)
    client.once('close', () => waiting.delete(entry))
  })
  // An idle connection is a runner at work: nothing here may end it.
  server.requestTimeout = 0
  server.keepAliveTimeout = 0
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })

  const cut = (ip: string) => {
    for (const tunnel of tunnels) if (tunnel.ip === ip) tunnel.cut()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    newAddress: () => {
      addresses += 1
      return `10.244.${addresses >> 8}.${addresses & 255}`
    },
    attach: (ip, port) => void ports.set(ip, port),
    detach: (ip) => void ports.delete(ip),
    partition: (ip) => {
      partitioned.add(ip)
      for (const tunnel of tunnels) if (tunnel.ip === ip) tunnel.freeze('healable')
    },
    heal: (ip) => {
      partitioned.delete(ip)
      for (const tunnel of tunnels) if (tunnel.ip === ip) tunnel.thaw()
      for (const entry of waiting) {
        if (entry.ip !== ip) continue
        waiting.delete(entry)
        entry.open()
      }
    },
    blackHole: () => {
      for (const tunnel of tunnels) tunnel.freeze('for good')
    },
    cut,
    connections: (ip) => [...tunnels].filter((tunnel) => tunnel.ip === ip).length,
    close: async () => {
      for (const tunnel of tunnels) tunnel.cut()
      for (const client of clients) client.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** `10-244-0-7.flux-system.pod.cluster.local:30000` -> `10.244.0.7`; undefined for anything else. */
function podAddress(authority: string): string | undefined {
  const match = /^(\d{1,3}(?:-\d{1,3}){3})\.[a-z0-9-]+\.pod\.[a-z0-9.-]+:\d+$/.exec(authority)
  return match?.[1]?.replaceAll('-', '.')
}

function refuse(client: Duplex, status: string): void {
  if (!client.destroyed) client.end(`HTTP/1.1 ${status}\r\n\r\n`)
}

/** One connection through the proxy. Frozen, it reads nothing and hides from each end what becomes of the other. */
class Tunnel {
  readonly ip: string
  readonly #ends: readonly [Duplex, Socket]
  readonly #onClosed: () => void
  #frozen: 'no' | 'healable' | 'for good' = 'no'
  /** What an end did while frozen, to be told to the other end after. */
  readonly #withheld: (() => void)[] = []

  constructor(ip: string, client: Duplex, runner: Socket, onClosed: () => void) {
    this.ip = ip
    this.#ends = [client, runner]
    this.#onClosed = onClosed
    this.#pump(client, runner)
    this.#pump(runner, client)
  }

  freeze(how: 'healable' | 'for good'): void {
    if (this.#frozen !== 'for good') this.#frozen = how
    for (const end of this.#ends) end.pause()
  }

  thaw(): void {
    if (this.#frozen !== 'healable') return
    this.#frozen = 'no'
    for (const end of this.#ends) end.resume()
    for (const tell of this.#withheld.splice(0)) tell()
  }

  cut(): void {
    for (const end of this.#ends) end.destroy()
  }

  #pump(from: Duplex, to: Duplex): void {
    let failed = false
    from.on('data', (chunk) => {
      if (to.write(chunk)) return
      from.pause()
      to.once('drain', () => this.#frozen === 'no' && from.resume())
    })
    from.on('end', () => this.#tell(() => to.end()))
    from.on('error', () => {
      failed = true
    })
    from.on('close', () => {
      if (to.destroyed) return this.#onClosed()
      this.#tell(() => (failed ? to.destroy() : to.end()))
    })
  }

  #tell(what: () => void): void {
    if (this.#frozen === 'no') what()
    else this.#withheld.push(what)
  }
}
