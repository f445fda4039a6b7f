import { parse as parseYaml } from 'yaml'
import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import { patchOf } from './api-patch.ts'
import type { ApiRequest } from './api-request.ts'
import { ApiError, detailsOf, notFound, qualified } from './api-status.ts'
import { isClusterScoped } from './builtin-resources.ts'
import { objectSelector } from './object-selector.ts'
import { type KubernetesObject, type ObjectStore, StoreError } from './object-store.ts'
import { applyScale, scaleOf } from './scale-subresource.ts'

export interface ApiAnswer {
  readonly code: number
  readonly body: object
}

/** A list that a client reads page by page, as it was when the first page was read. */
interface Snapshot {
  readonly items: readonly KubernetesObject[]
  readonly resourceVersion: string
}

const snapshotLimit = 32

/** The requests for objects, watches apart, on one store. Refusals are thrown as ApiError or StoreError. */
export class ObjectApi {
  private readonly store: ObjectStore
  private readonly snapshots = new Map<string, Snapshot>()
  private snapshotCount = 0

  constructor(store: ObjectStore) {
    this.store = store
  }

  serve(request: ApiRequest, body: string): ApiAnswer {
    if (request.query.get('dryRun')) throw new ApiError(400, 'BadRequest', 'dryRun is not supported here')
    if (request.verb === 'LIST') return { code: 200, body: this.list(request) }
    if (request.verb === 'GET') return { code: 200, body: this.view(request, this.read(request)) }
    if (request.verb === 'CREATE') return { code: 201, body: this.create(request, jsonOf(body)) }
    if (request.verb === 'UPDATE') return { code: 200, body: this.replace(request, jsonOf(body)) }
    if (request.verb === 'DELETE') return { code: 200, body: this.remove(request, body) }
    if (request.contentType === 'application/apply-patch+yaml') return this.apply(request, body)
    return { code: 200, body: this.write(request, patchOf(request.contentType, jsonOf(body))) }
  }

  /** Every continue token given out so far is too old from now on. */
  forgetPages(): void {
    this.snapshots.clear()
  }

  private list({ resource, namespace, query }: ApiRequest): object {
    const limit = Number(query.get('limit') ?? 0)
    const token = query.get('continue')
    const [id, start] = token ? this.page(token) : [undefined, 0]
    const snapshot = (id !== undefined && this.snapshots.get(id)) || this.snapshot(query, resource, namespace)
    const end = limit > 0 ? start + limit : snapshot.items.length
    const left = snapshot.items.length - end
    const metadata = {
      resourceVersion: snapshot.resourceVersion,
      ...(left > 0 && { continue: tokenOf(id ?? this.keep(snapshot), end), remainingItemCount: left }),
    }
    return {
      apiVersion: apiVersionOf(resource),
      kind: `${resource.kind}List`,
      metadata,
      items: snapshot.items.slice(start, end),
    }
  }

  private snapshot(query: URLSearchParams, resource: Resource, namespace: string | undefined): Snapshot {
    const { items, resourceVersion } = this.store.list(resource)
    return { items: items.filter(objectSelector(query, namespace)), resourceVersion }
  }

  private keep(snapshot: Snapshot): string {
    const id = `${++this.snapshotCount}`
    this.snapshots.set(id, snapshot)
    const oldest = this.snapshots.keys().next().value
    if (this.snapshots.size > snapshotLimit && oldest !== undefined) this.snapshots.delete(oldest)
    return id
  }

  private page(token: string): [string, number] {
    const parts = /^(\d+) (\d+)$/.exec(Buffer.from(token, 'base64url').toString())
    if (!parts) throw new ApiError(400, 'BadRequest', 'continue key is not valid')
    const [, id = '', start] = parts
    if (this.snapshots.has(id)) return [id, Number(start)]
    throw new ApiError(
      410,
      'Expired',
      'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.',
    )
  }

  private read({ resource, namespace, name = '' }: ApiRequest): KubernetesObject {
    const object = this.store.get(resource, namespace ?? '', name)
    if (!object) throw notFound(resource, name)
    return object
  }

  private view({ subresource }: ApiRequest, object: KubernetesObject): object {
    return subresource === 'scale' ? scaleOf(object) : object
  }

  private create(request: ApiRequest, body: object): KubernetesObject {
    const object = checkedObject(request, body)
    if (object.metadata.resourceVersion) {
      throw new ApiError(400, 'BadRequest', 'resourceVersion should not be set on objects to be created')
    }
    return this.store.create(request.resource, object, request.manager)
  }

  private replace(request: ApiRequest, body: object): object {
    if (request.subresource === 'scale') return this.write(request, (scale) => replaceContent(scale, body))
    const object = checkedObject(request, body)
    if (!object.metadata.resourceVersion) {
      throw invalid(request, 'metadata.resourceVersion: Invalid value: 0: must be specified for an update')
    }
    return this.write(request, (current) => replaceContent(current, object))
  }

  /** Changes the object, or the view of it that the subresource is. */
  private write(request: ApiRequest, change: (view: object) => void): object {
    const { resource, namespace, name = '', subresource, manager } = request
    const changeObject = (object: KubernetesObject) => {
      if (subresource === 'scale') applyScale(object, change)
      else change(object)
      checkIdentity(request, object)
    }
    const options = subresource === 'status' ? { manager, subresource } : { manager }
    const written = this.store.update(resource, namespace ?? '', name, changeObject, options)
    if (!written) throw notFound(resource, name)
    return this.view(request, written)
  }

