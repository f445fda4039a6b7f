import type { IncomingMessage } from 'node:http'
import { decodeAwsChunked } from './aws-chunked.ts'
import { type Checksum, verifiedChecksum } from './checksum.ts'
import { verifyDigests } from './digests.ts'
import { notImplemented, S3Error } from './s3-error.ts'

/** Far above a state file; S3 takes 5 GB. */
const largestBody = 64 * 1024 * 1024
/** S3's own limit, in bytes of UTF-8. */
const longestKey = 1024

export interface Address {
  readonly bucket?: string
  readonly key?: string
  readonly query: Readonly<Record<string, string>>
}

export interface S3Request extends Address {
  readonly method: string
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Decoded, and checked against every digest and checksum that came with it. */
  readonly body: Buffer
  readonly checksum?: Checksum
}

/** Reads a request whole. Throws S3Error for one that S3 would not take or that is not served. */
export async function readRequest(message: IncomingMessage): Promise<S3Request> {
  const { method = '' } = message
  const address = addressOf(message.url ?? '')
  const headers = headersOf(message)
  const sent = await readBody(message)
  if (method === 'PUT' && address.key !== undefined) requireLength(headers)
  verifyDigests(sent, headers)
  const { body, trailers } = isChunked(headers) ? unchunked(sent, headers) : { body: sent, trailers: {} }
  const checksum = verifiedChecksum(body, { ...headers, ...trailers })
  return { method, ...address, headers, body, ...(checksum && { checksum }) }
}

/**
 * Bucket and key in path style. The address is read as it was sent: `..` is a part of a key like any other.
 * Throws S3Error `InvalidURI`, `KeyTooLongError`, `NotImplemented`.
 */
export function addressOf(url: string): Address {
  const [path = '', search = ''] = split(url, '?')
  const [bucket = '', key = ''] = split(path.replace(/^\//, ''), '/')
  const decodedKey = decode(key)
  if (Buffer.byteLength(decodedKey) > longestKey) throw new S3Error('KeyTooLongError', 'Your key is too long.')
  const parameters = search.split('&').filter(Boolean)
  return {
    query: Object.fromEntries(parameters.map(parameterOf)),
    ...(bucket !== '' && { bucket: decode(bucket) }),
    ...(key !== '' && { key: decodedKey }),
  }
}

function parameterOf(text: string): [name: string, value: string] {
  const [name = '', value = ''] = split(text.replaceAll('+', ' '), '=').map(decode)
  return [name, value]
}

/** At the first `separator`: what follows it may have more of them. */
function split(text: string, separator: string): string[] {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

function decode(text: string): string {
  const decoded = decodedOrNothing(text)
  if (decoded === undefined) throw new S3Error('InvalidURI', "Couldn't parse the specified URI.")
  // S3 takes them, but then its documents are not XML any more.
  if (/[\p{Cc}\ufffe\uffff]/u.test(decoded)) throw notImplemented('control characters in addresses')
  return decoded
}

function decodedOrNothing(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const flat: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) flat[name] = String(value)
  return flat
}

async function readBody(message: IncomingMessage): Promise<Buffer> {
  const tooLarge = new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed object size.', {
    details: { MaxSizeAllowed: String(largestBody) },
    // The rest of the body stays unread.
    headers: { connection: 'close' },
  })
  if (Number(message.headers['content-length'] ?? 0) > largestBody) throw tooLarge
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of message.iterator({ destroyOnReturn: false })) {
    size += chunk.length
    if (size > largestBody) throw tooLarge
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function requireLength(headers: Readonly<Record<string, string>>): void {
  if ('content-length' in headers || 'x-amz-decoded-content-length' in headers) return
  throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.')
}

function isChunked(headers: Readonly<Record<string, string>>): boolean {
  return headers['x-amz-content-sha256']?.startsWith('STREAMING-') ?? false
}

function unchunked(sent: Buffer, headers: Readonly<Record<string, string>>) {
  const { body, trailers } = decodeAwsChunked(sent)
  if (String(body.length) !== headers['x-amz-decoded-content-length']) {
    throw new S3Error('IncompleteBody', 'The body does not have the length of x-amz-decoded-content-length.')
  }
  const announced = headers['x-amz-trailer']?.split(',').map((name) => name.trim().toLowerCase()) ?? []
  if (announced.every((name) => Object.hasOwn(trailers, name))) return { body, trailers }
  throw new S3Error('MalformedTrailerError', 'A trailing header that x-amz-trailer announces is missing.')
}
