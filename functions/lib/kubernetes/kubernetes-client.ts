import { HttpMethod } from '@kubernetes/client-node'
import * as z from 'zod'
import { ApiConnection, type ApiConnectionOptions } from './api-connection.ts'
import {
  type AnyKind,
  builtinResources,
  type Cluster,
  type Deletion,
  type Kind,
  type Listing,
  type ListOptions,
  type ObjectContent,
  type ObjectRef,
  type OfSubresource,
  type Patch,
  refKey,
  resources,
  type Subresource,
  type WatchEvent,
} from './cluster.ts'
import { type Asked, refused, unavailable } from './cluster-failure.ts'
import { deletion } from './deletion.ts'
import { jsonLines } from './json-lines.ts'

export interface KubernetesClientOptions extends ApiConnectionOptions {
  /** How long one watch is asked to last, in seconds. Default 15 min, longer than any Lambda runs. */
  readonly watchSeconds?: number
  /**
   * How long a watch may say nothing before its connection counts as dead, in milliseconds. Default 150 s: an API
   * server sends a bookmark about every minute, unless nothing at all is written to it. Then the watch begins anew.
   */
  readonly watchSilenceMs?: number
}

const fieldManager = 'lockstep'
export const patchTypes = { merge: 'application/merge-patch+json', json: 'application/json-patch+json' } as const

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
 * A Cluster over HTTP(S). Its watches are its own, not those of @kubernetes/client-node, which give up on a watch that
 * is quiet for 30 s.
 */
export class KubernetesClient implements Cluster {
  readonly name: string
  /** For what the Cluster port has no word for. */
  readonly connection: ApiConnection
  private readonly watchSeconds: number
  private readonly watchSilenceMs: number

  constructor({ watchSeconds = 900, watchSilenceMs = 150_000, ...connection }: KubernetesClientOptions) {
    this.name = connection.name
    this.connection = new ApiConnection(connection)
    this.watchSeconds = watchSeconds
    this.watchSilenceMs = watchSilenceMs
  }

  async list(kind: AnyKind, { namespace = '', labelSelector }: ListOptions = {}): Promise<Listing> {
    const asked = this.connection.asked(`LIST ${kind}${namespace && ` in ${namespace}`}`)
    const query = labelSelector === undefined ? {} : { labelSelector }
    const path = pathOf(kind, { namespace, name: '' })
    const body = await this.connection.json({ asked, method: HttpMethod.GET, path, query })
    const listing = listingSchema.safeParse(body)
    if (!listing.success) throw unavailable(asked, 'was answered with something that is not a list')
    return { items: listing.data.items, resourceVersion: listing.data.metadata.resourceVersion }
  }

  async get(ref: ObjectRef<AnyKind>, { subresource }: OfSubresource<'scale'> = {}): Promise<unknown> {
    const asked = this.connection.asked(`GET ${named(ref, subresource)}`, { object: true })
    return this.connection.json({ asked, method: HttpMethod.GET, path: pathOf(ref.kind, ref, subresource) })
  }

  async patch(
    ref: ObjectRef<AnyKind>,
    patch: Patch,
    { subresource }: OfSubresource<Subresource> = {},
  ): Promise<unknown> {
    const what = `PATCH ${named(ref, subresource)}`
    return this.connection.json({
      asked: this.connection.asked(what, { object: true, jsonPatch: patch.type === 'json' }),
      method: HttpMethod.PATCH,
      path: pathOf(ref.kind, ref, subresource),
      query: { fieldManager },
      contentType: patchTypes[patch.type],
      body: JSON.stringify(bodyOf(patch)),
    })
  }

  async create(ref: ObjectRef<AnyKind>, content: ObjectContent): Promise<unknown> {
    return this.connection.json({
      asked: this.connection.asked(`CREATE ${refKey(ref)}`, { object: true }),
      method: HttpMethod.POST,
      path: pathOf(ref.kind, { namespace: ref.namespace, name: '' }),
      query: { fieldManager },
      contentType: 'application/json',
      body: JSON.stringify(objectOf(ref, content)),
    })
  }

  async delete(ref: ObjectRef<AnyKind>, { uid }: { readonly uid: string }): Promise<Deletion> {
    const asked = this.connection.asked(`DELETE ${refKey(ref)}`, { object: true })
    const path = pathOf(ref.kind, ref)
    const body = JSON.stringify(deleteOptions(uid))
    const send = () =>
      this.connection.json({ asked, method: HttpMethod.DELETE, path, contentType: 'application/json', body })
    return deletion(this, { ref, uid, send })
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
    const { connection, watchSeconds, watchSilenceMs } = this
    const asked = connection.asked(`WATCH ${kind} from ${resourceVersion}`)
    const query = { watch: 'true', resourceVersion, allowWatchBookmarks: 'true', timeoutSeconds: `${watchSeconds}` }
    const limit = connection.limit(signal)
    try {
      const response = await connection.send({ asked, method: HttpMethod.GET, path: pathOf(kind), query }, limit)
      const stream = response.body.stream()
      if (!stream) throw unavailable(asked, 'was answered without a body')
      limit.restart(watchSilenceMs)
      for await (const line of jsonLines(stream, () => limit.restart(watchSilenceMs))) {
        if (signal.aborted) return
        yield eventOf(asked, line)
      }
    } catch (error) {
      if (signal.aborted) return
      throw connection.failure(asked, error, limit)
    } finally {
      limit.end()
    }
  }
}

const served = { ...resources, ...builtinResources }

/** `Deployment/flux-system/tofu-controller`, `scale of Deployment/flux-system/tofu-controller`. */
function named(ref: ObjectRef<AnyKind>, subresource: Subresource | undefined): string {
  return subresource === undefined ? refKey(ref) : `${subresource} of ${refKey(ref)}`
}

/** Of all objects of a kind in one namespace or, without its name, in all; or of one object, or a part of it. */
function pathOf(kind: AnyKind, { namespace, name } = { namespace: '', name: '' }, subresource?: Subresource): string {
  const { group, version, plural } = served[kind]
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const within = namespace === '' ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  return `${root}${within}/${plural}${name && `/${encodeURIComponent(name)}`}${subresource ? `/${subresource}` : ''}`
}

/** What is sent. */
export function bodyOf(patch: Patch): unknown {
  if (patch.type === 'json') return patch.operations
  if (patch.resourceVersion === undefined) return patch.body
  const metadata = 'metadata' in patch.body ? patch.body.metadata : {}
  return { ...patch.body, metadata: { ...(metadata as object), resourceVersion: patch.resourceVersion } }
}

/** What is created. */
export function objectOf({ kind, namespace, name }: ObjectRef<AnyKind>, content: ObjectContent): object {
  const { group, version } = served[kind]
  const metadata = { ...content.metadata, name, ...(namespace !== '' && { namespace }) }
  return { ...content, apiVersion: group === '' ? version : `${group}/${version}`, kind, metadata }
}

/** What a delete of one object, and of no later one, says. */
export function deleteOptions(uid: string): object {
  return { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } }
}

function eventOf(asked: Asked, line: unknown): WatchEvent {
  const event = eventSchema.safeParse(line)
  if (!event.success) throw unavailable(asked, 'sent something that is not a watch event')
  const { type, object } = event.data
  if (type !== 'ERROR') return { type, object }
  throw refused(asked, { code: errorCodeSchema.parse(object).code, body: JSON.stringify(object) })
}