  private apply(request: ApiRequest, body: string): ApiAnswer {
    const { resource, namespace, name = '', subresource, query } = request
    const manager = query.get('fieldManager')
    if (!manager) throw invalid(request, 'fieldManager: Required value: is required for apply patch')
    if (subresource || query.get('force') !== 'true') {
      throw new ApiError(400, 'BadRequest', 'apply is supported here with force=true, and not on subresources')
    }
    const manifest = checkedObject(request, yamlOf(body))
    const code = this.store.get(resource, namespace ?? '', name) ? 200 : 201
    return { code, body: this.store.apply(resource, manifest, manager) }
  }

  private remove(request: ApiRequest, body: string): object {
    const { resource, namespace, name = '' } = request
    const object = this.read(request)
    const { preconditions = {}, gracePeriodSeconds } = deleteOptions(request, body)
    for (const field of ['uid', 'resourceVersion'] as const) {
      const wanted = preconditions[field]
      if (wanted === undefined || wanted === object.metadata[field]) continue
      throw new StoreError(
        409,
        'Conflict',
        `Operation cannot be fulfilled on ${qualified(resource)} "${name}": the ${field} in the precondition (${wanted}) does not match the ${field} in record (${object.metadata[field]})`,
      )
    }
    this.store.delete(resource, namespace ?? '', name, gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds })
    const remaining = this.store.get(resource, namespace ?? '', name)
    if (remaining) return remaining
    const details = { ...detailsOf(resource, name), uid: object.metadata.uid }
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details }
  }
}

function tokenOf(id: string, start: number): string {
  return Buffer.from(`${id} ${start}`).toString('base64url')
}

function apiVersionOf(resource: Resource): string {
  return resource.group ? `${resource.group}/${resource.version}` : resource.version
}

function jsonOf(body: string): object {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    throw new ApiError(400, 'BadRequest', 'the object provided is unrecognized: it is not JSON')
  }
  return asObject(value)
}

function yamlOf(body: string): object {
  let value: unknown
  try {
    value = parseYaml(body)
  } catch {
    throw new ApiError(400, 'BadRequest', 'error decoding YAML: it does not parse')
  }
  return asObject(value)
}

function asObject(value: unknown): object {
  if (typeof value === 'object' && value !== null) return value
  throw new ApiError(400, 'BadRequest', 'the object provided is unrecognized: it is not an object')
}

/** The object in a body, when it is the one that the path names. */
function checkedObject(request: ApiRequest, body: object): KubernetesObject {
  const { resource, namespace, name } = request
  const object = structuredClone(body) as KubernetesObject
  if (object.apiVersion !== apiVersionOf(resource) || object.kind !== resource.kind) {
    throw new ApiError(
      400,
      'BadRequest',
      `${object.kind} in version "${object.apiVersion}" cannot be handled as a ${resource.kind}`,
    )
  }
  if (typeof object.metadata !== 'object' || object.metadata === null) object.metadata = { name: '' }
  if (!object.metadata.name && name !== undefined) object.metadata.name = name
  if (!object.metadata.name) throw invalid(request, 'metadata.name: Required value: name or generateName is required')
  if (namespace !== undefined) object.metadata.namespace ??= namespace
  if (isClusterScoped(resource)) delete object.metadata.namespace
  checkIdentity(request, object)
  return object
}

function checkIdentity({ namespace, name }: ApiRequest, object: KubernetesObject): void {
  if (name !== undefined && object.metadata.name !== name) {
    throw new ApiError(
      400,
      'BadRequest',
      `the name of the object (${object.metadata.name}) does not match the name on the URL (${name})`,
    )
  }
  if (object.metadata.namespace === namespace) return
  throw new ApiError(
    400,
    'BadRequest',
    'the namespace of the provided object does not match the namespace sent on the request',
  )
}

function invalid({ resource, name }: ApiRequest, why: string): ApiError {
  const kind = resource.group ? `${resource.kind}.${resource.group}` : resource.kind
  const [field] = why.split(':')
  const causes = [{ reason: 'FieldValueInvalid', message: why, field }]
  return new ApiError(422, 'Invalid', `${kind} "${name ?? ''}" is invalid: ${why}`, {
    ...detailsOf(resource, name ?? ''),
    causes,
  })
}

interface DeleteOptions {
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
  readonly gracePeriodSeconds?: number
}

/** From the body, as clients send them, or from the query. */
function deleteOptions({ query }: ApiRequest, body: string): DeleteOptions {
  const asked = query.get('gracePeriodSeconds')
  const inQuery = asked === null ? {} : { gracePeriodSeconds: Number(asked) }
  const options: DeleteOptions = { ...inQuery, ...(body ? jsonOf(body) : {}) }
  const grace = options.gracePeriodSeconds ?? 0
  if (Number.isInteger(grace) && grace >= 0) return options
  throw new ApiError(400, 'BadRequest', 'gracePeriodSeconds must be a whole number of seconds')
}

function replaceContent(target: object, content: object): void {
  for (const key of Object.keys(target)) delete (target as Record<string, unknown>)[key]
  Object.assign(target, content)
}
