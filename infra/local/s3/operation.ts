import { z } from 'zod'
import type { Buckets } from './buckets.ts'
import { notImplemented, S3Error } from './s3-error.ts'
import type { S3Request } from './s3-request.ts'

export interface S3Answer {
  /** Default 200. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** An XML document, or an object's bytes. */
  readonly body?: string | Buffer
}

export type Operation = (buckets: Buckets, request: S3Request) => S3Answer

/** For requests that may carry no parameter, or no header that changes what they mean. */
export const nothing = z.strictObject({})

interface OperationOptions<Query, Headers> {
  /** The parameters that are served: a strict object. */
  readonly query: z.ZodType<Query>
  /** The headers that are served, of those that could change what the request means: a strict object. */
  readonly headers: z.ZodType<Headers>
  run(buckets: Buckets, request: ParsedRequest<Query, Headers>): S3Answer
}

interface ParsedRequest<Query, Headers> extends Omit<S3Request, 'query' | 'headers'> {
  readonly query: Query
  readonly headers: Headers
  /** Headers that an object keeps, and gives back. */
  readonly kept: Readonly<Record<string, string>>
}

/** Declares an operation. A parameter or header that it does not declare is refused with `NotImplemented`. */
export function operation<Query, Headers>({ run, ...schemas }: OperationOptions<Query, Headers>): Operation {
  return (buckets, request) => {
    // SDKs name the operation in the address; it has no meaning.
    const { 'x-id': _, ...parameters } = request.query
    const query = served('the parameter', schemas.query, parameters)
    const headers = served('the header', schemas.headers, meaningfulHeaders(request.headers))
    return run(buckets, { ...request, query, headers, kept: keptHeaders(request.headers) })
  }
}

function served<Value>(what: string, schema: z.ZodType<Value>, given: Readonly<Record<string, string>>): Value {
  const { data, error } = schema.safeParse(given)
  if (!error) return data
  const [issue] = error.issues
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  if (unknown !== undefined) throw notImplemented(`${what} ${unknown} on this request`)
  const name = String(issue?.path[0])
  const details = { ArgumentName: name, ArgumentValue: given[name] ?? '' }
  if (what === 'the header') throw notImplemented(`this value of the header ${name}`)
  throw new S3Error('InvalidArgument', `The value of ${name} is not valid.`, { details })
}

/** Of the connection, the signature or the encoding of the body: dealt with before an operation sees the request. */
const dealtWith = new Set([
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-security-token',
  'x-amz-user-agent',
  'x-amz-decoded-content-length',
  'x-amz-trailer',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-checksum-crc32',
  'x-amz-checksum-sha1',
  'x-amz-checksum-sha256',
])

function meaningfulHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const isMeaningful = (name: string) =>
    (name.startsWith('x-amz-') && !name.startsWith('x-amz-meta-') && !dealtWith.has(name)) ||
    name.startsWith('if-') ||
    name === 'range'
  return Object.fromEntries(Object.entries(headers).filter(([name]) => isMeaningful(name)))
}

const keptNames = ['cache-control', 'content-disposition', 'content-language', 'content-type', 'expires']
/** S3's limit, in bytes of names and values. */
const mostMetadata = 2048

function keptHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const named = Object.entries(headers)
  const kept = named.filter(([name]) => keptNames.includes(name))
  const metadata = named.filter(([name]) => name.startsWith('x-amz-meta-'))
  const size = metadata.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  if (size > mostMetadata) throw new S3Error('MetadataTooLarge', 'Your metadata headers exceed the maximum allowed.')
  // aws-chunked is how the body travels, not how it is kept.
  const encodings = headers['content-encoding']?.split(',').map((text) => text.trim()) ?? []
  const encoding = encodings.filter((text) => text !== '' && text !== 'aws-chunked').join(',')
  return {
    'content-type': 'binary/octet-stream',
    ...Object.fromEntries([...kept, ...metadata]),
    ...(encoding && { 'content-encoding': encoding }),
  }
}
