import {
  HttpMethod,
  IsomorphicFetchHttpLibrary,
  type KubeConfig,
  RequestContext,
  type ResponseContext,
} from '@kubernetes/client-node'
import * as z from 'zod'
import type { Clock } from '../clock.ts'
import { LockstepError } from '../errors.ts'
import {
  type Cluster,
  type Kind,
  type Listing,
  type ObjectRef,
  type Patch,
  refKey,
  resources,
  type WatchEvent,
} from './cluster.ts'
import { type Asked, refused, unavailable, withoutCredentials } from './cluster-failure.ts'
import { jsonLines } from './json-lines.ts'
import { TimeLimit } from './time-limit.ts'

export interface KubernetesClientOptions {
  /** The cluster's name in the fleet: stands in every error. */
  readonly name: string
  /** Where the cluster is and how to authenticate: its current context. Asked for credentials before every request. */
  readonly config: KubeConfig
  readonly clock: Clock
  /** How long an answer may take, its body included, in milliseconds. Default 15 s. */
  readonly requestTimeoutMs?: number
  /** How long one watch is asked to last, in seconds. Default 15 min, longer than any Lambda runs. */
  readonly watchSeconds?: number
  /**
   * How long a watch may say nothing before its connection counts as dead, in milliseconds. Default 150 s: an API
   * server sends a bookmark about every minute.
   */
  readonly watchSilenceMs?: number
}

interface Call {
  readonly asked: Asked
  readonly method: HttpMethod
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly contentType?: string
  readonly body?: string
}

const fieldManager = 'lockstep'
const patchTypes = { merge: 'application/merge-patch+json', json: 'application/json-patch+json' } as const

const listingSchema = z.object({
  items: z.array(z.unknown()),
  metadata: z.object({ resourceVersion: z.string().min(1) }),
})
const eventSchema = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
  object: z.unknown(),
})
const errorCodeSchema = z.object({ code: z.number().int() }).catch({ code: 0 })

/**
 * A Cluster over HTTP(S), with the address, the trust and the credentials of a KubeConfig. Requests go through
 * @kubernetes/client-node's HTTP library; its generated API classes are left aside because they bring a dispatcher,
 * hence a TLS handshake, per call, and its Watch because it gives up on a watch that is quiet for 30 s.
 */
export class KubernetesClient implements Cluster {
  readonly name: string
  private readonly options: Required<KubernetesClientOptions>
  private readonly http = new IsomorphicFetchHttpLibrary()
  /** Keeps connections alive from request to request. */
  private dispatcher: ReturnType<RequestContext['getDispatcher']>

  constructor(options: KubernetesClientOptions) {
    this.name = options.name
    this.options = { requestTimeoutMs: 15_000, watchSeconds: 900, watchSilenceMs: 150_000, ...options }
  }

  async list(kind: Kind): Promise<Listing> {
    const asked = this.asked(`LIST ${kind}`)
    const body = await this.json({ asked, method: HttpMethod.GET, path: pathOf(kind), query: {} })
    const listing = listingSchema.safeParse(body)
    if (!listing.success) throw unavailable(asked, 'was answered with something that is not a list')
    return { items: listing.data.items, resourceVersion: listing.data.metadata.resourceVersion }
  }

  async get(ref: ObjectRef): Promise<unknown> {
    const asked = this.asked(`GET ${refKey(ref)}`, { object: true })
    return this.json({ asked, method: HttpMethod.GET, path: pathOf(ref.kind, ref), query: {} })
  }

  async patch(ref: ObjectRef, patch: Patch): Promise<unknown> {
    return this.json({
      asked: this.asked(`PATCH ${refKey(ref)}`, { object: true, jsonPatch: patch.type === 'json' }),
      method: HttpMethod.PATCH,
      path: pathOf(ref.kind, ref),
      query: { fieldManager },
      contentType: patchTypes[patch.type],
      body: JSON.stringify(bodyOf(patch)),
    })
  }

  async watch(
    kind: Kind,
    resourceVersion: string,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    // A failure of onEvent is the caller's own and passes through as it is.
    for await (const event of this.events(kind, resourceVersion, signal)) onEvent(event)
  }

