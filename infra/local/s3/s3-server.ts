import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Clock } from '../../../functions/lib/clock.ts'
import { listenOnLoopback } from '../loopback.ts'
import { type Activity, noActivity } from '../virtual-clock.ts'
import { createBucket, getBucketVersioning, headBucket, listBuckets, putBucketVersioning } from './bucket-operations.ts'
import { Buckets } from './buckets.ts'
import { listObjects, listObjectVersions } from './list-operations.ts'
import { copyObject, deleteObject, getObject, putObject } from './object-operations.ts'
import type { Operation, S3Answer } from './operation.ts'
import { notImplemented, S3Error } from './s3-error.ts'
import { readRequest, type S3Request } from './s3-request.ts'
import { errorDocument } from './xml.ts'

export interface LocalS3 {
  /** Endpoint for @aws-sdk/client-s3, in path style. */
  readonly url: string
  close(): Promise<void>
}

/**
 * S3 on loopback: buckets, objects and their versions, with the conditions that locks are made of. `directory` keeps
 * the objects, for whoever makes the same buckets again; without it they live in memory.
 * Signatures are not checked. What is not served is answered with `NotImplemented`.
 */
export async function startS3(options: {
  readonly clock: Clock
  readonly activity?: Activity
  readonly directory?: string
}): Promise<LocalS3> {
  const { clock, activity = noActivity, directory } = options
  const buckets = new Buckets(clock, directory)
  const server = createServer((message, response) => {
    response.on('close', activity.begin())
    void serve(buckets, message, response)
  })
  return listenOnLoopback(server)
}

async function serve(buckets: Buckets, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const requestId = randomBytes(8).toString('hex').toUpperCase()
  try {
    const request = await readRequest(message)
    send(response, requestId, operationOf(request)(buckets, request))
  } catch (error) {
    send(response, requestId, failure(error, message.url ?? '', requestId))
  }
}

function operationOf(request: S3Request): Operation {
  const { method, bucket, key, query, headers } = request
  const has = (name: string) => Object.hasOwn(query, name)
  const found = () => {
    if (bucket === undefined) return { GET: listBuckets }
    if (key !== undefined) {
      const put = 'x-amz-copy-source' in headers ? copyObject : putObject
      return { PUT: put, GET: getObject, HEAD: getObject, DELETE: deleteObject }
    }
    if (has('versioning')) return { GET: getBucketVersioning, PUT: putBucketVersioning }
    if (has('versions')) return { GET: listObjectVersions }
    return { PUT: createBucket, HEAD: headBucket, ...(has('list-type') && { GET: listObjects }) }
  }
  const operation = new Map<string, Operation>(Object.entries(found())).get(method)
  if (operation) return operation
  throw notImplemented(`${method} on ${key === undefined ? 'this' : 'an object'}`)
}

function failure(error: unknown, resource: string, requestId: string): S3Answer {
  const known =
    error instanceof S3Error ? error : new S3Error('InternalError', 'The S3 stand-in failed on this request.')
  const { status, code, message, details, headers } = known
  const body = errorDocument({ Code: code, Message: message, ...details, Resource: resource, RequestId: requestId })
  return { status, headers, body }
}

function send(response: ServerResponse, requestId: string, { status = 200, headers, body = '' }: S3Answer): void {
  if (response.destroyed) return
  const content = typeof body === 'string' ? Buffer.from(body) : body
  const isDocument = typeof body === 'string' && body !== ''
  const isEmpty = status === 204 || status === 304
  response.writeHead(status, {
    'x-amz-request-id': requestId,
    ...(isDocument && { 'content-type': 'application/xml' }),
    ...(!isEmpty && { 'content-length': content.length }),
    ...headers,
  })
  // Node leaves it out where there may be none.
  response.end(content)
}
