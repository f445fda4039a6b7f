import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { stringify } from 'yaml'
import * as z from 'zod'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { jsonLines } from '../../../functions/lib/kubernetes/json-lines.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import type { Kind } from './kinds.ts'

export interface ApiOptions {
  /** Base URL, https. */
  readonly server: string
  /** PEM. */
  readonly ca: string
  /** Bearer token; undefined sends none. */
  readonly token: string | undefined
  /** Default: `harness`. */
  readonly fieldManager?: string
}

/** Names one object of any kind. */
export interface ObjectKey extends Kind {
  /** Of kinds that live in one. */
  readonly namespace?: string | undefined
  readonly name: string
}

export interface ApiAnswer {
  readonly status: number
  /** JSON, or text where the server sent none. */
  readonly body: unknown
}

export interface ApiRequest {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  readonly contentType?: string
  readonly signal?: AbortSignal
}

export interface Selection {
  /** Undefined: all. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

export interface ApiEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubernetesObject
}

export interface WriteOptions {
  /** Default: that of the client. */
  readonly fieldManager?: string
}

export interface PatchOptions extends WriteOptions {
  /** Default: `merge`. */
  readonly type?: keyof typeof patchTypes
  readonly subresource?: 'status' | 'scale'
}

export interface DeleteOptions {
  /** 0: at once, without waiting for anybody (`--force`). */
  readonly graceSeconds?: number
  /** Deletes nothing but the object with this uid. */
  readonly uid?: string
}

const patchTypes = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
}

/** The API server's refusal. */
export class ApiRefused extends LockstepError {
  readonly status: number
  /** As in Kubernetes' Status: `NotFound`, `Conflict`, `AlreadyExists`, `Forbidden`, … */
  readonly reason: string

  constructor(what: string, { status, body }: ApiAnswer) {
    const { reason, message } = statusSchema.parse(body)
    super('ApiRefused', `${what} answered ${status} ${reason}: ${message}.`, 'Correct the request.')
    this.status = status
    this.reason = reason
  }
}

/** No answer. */
export class ApiUnreachable extends LockstepError {
  constructor(what: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause)
    super('ApiUnreachable', `${what} got no answer (${why}).`, 'See whether kube-apiserver runs.', { cause })
  }
}

/** Something that was waited for did not come about. */
export class NotSeen extends LockstepError {
  constructor(what: string, ms: number, last: KubernetesObject | undefined) {
    const shown = last === undefined ? 'there is no such object' : stringify(withoutManagers(last)).slice(0, 4_000)
    super(
      'NotSeen',
      `${what}: not seen within ${ms / 1000} s. Last seen:\n${shown}\n`,
      'See the logs of its controller.',
    )
  }
}

const statusSchema = z
  .object({ reason: z.string().catch(''), message: z.string().catch('') })
  .catch({ reason: '', message: '' })

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
})

/** Items of a list come without apiVersion and kind. */
const listSchema = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  items: z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })),
})

const eventSchema = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
  object: z.unknown(),
})

const discoverySchema = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
})

interface Served {
  readonly plural: string
  readonly namespaced: boolean
}

const answerWithinMs = 60_000
const reconnectPauseMs = 100
const patienceMs = 240_000

/**
 * A small client for whoever runs or tests a cluster: any kind, raw objects.
 * Methods throw ApiRefused and ApiUnreachable.
 */
export class Api {
  readonly server: string
  readonly #options: ApiOptions
  readonly #agent: Agent
  readonly #served = new Map<string, Promise<ReadonlyMap<string, Served>>>()

  constructor(options: ApiOptions) {
    this.server = options.server
    this.#options = options
    this.#agent = new Agent({ keepAlive: true, ca: options.ca })
  }