  private async *events(kind: Kind, resourceVersion: string, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    if (signal.aborted) return
    const { watchSeconds, watchSilenceMs, requestTimeoutMs, clock } = this.options
    const asked = this.asked(`WATCH ${kind} from ${resourceVersion}`)
    const query = { watch: 'true', resourceVersion, allowWatchBookmarks: 'true', timeoutSeconds: `${watchSeconds}` }
    const limit = new TimeLimit(clock, requestTimeoutMs, signal)
    try {
      const response = await this.send({ asked, method: HttpMethod.GET, path: pathOf(kind), query }, limit)
      const stream = response.body.stream()
      if (!stream) throw unavailable(asked, 'was answered without a body')
      limit.restart(watchSilenceMs)
      for await (const line of jsonLines(stream, () => limit.restart(watchSilenceMs))) {
        if (signal.aborted) return
        yield eventOf(asked, line)
      }
    } catch (error) {
      if (signal.aborted) return
      throw this.failure(asked, error, limit)
    } finally {
      limit.end()
    }
  }

  /** Sends a call and answers the JSON that comes back. */
  private async json(call: Call): Promise<unknown> {
    const limit = new TimeLimit(this.options.clock, this.options.requestTimeoutMs)
    try {
      const response = await this.send(call, limit)
      return JSON.parse(await response.body.text())
    } catch (error) {
      throw this.failure(call.asked, error, limit)
    } finally {
      limit.end()
    }
  }

  /** Sends a call and answers a success whose body is still to be read. */
  private async send(call: Call, limit: TimeLimit): Promise<ResponseContext> {
    const request = await this.authenticated(call)
    request.setHeaderParam('Accept', 'application/json')
    if (call.contentType) request.setHeaderParam('Content-Type', call.contentType)
    if (call.body !== undefined) request.setBody(call.body)
    request.setSignal(limit.signal)
    const response = await this.http.send(request).toPromise()
    const code = response.httpStatusCode
    if (code >= 200 && code < 300) return response
    const retryAfterSeconds = response.headers['retry-after']
    throw refused(call.asked, { code, body: await response.body.text(), retryAfterSeconds })
  }

  private async authenticated({ asked, method, path, query }: Call): Promise<RequestContext> {
    const server = this.options.config.getCurrentCluster()?.server ?? ''
    const url = new URL(`${server.replace(/\/+$/, '')}${path}`)
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value)
    const request = new RequestContext(url.href, method)
    try {
      await this.options.config.applySecurityAuthentication(request)
    } catch (error) {
      if (error instanceof LockstepError) throw error
      // Its message may quote what a credential command printed.
      throw withoutCredentials(asked, error instanceof Error ? error.name : 'unknown error')
    }
    this.dispatcher ??= request.getDispatcher()
    if (this.dispatcher) request.setDispatcher(this.dispatcher)
    return request
  }

  private failure(asked: Asked, error: unknown, limit: TimeLimit): LockstepError {
    // HTTP/2 puts all requests on one connection: if it is dead, the next request must not meet it again.
    if (limit.expired) this.dispatcher = undefined
    return failureOf(asked, error, limit)
  }

  private asked(what: string, { object = false, jsonPatch = false } = {}): Asked {
    return { cluster: this.name, what, object, jsonPatch }
  }
}

function pathOf(kind: Kind, ref?: ObjectRef): string {
  const { group, version, plural } = resources[kind]
  if (!ref) return `/apis/${group}/${version}/${plural}`
  const [namespace, name] = [encodeURIComponent(ref.namespace), encodeURIComponent(ref.name)]
  return `/apis/${group}/${version}/namespaces/${namespace}/${plural}/${name}`
}

function bodyOf(patch: Patch): unknown {
  if (patch.type === 'json') return patch.operations
  if (patch.resourceVersion === undefined) return patch.body
  const metadata = 'metadata' in patch.body ? patch.body.metadata : {}
  return { ...patch.body, metadata: { ...(metadata as object), resourceVersion: patch.resourceVersion } }
}

function eventOf(asked: Asked, line: unknown): WatchEvent {
  const event = eventSchema.safeParse(line)
  if (!event.success) throw unavailable(asked, 'sent something that is not a watch event')
  const { type, object } = event.data
  if (type !== 'ERROR') return { type, object }
  throw refused(asked, { code: errorCodeSchema.parse(object).code, body: JSON.stringify(object) })
}

function failureOf(asked: Asked, error: unknown, limit: TimeLimit): LockstepError {
  if (limit.expired) return unavailable(asked, `was not answered: nothing came for ${limit.seconds} s`)
  if (error instanceof LockstepError) return error
  if (error instanceof SyntaxError) return unavailable(asked, 'was answered with something that is not JSON')
  return unavailable(asked, `failed (${networkCode(error)})`)
}

/** `ECONNREFUSED` and the like; the message of a network error may carry more than a log should. */
function networkCode(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code
  }
  return error instanceof Error ? error.name : 'unknown error'
}
