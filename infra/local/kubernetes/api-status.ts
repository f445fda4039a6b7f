import type { Resource } from '../../../functions/lib/kubernetes/cluster.ts'
import { StoreError } from './object-store.ts'

/** The API server's answer to a request that did not succeed, as it stands in the body and in ERROR events. */
export interface Status {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly metadata: object
  readonly status: 'Failure'
  readonly message: string
  readonly reason: string
  readonly details?: object
  readonly code: number
}

/** A refusal on its way to the client. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: number
  readonly reason: string
  readonly details: object | undefined

  constructor(code: number, reason: string, message: string, details?: object) {
    super(message)
    this.code = code
    this.reason = reason
    this.details = details
  }
}

export function statusOf(error: ApiError | StoreError): Status {
  const code = error instanceof StoreError ? error.status : error.code
  const details = error instanceof StoreError ? undefined : error.details
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: error.message,
    reason: error.reason,
    ...(details && { details }),
    code,
  }
}

export function qualified(resource: Resource): string {
  return resource.group ? `${resource.plural}.${resource.group}` : resource.plural
}

export function notFound(resource: Resource, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${qualified(resource)} "${name}" not found`, detailsOf(resource, name))
}

export function detailsOf(resource: Resource, name: string): object {
  return { name, group: resource.group, kind: resource.plural }
}

const reasons: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
}

/** An error of that status as a fault injects it. */
export function injected(code: number, retryAfterSeconds?: number): ApiError {
  const details = retryAfterSeconds === undefined ? undefined : { retryAfterSeconds }
  return new ApiError(code, reasons[code] ?? 'Unknown', `injected fault: ${reasons[code] ?? code}`, details)
}
