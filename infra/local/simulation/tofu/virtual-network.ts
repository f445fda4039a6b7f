import {
  Disconnected,
  type PodAddress,
  type RunnerConnection,
  type RunnerNetwork,
  type RunnerReply,
  type RunnerRequest,
  Unreachable,
} from './runner.ts'
import type { RunnerServer } from './runner-server.ts'

/** The network between tofu-controller and its runners. */
export class VirtualNetwork implements RunnerNetwork {
  private readonly servers = new Map<string, RunnerServer>()
  private readonly partitioned = new Set<string>()
  private readonly waiting = new Map<string, Set<() => void>>()
  private readonly calls = new Set<Call>()

  /** From now on calls to `ip` reach `server`. */
  attach(ip: string, server: RunnerServer): void {
    this.servers.set(ip, server)
  }

  /** What listened at `ip` has ended: calls to it break, and new ones reach nobody. */
  detach(ip: string): void {
    this.servers.delete(ip)
    for (const call of this.callsTo(ip)) call.pass(() => call.broken())
  }

  /** Nothing gets through to `ip` or back until `heal`; nothing is closed. */
  partition(ip: string): void {
    this.partitioned.add(ip)
    for (const call of this.callsTo(ip)) call.hold()
  }

  heal(ip: string): void {
    this.partitioned.delete(ip)
    for (const call of this.callsTo(ip)) call.release()
    for (const go of this.waiting.get(ip) ?? []) go()
    this.waiting.delete(ip)
  }

  /** Calls that are open now lose all that is said, for good: a runner never learns that its caller died. */
  blackHole(): void {
    for (const call of this.calls) call.lose()
  }

  /** Breaks every connection to `ip`, for both sides. */
  cut(ip: string): void {
    for (const call of this.callsTo(ip)) {
      call.stop.abort()
      call.broken()
    }
  }

  connect({ ip }: PodAddress): RunnerConnection {
    return { call: (request, signal) => this.call(ip, request, signal), close: () => {} }
  }

  private async call(ip: string, request: RunnerRequest, signal: AbortSignal): Promise<RunnerReply> {
    if (this.partitioned.has(ip)) await this.untilHealed(ip, signal)
    signal.throwIfAborted()
    const server = this.servers.get(ip)
    if (!server) throw new Unreachable(`nothing listens at ${ip}`)
    const call = new Call(ip)
    this.calls.add(call)
    try {
      return await call.run(server, request, signal)
    } finally {
      // A caller that is gone leaves what it asked for with the server.
      call.done.finally(() => this.calls.delete(call))
    }
  }

  private untilHealed(ip: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.waiting.get(ip) ?? new Set()
      this.waiting.set(ip, waiting.add(resolve))
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  private callsTo(ip: string): Call[] {
    return [...this.calls].filter((call) => call.ip === ip)
  }
}

/** One call between its two ends; what one tells the other passes through here. */
class Call {
  readonly ip: string
  /** The server's end of the call's context. */
  readonly stop = new AbortController()
  private state: 'open' | 'held' | 'lost' = 'open'
  private withheld: (() => void)[] = []
  private readonly answer = Promise.withResolvers<RunnerReply>()
  /** The server has nothing to do with it any more. */
  done: Promise<unknown> = Promise.resolve()

  constructor(ip: string) {
    this.ip = ip
  }

  async run(server: RunnerServer, request: RunnerRequest, signal: AbortSignal): Promise<RunnerReply> {
    const gaveUp = () => {
      this.pass(() => this.stop.abort())
      this.answer.reject(signal.reason)
    }
    signal.addEventListener('abort', gaveUp, { once: true })
    const served = server.serve(request, this.stop.signal)
    this.done = served.catch(() => {})
    served.then(
      (reply) => this.pass(() => this.answer.resolve(reply)),
      (error: unknown) => this.pass(() => this.answer.reject(error)),
    )
    try {
      return await this.answer.promise
    } finally {
      signal.removeEventListener('abort', gaveUp)
    }
  }

  broken(): void {
    this.answer.reject(new Disconnected('error reading from server: EOF'))
  }

  pass(tell: () => void): void {
    if (this.state === 'open') tell()
    else if (this.state === 'held') this.withheld.push(tell)
  }

  hold(): void {
    if (this.state === 'open') this.state = 'held'
  }

  release(): void {
    if (this.state !== 'held') return
    this.state = 'open'
    for (const tell of this.withheld.splice(0)) tell()
  }

  lose(): void {
    this.state = 'lost'
  }
}