  /** The same server, seen by another user. */
  as(token: string | undefined, fieldManager?: string): Api {
    return new Api({ ...this.#options, token, ...(fieldManager !== undefined && { fieldManager }) })
  }

  /** Ends idle connections. */
  close(): void {
    this.#agent.destroy()
  }

  /**
   * Any request; the answer whatever its status, but for 429 (nothing was done: custom resources answer it for a moment
   * after the server's start, when it is ready by its own account), after which it is sent again. Throws
   * ApiUnreachable only.
   */
  async request(method: string, path: string, options: ApiRequest = {}): Promise<ApiAnswer> {
    const limit = AbortSignal.timeout(answerWithinMs)
    const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit
    for (;;) {
      const answer = await this.#answer(method, path, { ...options, signal })
      if (answer.status !== 429 || signal.aborted) return answer
      await reconnectPause(signal)
    }
  }

  async #answer(method: string, path: string, options: ApiRequest): Promise<ApiAnswer> {
    const response = await this.#send(method, path, options)
    try {
      return { status: response.statusCode ?? 0, body: parsed(await text(response)) }
    } catch (error) {
      throw new ApiUnreachable(`${method} ${path}`, error)
    }
  }

  async get(key: ObjectKey): Promise<KubernetesObject> {
    return objectOf(await this.#succeed('GET', await this.path(key, key)))
  }

  /** Undefined where there is no such object. */
  async find(key: ObjectKey): Promise<KubernetesObject | undefined> {
    try {
      return await this.get(key)
    } catch (error) {
      if (error instanceof ApiRefused && error.status === 404) return undefined
      throw error
    }
  }

  async list(kind: Kind, selection: Selection = {}): Promise<KubernetesObject[]> {
    return (await this.#list(kind, selection)).items
  }

  async create(object: KubernetesObject): Promise<KubernetesObject> {
    const path = await this.path(object, { namespace: object.metadata.namespace })
    return objectOf(await this.#succeed('POST', path, { query: this.#writer(), body: object }))
  }

  /** Server-side apply, with force: creates it, or takes over the fields that are given. */
  async apply(object: KubernetesObject, options: WriteOptions = {}): Promise<KubernetesObject> {
    const query = { ...this.#writer(options), force: true }
    const request = { query, body: object, contentType: patchTypes.apply }
    return objectOf(await this.#succeed('PATCH', await this.path(object, object.metadata), request))
  }

  /** The object after the patch. `body` is an object, or a list of operations for `json`. */
  async patch(key: ObjectKey, body: unknown, options: PatchOptions = {}): Promise<KubernetesObject> {
    const { type = 'merge', subresource } = options
    const path = await this.path(key, key)
    return objectOf(
      await this.#succeed('PATCH', subresource === undefined ? path : `${path}/${subresource}`, {
        ...{ query: this.#writer(options), body, contentType: patchTypes[type] },
      }),
    )
  }

  async delete(key: ObjectKey, { graceSeconds, uid }: DeleteOptions = {}): Promise<void> {
    const body = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      propagationPolicy: 'Background',
      ...(graceSeconds !== undefined && { gracePeriodSeconds: graceSeconds }),
      ...(uid !== undefined && { preconditions: { uid } }),
    }
    await this.#succeed('DELETE', await this.path(key, key), { body })
  }

  /**
   * What is there now, each as ADDED, and then every change, until `signal` aborts or the caller breaks off. Lasts
   * through an API server that goes away and comes back. Throws ApiRefused where the kind may not be watched.
   */
  async *follow(
    kind: Kind,
    { signal, ...selection }: Selection & { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<ApiEvent, void> {
    const known = new Map<string, KubernetesObject>()
    while (!signal?.aborted) {
      try {
        const { items, resourceVersion } = await this.#list(kind, selection, signal)
        yield* changesTo(items, known)
        for await (const event of this.#watch(kind, resourceVersion, { ...selection, signal })) {
          if (event.type === 'DELETED') known.delete(uidOf(event.object))
          else known.set(uidOf(event.object), event.object)
          yield event
        }
      } catch (error) {
        passing(error)
      }
      await reconnectPause(signal)
    }
  }

  /**
   * Waits until the object is there and satisfies `wanted`, and answers it. `what` says in an error what was waited
   * for. Throws NotSeen after `withinMs`, default 30 seconds.
   */
  async until(
    key: ObjectKey,
    what: string,
    wanted: (object: KubernetesObject) => boolean,
    { withinMs = patienceMs }: { readonly withinMs?: number } = {},
  ): Promise<KubernetesObject> {
    let last: KubernetesObject | undefined
    for await (last of this.#versions(key, withinMs)) {
      if (last && wanted(last)) return last
    }
    throw new NotSeen(`${keyText(key)}, ${what}`, withinMs, last)
  }

  /** Waits until there is no such object. Throws NotSeen after `withinMs`, default 30 seconds. */
  async untilGone(key: ObjectKey, { withinMs = patienceMs }: { readonly withinMs?: number } = {}): Promise<void> {
    let last: KubernetesObject | undefined
    for await (last of this.#versions(key, withinMs)) {
      if (last === undefined) return
    }
    throw new NotSeen(`The end of ${keyText(key)}`, withinMs, last)
  }

  /** The object as it is, and each time that it changes; undefined while there is none. Ends after `ms`. */
  async *#versions(key: ObjectKey, ms: number): AsyncGenerator<KubernetesObject | undefined, void> {
    const signal = AbortSignal.timeout(ms)
    const selection = { namespace: key.namespace, fieldSelector: `metadata.name=${key.name}` }
    while (!signal.aborted) {
      try {
        const { items, resourceVersion } = await this.#list(key, selection, signal)
        yield items[0]
        for await (const { type, object } of this.#watch(key, resourceVersion, { ...selection, signal })) {
          yield type === 'DELETED' ? undefined : object
        }
      } catch (error) {
        passing(error)
      }
      await reconnectPause(signal)
    }
  }

  /** Path of a kind's collection, or of an object where `at` has a name. Asks the server what it serves. */
  async path(
    kind: Kind,
    at: { readonly namespace?: string | undefined; readonly name?: string } = {},
  ): Promise<string> {
    const { plural, namespaced } = await this.#lookUp(kind)
    const where = namespaced && at.namespace !== undefined ? `/namespaces/${at.namespace}` : ''
    const base = `${groupPath(kind.apiVersion)}${where}/${plural}`
    return at.name === undefined ? base : `${base}/${at.name}`
  }

  async #lookUp({ apiVersion, kind }: Kind): Promise<Served> {
    const known = (await this.#served.get(apiVersion))?.get(kind)
    if (known) return known
    // CRDs come and go: what was not there at the last look may be there now.
    const looking = this.#discover(apiVersion)
    this.#served.set(apiVersion, looking)
    looking.catch(() => this.#served.delete(apiVersion))
    const served = (await looking).get(kind)
    if (served) return served
    const body = { reason: 'NotFound', message: `${apiVersion} has no kind ${kind}` }
    throw new ApiRefused(`GET ${groupPath(apiVersion)}`, { status: 404, body })
  }

  async #discover(apiVersion: string): Promise<ReadonlyMap<string, Served>> {
    const { resources } = discoverySchema.parse(await this.#succeed('GET', groupPath(apiVersion)))
    const own = resources.filter(({ name }) => !name.includes('/'))
    return new Map(own.map(({ kind, name, namespaced }) => [kind, { plural: name, namespaced }]))
  }

  async #list(kind: Kind, selection: Selection, signal?: AbortSignal) {
    const { namespace, ...query } = selection
    const path = await this.path(kind, { namespace })
    const { items, metadata } = listSchema.parse(await this.#succeed('GET', path, { query, ...(signal && { signal }) }))
    const { apiVersion, kind: kindName } = kind
    return {
      items: items.map((item): KubernetesObject => ({ ...item, apiVersion, kind: kindName })),
      resourceVersion: metadata.resourceVersion,
    }
  }

  /** Ends when the server ends it, when it has forgotten what happened since `from`, or by `signal`. */
  async *#watch(
    kind: Kind,
    from: string,
    { namespace, signal, ...selection }: Selection & { readonly signal: AbortSignal | undefined },
  ): AsyncGenerator<ApiEvent, void> {
    const path = await this.path(kind, { namespace })
    const query = { ...selection, watch: true, allowWatchBookmarks: true, resourceVersion: from }
    const response = await this.#send('GET', path, { query, ...(signal && { signal }) })
    if (response.statusCode !== 200) {
      const body = parsed(await text(response))
      throw new ApiRefused(`Watching ${path}`, { status: response.statusCode ?? 0, body })
    }
    for await (const line of linesOf(response, path)) {
      const { type, object } = eventSchema.parse(line)
      if (type === 'ERROR') return
      if (type !== 'BOOKMARK') yield { type, object: objectOf(object) }
    }
  }

  async #succeed(method: string, path: string, options: ApiRequest = {}): Promise<unknown> {
    const answer = await this.request(method, path, options)
    if (answer.status >= 200 && answer.status < 300) return answer.body
    throw new ApiRefused(`${method} ${path}`, answer)
  }

  /** Once more where a kept connection turns out to be closed: the server has not seen the request then. */
  async #send(method: string, path: string, options: ApiRequest): Promise<IncomingMessage> {
    try {
      return await this.#sendOnce(method, path, options)
    } catch (error) {
      if (!(error instanceof ApiUnreachable && error.cause instanceof StaleConnection)) throw error
      return this.#sendOnce(method, path, options)
    }
  }

  #sendOnce(method: string, path: string, options: ApiRequest): Promise<IncomingMessage> {
    const { token } = this.#options
    const { query = {}, body, contentType = 'application/json', signal } = options
    const url = new URL(path, this.server)
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value))
    }
    const content = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      accept: 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(content !== undefined && { 'content-type': contentType, 'content-length': Buffer.byteLength(content) }),
    }
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, headers, agent: this.#agent, ...(signal && { signal }) }, resolve)
      sent.on('error', (error: NodeJS.ErrnoException) => {
        const isStale = sent.reusedSocket && error.code === 'ECONNRESET'
        reject(new ApiUnreachable(`${method} ${path}`, isStale ? new StaleConnection() : error))
      })
      sent.end(content)
    })
  }

  #writer({ fieldManager = this.#options.fieldManager ?? 'harness' }: WriteOptions = {}): { fieldManager: string } {
    return { fieldManager }
  }
}

