import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../functions/lib/clock.ts'
import { LockstepError } from '../../functions/lib/errors.ts'
import type { Ledger } from '../../functions/lib/ledger/ledger.ts'
import { requestRelease } from '../../functions/lib/rollout/request-release.ts'
import type { WebhookRequest } from '../../functions/webhook/delivery.ts'
import type { WebhookResponse } from '../../functions/webhook/webhook.ts'
import { type Answer, headersOf, isRead, json, Refused, readBody } from './http-answer.ts'
import type { Interpreter } from './states/interpreter.ts'
import { approvalRoute, approvePage, startUnlock, type UnlockRoutes, unlockRoute } from './unlock-routes.ts'
import { approvalPath } from './views/approval-view.ts'
import { executionLines, executionView, findExecution } from './views/execution-view.ts'
import type { LiveRollouts } from './views/live-rollouts.ts'
import type { LockViews } from './views/lock-view.ts'
import type { PushWaves } from './views/push-waves.ts'
import type { RolloutView } from './views/rollout-view.ts'
import type { UnlockViews } from './views/unlock-view.ts'

export interface HttpServerOptions extends UnlockRoutes {
  readonly webhook: (request: WebhookRequest) => Promise<WebhookResponse>
  readonly live: LiveRollouts
  readonly interpreter: Interpreter
  readonly ledger: Ledger
  readonly waves: PushWaves
  readonly locks: LockViews
  readonly unlocks: UnlockViews
  readonly clock: Clock
  /** How many times as fast as real time `clock` runs, for the page to show ages. */
  readonly speed: number
  /** Who acts when somebody clicks: only people on this machine can. */
  readonly person: string
  /** 0: any that is free. */
  readonly port: number
  /** Default: this machine only. */
  readonly hostname?: string
}

export interface HttpServer {
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

/** The port is taken, or may not be used. */
export class PortUnavailable extends LockstepError {
  constructor(port: number, code: string) {
    const why = code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${code})`
    super('PortUnavailable', `Port ${port} ${why}.`, 'Give another one with --port, or 0 for any that is free.')
  }
}

/** The webhook and the console over HTTP. Throws PortUnavailable. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { port, hostname = '127.0.0.1' } = options
  const streams = new Set<ServerResponse>()
  const handle = requestHandler(options, streams)
  const server = createServer((request, response) => void handle(request, response))
  const listening = once(server, 'listening')
  server.listen(port, hostname)
  try {
    await listening
  } catch (error) {
    throw new PortUnavailable(port, error instanceof Error && 'code' in error ? String(error.code) : 'unknown error')
  }
  const unsubscribe = options.live.onChange(({ rollouts, executions }) => {
    const message = `data: ${JSON.stringify({ rollouts: [...rollouts], executions: [...executions] })}\n\n`
    // Who does not keep up misses messages, which only say that there is something new to fetch.
    for (const stream of streams) if (!stream.writableNeedDrain) stream.write(message)
  })
  const bound = (server.address() as AddressInfo).port
  return {
    url: `http://${hostname}:${bound}`,
    port: bound,
    close: async () => {
      unsubscribe()
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
}

function requestHandler(options: HttpServerOptions, streams: Set<ServerResponse>) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      const { pathname } = new URL(request.url ?? '/', 'http://localhost')
      if (pathname === '/webhook') return send(response, await webhook(request, options))
      if (pathname.startsWith(approvalPath))
        return send(response, await approvePage(request, decode(pathname.slice(approvalPath.length)), options))
      refuseForeign(request)
      if (pathname === '/api/events' && isRead(request)) return stream(response, streams)
      send(response, await route(request, pathname, options))
    } catch (error) {
      send(response, failure(error))
    }
  }
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  // The rest of a body that nobody reads must not keep the connection alive.
  const unread = response.req.complete ? {} : { connection: 'close' }
  response.req.resume()
  response.writeHead(status, { ...securityHeaders, ...headers, ...unread })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

function failure(error: unknown): Answer {
  if (error instanceof Refused) return json(error.status, { error: error.message })
  if (!(error instanceof LockstepError)) return json(500, { error: 'The local host failed on this request.' })
  const status = { NothingToRelease: 409, NothingToUnlock: 409, ReleaseBusy: 503, LedgerUnavailable: 503 }[error.name]
  return json(status ?? 500, { error: error.message })
}

/**
 * The webhook and the pages of approvers are for the world, by their signatures. A page of another site, or a name bound
 * to us, may not do the rest.
 */
function refuseForeign(request: IncomingMessage): void {
  const { host = '', origin } = request.headers
  const name = host.replace(/:\d+$/, '')
  if (!['127.0.0.1', 'localhost', '[::1]'].includes(name)) {
    throw new Refused(403, 'The console answers on this machine only: open it by localhost or 127.0.0.1.')
  }
  const site = request.headers['sec-fetch-site']
  const isCrossSite = (origin !== undefined && origin !== `http://${host}`) || site === 'cross-site'
  if (!isRead(request) && isCrossSite) throw new Refused(403, 'Another site may not do this.')
}

async function webhook(request: IncomingMessage, options: HttpServerOptions): Promise<Answer> {
  if (request.method !== 'POST') throw new Refused(405, 'Deliveries come by POST.')
  const body = await readBody(request)
  const answer = await options.webhook({
    headers: headersOf(request),
    body: body.toString('base64'),
    isBase64Encoded: true,
  })
  return { status: answer.statusCode, headers: answer.headers, body: answer.body }
}

const mostStreams = 64

