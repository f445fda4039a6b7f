import {
  HttpMethod,
  IsomorphicFetchHttpLibrary,
  type KubeConfig,
  RequestContext,
  type ResponseContext,
} from '@kubernetes/client-node'
import type { Clock } from '../clock.ts'
import { LockstepError } from '../errors.ts'
import { type Asked, noAnswer, refused, refusedAltogether, unavailable, withoutCredentials } from './cluster-failure.ts'
import { TimeLimit } from './time-limit.ts'

export interface ApiConnectionOptions {
  /** The cluster's name in the fleet: stands in every error. */
  readonly name: string
  /** Where the cluster is and how to authenticate: its current context. Asked for credentials before every request. */
  readonly config: KubeConfig
  readonly clock: Clock
  /** How long an answer may take, its body included, in milliseconds. Default 15 s. */
  readonly requestTimeoutMs?: number
}

/** One request to an API server. */
export interface Call {
  readonly asked: Asked
  readonly method: HttpMethod
  /** From the root of the API: `/apis/apps/v1/deployments`. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly contentType?: string
  readonly body?: string
}

/**
 * Requests to one API server, with the address, the trust and the credentials of a KubeConfig; connections are kept
 * alive from request to request. Every failure is a ClusterError. Requests go through @kubernetes/client-node's HTTP
 * library; its generated API classes are left aside because they bring a dispatcher, hence a TLS handshake, per call.
 */
export class ApiConnection {
  readonly name: string
  private readonly options: Required<ApiConnectionOptions>
  private readonly http = new IsomorphicFetchHttpLibrary()
  private dispatcher: ReturnType<RequestContext['getDispatcher']>

  constructor(options: ApiConnectionOptions) {
    this.name = options.name
    this.options = { requestTimeoutMs: 15_000, ...options }
  }

  /** The API server's URL, to be shown. */
  get server(): string {
    const url = URL.parse(this.base)
    // Without user and password, which a URL may carry.
    return url ? `${url.origin}${url.pathname}`.replace(/\/$/, '') : 'an address that is no URL'
  }

  private get base(): string {
    return (this.options.config.getCurrentCluster()?.server ?? '').replace(/\/+$/, '')
  }

  /** What errors say of a call; `what` is the call in words, such as `LIST Kustomization`. */
  asked(what: string, { object = false, jsonPatch = false } = {}): Asked {
    return { cluster: this.name, server: this.server, what, object, jsonPatch }
  }

  /** Sends a call and answers the JSON that comes back. */
  async json(call: Call): Promise<unknown> {
    const limit = this.limit()
    try {
      const response = await this.send(call, limit)
      return JSON.parse(await response.body.text())
    } catch (error) {
      throw this.failure(call.asked, error, limit)
    } finally {
      limit.end()
    }
  }

  /** The time that an answer may take; `signal` may end it earlier. Must be ended. */
  limit(signal?: AbortSignal): TimeLimit {
    return new TimeLimit(this.options.clock, this.options.requestTimeoutMs, signal)
  }

  /** Sends a call and answers a success whose body is still to be read; what that throws is for `failure`. */
  async send(call: Call, limit: TimeLimit): Promise<ResponseContext> {
    let response = await this.exchange(call, limit)
    if (response.httpStatusCode === 403) {
      // An API server that starts refuses everybody until it has read the roles, which is what `/readyz` waits for.
      const body = await response.body.text()
      const readiness = await this.readiness(call.asked, limit)
      if (readiness === 'not told') throw refusedAltogether(call.asked, body)
      if (readiness === 'starting') {
        throw unavailable(call.asked, 'was refused by an API server that is still starting')
      }
      // It may have become ready between the two.
      response = await this.exchange(call, limit)
    }
    const code = response.httpStatusCode
    if (code >= 200 && code < 300) return response
    const retryAfterSeconds = response.headers['retry-after']
    throw refused(call.asked, { code, body: await response.body.text(), retryAfterSeconds })
  }

  /**
   * Whether the API server has started. Every user may ask (https://kubernetes.io/docs/reference/using-api/health-checks/),
   * once it has read the roles: so it tells nobody for as long as it refuses everything. A proxy that does not pass the
   * question on is taken for ready.
   */
  private async readiness(asked: Asked, limit: TimeLimit): Promise<'ready' | 'starting' | 'not told'> {
    const response = await this.exchange({ asked, method: HttpMethod.GET, path: '/readyz' }, limit)
    await response.body.text()
    if (response.httpStatusCode === 403) return 'not told'
    return response.httpStatusCode < 500 ? 'ready' : 'starting'
  }

  /** One request and its answer, whatever that is. */
  private async exchange(call: Call, limit: TimeLimit): Promise<ResponseContext> {
    const request = await this.authenticated(call)
    request.setHeaderParam('Accept', 'application/json')
    if (call.contentType) request.setHeaderParam('Content-Type', call.contentType)
    if (call.body !== undefined) request.setBody(call.body)
    request.setSignal(limit.signal)
    return this.http.send(request).toPromise()
  }

  /** The error to throw for one that came out of `send`, or out of reading what it answered. */
  failure(asked: Asked, error: unknown, limit: TimeLimit): LockstepError {
    // HTTP/2 puts all requests on one connection: if it is dead, the next request must not meet it again.
    if (limit.expired) this.dispatcher = undefined
    if (limit.expired) return unavailable(asked, `was not answered: nothing came for ${limit.seconds} s`)
    if (error instanceof LockstepError) return error
    if (error instanceof SyntaxError) return unavailable(asked, 'was answered with something that is not JSON')
    return noAnswer(asked, codeOf(error))
  }

  private async authenticated({ asked, method, path, query = {} }: Call): Promise<RequestContext> {
    const url = new URL(`${this.base}${path}`)
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value)
    const request = new RequestContext(url.href, method)
    try {
      await this.options.config.applySecurityAuthentication(request)
    } catch (error) {
      if (error instanceof LockstepError) throw error
      // Its message may quote what a credential command printed.
      throw withoutCredentials(asked, codeOf(error))
    }
    this.dispatcher ??= request.getDispatcher()
    if (this.dispatcher) request.setDispatcher(this.dispatcher)
    return request
  }
}

/** `ECONNREFUSED` and the like; the message of a network error may carry more than a log should. */
function codeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code
  }
  return error instanceof Error ? error.name : 'unknown error'
}
