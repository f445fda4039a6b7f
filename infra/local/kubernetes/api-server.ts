import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Clock } from '../../../functions/lib/clock.ts'
import { sleep } from '../../../functions/lib/clock.ts'
import { listenOnLoopback } from '../loopback.ts'
import type { Activity } from '../virtual-clock.ts'
import { discover } from './api-discovery.ts'
import { ApiFaults, type Fault } from './api-faults.ts'
import { ObjectApi } from './api-objects.ts'
import { type ApiRequest, parseRequest } from './api-request.ts'
import { ApiError, injected, qualified, statusOf } from './api-status.ts'
import { serveWatch } from './api-watch.ts'
import { type ObjectStore, StoreError } from './object-store.ts'
import { type Authorize, isReview, review } from './review.ts'

/** More than etcd takes in one object. */
const bodyLimitBytes = 3 * 1024 * 1024

export interface ApiServerOptions {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly activity: Activity
  /** Default: any free port. Always on 127.0.0.1. */
  readonly port?: number
  /** The user that a bearer token stands for; undefined is a 401. Default: everybody is let in without a token. */
  readonly authenticate?: (bearerToken: string) => string | undefined
  /** False is a 403. Default: a user may do everything. */
  readonly authorize?: Authorize
  /** What `/readyz` is answered with. While a server starts that is 403, then 500. Default: 200. */
  readonly ready?: () => 200 | 403 | 500
  /** What it calls itself. Default: 1.35. */
  readonly version?: string
}

export interface ApiServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** What shall go wrong. */
  readonly faults: ApiFaults
  /** How many requests came in, by verb and kind: `requests().PATCH?.Kustomization`. Refused ones count. */
  requests(): Readonly<Record<string, Readonly<Record<string, number>>>>
  /** How many TCP connections were accepted. */
  connections(): number
  /** How many watches are open now. */
  openWatches(): number
  /** Sets requests and connections to zero. */
  resetCounters(): void
  /** Cuts every open watch. */
  dropWatches(): void
  /** Cuts every open watch and forgets all history, so that each of them meets 410 when it comes back. */
  forgetHistory(): void
  /** Cuts every connection and stops listening. */
  close(): Promise<void>
}

/**
 * The Kubernetes API over HTTP, for one ObjectStore: list, watch, get, create, replace, patch, delete and the
 * subresources status and scale of every kind that the store serves; and what a user may ask about the server and about
 * themselves and others (discovery, SelfSubjectAccessReview, SubjectAccessReview, SelfSubjectReview). Not there, and refused: strategic merge patch,
 * dry run, set-based selectors, deleting collections, apply without force. Namespaces need not exist, and objects are not validated against
 * a schema.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { store, clock, activity } = options
  const faults = new ApiFaults()
  const objects = new ObjectApi(store)
  const watches = new Set<ServerResponse>()
  let requests: Record<string, Record<string, number>> = {}
  let connections = 0

  const handle = async (message: IncomingMessage, response: ServerResponse, bracket: Bracket): Promise<void> => {
    const url = new URL(message.url ?? '/', 'http://localhost')
    const user = userOf(message, options)
    if (isReview(message.method, url.pathname)) {
      const { authorize } = options
      return answer(response, 201, review(url.pathname, await bodyOf(message), { user, authorize }))
    }
    const readiness = url.pathname === '/readyz' ? (options.ready?.() ?? 200) : 200
    if (readiness !== 200) return answer(response, readiness, 'readyz check failed\n')
    const found = discover(url.pathname, store.served(), options.version)
    if (found !== undefined) return answer(response, 200, found)
    const request = parseRequest(message, url, store.served())
    if (!request) return answer(response, 404, '404 page not found\n')
    count(requests, request)
    const fault = faults.take({ verb: request.verb, kind: request.resource.kind, name: request.name })
    if (fault && (await misbehave(fault, request, response, clock, bracket))) return
    if (options.authorize?.(user, request) === false) throw forbidden(user, request)
    if (request.verb !== 'WATCH') {
      const { code, body } = objects.serve(request, await bodyOf(message))
      return answer(response, code, body)
    }
    watches.add(response)
    response.on('close', () => watches.delete(response))
    serveWatch({ store, clock, activity, request, response, fault })
    bracket.end()
  }

  const server = createServer((message, response) => {
    const bracket = new Bracket(activity)
    response.on('close', () => bracket.end())
    handle(message, response, bracket).catch((error) => answerError(response, error))
  })
  server.on('connection', () => connections++)
  const { url, close } = await listenOnLoopback(server, options.port)

  const dropWatches = () => {
    for (const response of watches) response.destroy()
  }
  return {
    url,
    faults,
    requests: () => structuredClone(requests),
    connections: () => connections,
    openWatches: () => watches.size,
    resetCounters: () => {
      requests = {}
      connections = 0
    },
    dropWatches,
    forgetHistory: () => {
      store.forgetHistory()
      objects.forgetPages()
      dropWatches()
    },
    close,
  }
}

/** Tells the clock that a request is being worked on, except while the request itself waits for time to pass. */
class Bracket {
  private readonly activity: Activity
  end: () => void