class StaleConnection extends Error {}

/** `Terraform/flux-system/vpc`; without a namespace `Namespace/flux-system`. */
export function keyText({ kind, namespace, name }: ObjectKey): string {
  return namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`
}

export function keyOf({ apiVersion, kind, metadata }: KubernetesObject): ObjectKey {
  return { apiVersion, kind, namespace: metadata.namespace, name: metadata.name }
}

function groupPath(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}

const objectOf = (body: unknown): KubernetesObject => objectSchema.parse(body)

/** What nobody reads is left out. */
function withoutManagers({ metadata: { managedFields, ...metadata }, ...object }: KubernetesObject) {
  return { ...object, metadata }
}

/** JSON values of a watch. Throws ApiUnreachable when the connection breaks. */
async function* linesOf(response: IncomingMessage, path: string): AsyncGenerator<unknown, void> {
  try {
    yield* jsonLines(response, () => {})
  } catch (error) {
    throw new ApiUnreachable(`Watching ${path}`, error)
  } finally {
    response.destroy()
  }
}

/** Before a request is sent again. */
async function reconnectPause(signal: AbortSignal | undefined): Promise<void> {
  // Rejects when the signal aborts, which the caller sees by itself.
  await pause(reconnectPauseMs, undefined, { ...(signal && { signal }) }).catch(() => {})
}

const uidOf = ({ metadata }: KubernetesObject) => metadata.uid ?? ''

/** Brings `known` to what a list shows. */
function* changesTo(items: readonly KubernetesObject[], known: Map<string, KubernetesObject>): Generator<ApiEvent> {
  const present = new Set(items.map(uidOf))
  for (const [uid, object] of known) {
    if (present.has(uid)) continue
    known.delete(uid)
    yield { type: 'DELETED', object }
  }
  for (const object of items) {
    const before = known.get(uidOf(object))
    known.set(uidOf(object), object)
    if (before?.metadata.resourceVersion === object.metadata.resourceVersion) continue
    yield { type: before ? 'MODIFIED' : 'ADDED', object }
  }
}

/** The API server is starting, ending or busy, or has forgotten the past (410). */
const isPassing = ({ status }: ApiRefused) => status === 410 || status === 429 || status >= 500

/** Throws what trying again does not help against. */
function passing(error: unknown): void {
  if (error instanceof ApiUnreachable || (error instanceof ApiRefused && isPassing(error))) return
  throw error
}
