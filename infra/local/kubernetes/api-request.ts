import type { IncomingMessage } from 'node:http'
import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import { ApiError } from './api-status.ts'
import { isScalable } from './builtin-resources.ts'

export type Verb = 'LIST' | 'WATCH' | 'GET' | 'CREATE' | 'UPDATE' | 'PATCH' | 'DELETE'
export type Subresource = 'status' | 'scale'

/** What somebody wants to do with which objects: all that decides whether they may. */
export interface Access {
  readonly verb: Verb
  readonly resource: Resource
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly subresource: Subresource | undefined
}

/** A request for objects, as its method, path and query say. */
export interface ApiRequest extends Access {
  readonly query: URLSearchParams
  readonly contentType: string
  /** Who writes, for managedFields: the query's fieldManager, else the client's name. */
  readonly manager: string
}

/** `/api/v1/...` or `/apis/<group>/<version>/...`, then `[namespaces/<ns>/]<plural>[/<name>[/<subresource>]]`. */
const shape =
  /^\/(?:api|apis\/(?<group>[^/]+))\/(?<version>v[^/]+)(?:\/namespaces\/(?<namespace>[^/]+))?\/(?<plural>[^/]+)(?:\/(?<name>[^/]+)(?:\/(?<subresource>[^/]+))?)?$/

/** Undefined when the path is none of a served kind: the API server then answers 404 in plain text. */
export function parseRequest(message: IncomingMessage, url: URL, served: readonly Resource[]): ApiRequest | undefined {
  const parts = shape.exec(url.pathname)?.groups
  if (!parts) return undefined
  const resource = served.find(
    (candidate) =>
      candidate.group === (parts.group ?? '') &&
      candidate.version === parts.version &&
      candidate.plural === parts.plural,
  )
  if (!resource) return undefined
  const subresource = parts.subresource
  if (subresource !== undefined && !isSubresource(resource, subresource)) return undefined
  return {
    verb: verbOf(message.method ?? 'GET', parts.name !== undefined, url.searchParams),
    resource,
    namespace: decoded(parts.namespace),
    name: decoded(parts.name),
    subresource,
    query: url.searchParams,
    contentType: (message.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '',
    manager: url.searchParams.get('fieldManager') ?? clientName(message),
  }
}

function isSubresource(resource: Resource, name: string): name is Subresource {
  return name === 'status' || (name === 'scale' && isScalable(resource))
}

function verbOf(method: string, named: boolean, query: URLSearchParams): Verb {
  if (method === 'GET' && named) return 'GET'
  if (method === 'GET') return ['1', 'true'].includes(query.get('watch') ?? '') ? 'WATCH' : 'LIST'
  if (method === 'POST' && !named) return 'CREATE'
  if (method === 'PUT' && named) return 'UPDATE'
  if (method === 'PATCH' && named) return 'PATCH'
  if (method === 'DELETE' && named) return 'DELETE'
  throw new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')
}

function decoded(part: string | undefined): string | undefined {
  if (part === undefined) return undefined
  try {
    return decodeURIComponent(part)
  } catch {
    throw new ApiError(400, 'BadRequest', `the path has a malformed escape: ${part}`)
  }
}

function clientName(message: IncomingMessage): string {
  return (message.headers['user-agent'] ?? '').split('/')[0] || 'unknown'
}