/** Server-sent events: a message says that something has changed, not what. */
function stream(response: ServerResponse, streams: Set<ServerResponse>): void {
  if (streams.size >= mostStreams) throw new Refused(503, 'Too many pages are open.')
  response.writeHead(200, { ...securityHeaders, 'content-type': 'text/event-stream; charset=utf-8' })
  response.write('retry: 1000\ndata: {}\n\n')
  streams.add(response)
  response.on('close', () => streams.delete(response))
}

const page = new URL('console/', import.meta.url)
const assets: Readonly<Record<string, { readonly file: string; readonly type: string }>> = {
  '/': { file: 'index.html', type: 'text/html; charset=utf-8' },
  '/console.css': { file: 'console.css', type: 'text/css; charset=utf-8' },
  '/console.js': { file: 'console.js', type: 'text/javascript; charset=utf-8' },
}

async function route(request: IncomingMessage, pathname: string, options: HttpServerOptions): Promise<Answer> {
  const asset = Object.hasOwn(assets, pathname) ? assets[pathname] : undefined
  if (asset) {
    if (!isRead(request)) throw new Refused(405, 'This can only be read.')
    const body = await readFile(new URL(asset.file, page))
    return { status: 200, headers: { 'content-type': asset.type }, body }
  }
  const [root, what = '', ...names] = pathname.slice(1).split('/').map(decode)
  if (root === 'api' && what === 'rollouts') return rolloutRoute(request, names, options)
  if (root === 'api' && what === 'executions') return executionRoute(request, names, options)
  if (root === 'api' && what === 'locks') return lockRoute(request, names, options)
  const time = { now: options.clock.now(), speed: options.speed }
  if (root === 'api' && what === 'approvals') return approvalRoute(request, names, options, time)
  if (root === 'api' && what === 'unlocks') return unlockRoute(request, names, options, time)
  throw new Refused(404, 'There is nothing here.')
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new Refused(400, 'The address is not well-formed.')
  }
}

async function rolloutRoute(request: IncomingMessage, names: string[], options: HttpServerOptions): Promise<Answer> {
  const { live, waves, clock, speed } = options
  const [id, action] = names
  const time = { now: clock.now(), speed }
  if (id === undefined) {
    if (!isRead(request)) throw new Refused(405, 'The list can only be read.')
    return json(200, { ...time, pushes: waves.list(), rollouts: live.list().map(withoutObjects) })
  }
  const rollout = live.get(id)
  if (!rollout) throw new Refused(404, `There is no rollout ${id}.`)
  if (action === undefined && isRead(request)) return json(200, { ...time, rollout })
  if (action === 'release' && names.length === 2) {
    if (request.method !== 'POST') throw new Refused(405, 'Gates are released by POST.')
    return releaseGates(id, options)
  }
  throw new Refused(404, 'A rollout can be read or released.')
}

/** The list shows progress by counts; objects are left to the single rollout. */
function withoutObjects({ layers, ...rollout }: RolloutView) {
  return { ...rollout, layers: layers.map(({ objects, ...layer }) => layer) }
}

async function releaseGates(id: string, { ledger, clock, person }: HttpServerOptions): Promise<Answer> {
  const stored = await ledger.readRollout(id)
  if (!stored) throw new Refused(409, `Rollout ${id} has not claimed its cluster yet.`)
  await requestRelease(stored.value, person, { ledger, clock })
  return json(202, { rollout: id })
}

function executionRoute(request: IncomingMessage, names: string[], options: HttpServerOptions): Answer {
  const { interpreter, clock, speed } = options
  const [machine, name, action] = names
  const time = { now: clock.now(), speed }
  if (machine === undefined) {
    if (!isRead(request)) throw new Refused(405, 'The list can only be read.')
    return json(200, { ...time, executions: executionLines(interpreter) })
  }
  const execution = findExecution(interpreter, machine, name ?? '')
  if (!execution) throw new Refused(404, `There is no execution ${name} of ${machine}.`)
  if (action === undefined && isRead(request)) return json(200, { ...time, ...executionView(interpreter, execution) })
  if (action === 'stop' && names.length === 3) {
    if (request.method !== 'POST') throw new Refused(405, 'An execution is stopped by POST.')
    const cause = `${options.person} stopped it in the console.`
    return json(202, interpreter.stop(execution.executionArn, { error: 'Stopped', cause }))
  }
  throw new Refused(404, 'An execution can be read or stopped.')
}

async function lockRoute(request: IncomingMessage, names: string[], options: HttpServerOptions): Promise<Answer> {
  const { locks, unlocks, approvals, clock, speed } = options
  const [key, what, ...more] = names
  if (request.method === 'POST' && key !== undefined && what === 'unlock' && more.length === 0)
    return startUnlock(request, key, options)
  if (!isRead(request)) throw new Refused(405, 'Locks can only be read, or unlocked by POST.')
  const time = { now: clock.now(), speed }
  if (key === undefined) {
    return json(200, { ...time, ...(await locks.list()), approvals: await approvals.list() })
  }
  if (more.length > 0 || (what !== undefined && what !== 'unlock')) throw new Refused(404, 'There is nothing here.')
  const lock = what === undefined ? await locks.get(key) : undefined
  if (lock) {
    const waiting = (await approvals.list()).filter((each) => each.kind === 'unlock' && each.place === key)
    const latest = await options.unlockRuns.latest(key)
    return json(200, { ...time, lock, approvals: waiting, ...(latest && { unlock: latest }) })
  }
  // What it would do: asking for it changes nothing.
  const unlock = what === 'unlock' ? await unlocks.plan(key) : undefined
  if (unlock) return json(200, { ...time, unlock })
  throw new Refused(404, `No scan has looked for a lock at ${key}.`)
}
