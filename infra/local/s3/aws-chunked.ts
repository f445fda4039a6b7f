import { S3Error } from './s3-error.ts'

export interface Unchunked {
  readonly body: Buffer
  /** Names are in lower case. */
  readonly trailers: Readonly<Record<string, string>>
}

const lineEnd = '\r\n'

/**
 * Undoes the content encoding aws-chunked, in which SDKs send a body whose checksum follows it. Signatures of chunks
 * are not checked. Throws S3Error `IncompleteBody`, `MalformedTrailerError`.
 */
export function decodeAwsChunked(encoded: Buffer): Unchunked {
  const chunks: Buffer[] = []
  let at = 0
  for (;;) {
    const end = encoded.indexOf(lineEnd, at)
    const size = chunkSize(encoded.subarray(at, end < 0 ? at : end))
    const from = end + lineEnd.length
    if (size === 0) return { body: Buffer.concat(chunks), trailers: trailersOf(encoded.subarray(from)) }
    at = from + size + lineEnd.length
    if (encoded.toString('latin1', from + size, at) !== lineEnd) throw incomplete()
    chunks.push(encoded.subarray(from, from + size))
  }
}

function chunkSize(line: Buffer): number {
  const [, size] = /^([0-9a-f]{1,8})(?:;.*)?$/i.exec(line.toString('latin1', 0, 200)) ?? []
  if (size === undefined) throw incomplete()
  return Number.parseInt(size, 16)
}

function trailersOf(rest: Buffer): Record<string, string> {
  const trailers: Record<string, string> = {}
  for (const line of rest.toString('latin1').split(lineEnd).filter(Boolean)) {
    const [, name, value] = /^([a-z0-9-]{1,100}): *([^\s]{1,1000})$/i.exec(line) ?? []
    if (name === undefined || value === undefined) {
      throw new S3Error('MalformedTrailerError', 'The trailing headers are not well-formed.')
    }
    trailers[name.toLowerCase()] = value
  }
  return trailers
}

function incomplete(): S3Error {
  return new S3Error('IncompleteBody', 'The chunks of the request body are not well-formed.')
}