  constructor(activity: Activity) {
    this.activity = activity
    this.end = activity.begin()
  }

  begin(): void {
    this.end = this.activity.begin()
  }
}

/** Does what the fault says; true when the request ends here. What is left to the watch itself is not done here. */
async function misbehave(
  fault: Fault,
  request: ApiRequest,
  response: ServerResponse,
  clock: Clock,
  bracket: Bracket,
): Promise<boolean> {
  if (fault.do === 'answer') throw injected(fault.status, fault.retryAfterSeconds)
  if (fault.do === 'delay') {
    bracket.end()
    await sleep(clock, fault.ms)
    bracket.begin()
    return response.destroyed
  }
  if (request.verb === 'WATCH' && fault.do !== 'hang') return false
  if (fault.do === 'drop') response.destroy()
  else bracket.end()
  return true
}

function userOf(message: IncomingMessage, { authenticate }: ApiServerOptions): string {
  if (!authenticate) return 'anonymous'
  const token = /^Bearer (.+)$/.exec(message.headers.authorization ?? '')?.[1]
  const user = token === undefined ? undefined : authenticate(token)
  if (user === undefined) throw new ApiError(401, 'Unauthorized', 'Unauthorized')
  return user
}

const accessVerbs = {
  LIST: 'list',
  WATCH: 'watch',
  GET: 'get',
  CREATE: 'create',
  UPDATE: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
} as const

function forbidden(user: string, { verb, resource, namespace, name, subresource }: ApiRequest): ApiError {
  const object = name === undefined ? '' : ` "${name}"`
  const path = subresource ? `${resource.plural}/${subresource}` : resource.plural
  const scope = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`
  return new ApiError(
    403,
    'Forbidden',
    `${qualified(resource)}${object} is forbidden: User "${user}" cannot ${accessVerbs[verb]} resource "${path}" in API group "${resource.group}" ${scope}`,
  )
}

function count(requests: Record<string, Record<string, number>>, { verb, resource }: ApiRequest): void {
  const kinds = requests[verb] ?? {}
  requests[verb] = { ...kinds, [resource.kind]: (kinds[resource.kind] ?? 0) + 1 }
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of message) {
    size += chunk.length
    if (size > bodyLimitBytes) throw new ApiError(413, 'RequestEntityTooLarge', 'the request is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** A text as text, all else as JSON. */
function answer(response: ServerResponse, code: number, body: object | string, headers: object = {}): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const type = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json'
  response.writeHead(code, { 'content-type': type, ...headers })
  response.end(text)
}

function answerError(response: ServerResponse, error: unknown): void {
  if (response.destroyed) return
  if (response.headersSent) {
    response.destroy()
    return
  }
  const known = error instanceof ApiError || error instanceof StoreError
  const status = statusOf(known ? error : new ApiError(500, 'InternalError', `Internal error occurred: ${error}`))
  const retryAfter = (status.details as { retryAfterSeconds?: number } | undefined)?.retryAfterSeconds
  answer(response, status.code, status, retryAfter === undefined ? {} : { 'retry-after': `${retryAfter}` })
}
