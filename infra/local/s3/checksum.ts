import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { notImplemented, S3Error } from './s3-error.ts'

const prefix = 'x-amz-checksum-'

/** S3 knows more algorithms; the others are refused. */
const algorithms = {
  CRC32: (body: Buffer) => {
    const sum = Buffer.alloc(4)
    sum.writeUInt32BE(crc32(body))
    return sum.toString('base64')
  },
  SHA1: (body: Buffer) => createHash('sha1').update(body).digest('base64'),
  SHA256: (body: Buffer) => createHash('sha256').update(body).digest('base64'),
} as const

export interface Checksum {
  readonly algorithm: keyof typeof algorithms
  /** Base64. */
  readonly value: string
}

/**
 * The checksum that came with a body, in a header or a trailer, after it was found to be right.
 * Throws S3Error: wrong, more than one, or of an algorithm that is not served.
 */
export function verifiedChecksum(body: Buffer, headers: Readonly<Record<string, string>>): Checksum | undefined {
  const given = Object.keys(headers).filter((name) => name.startsWith(prefix) && !isAboutChecksums(name))
  const [name, ...others] = given
  const asked = headers['x-amz-sdk-checksum-algorithm']
  if (name === undefined && asked === undefined) return undefined
  if (name === undefined) throw new S3Error('InvalidRequest', `The checksum of ${asked} is announced but not given.`)
  if (others.length > 0) throw new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header.')
  const algorithm = name.slice(prefix.length).toUpperCase()
  if (!isServed(algorithm)) throw notImplemented(`checksums of ${algorithm}`)
  const value = algorithms[algorithm](body)
  if (headers[name] === value) return { algorithm, value }
  throw new S3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`)
}

export function checksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  if (!checksum) return {}
  return { [`${prefix}${checksum.algorithm.toLowerCase()}`]: checksum.value, 'x-amz-checksum-type': 'FULL_OBJECT' }
}

function isServed(algorithm: string): algorithm is Checksum['algorithm'] {
  return Object.hasOwn(algorithms, algorithm)
}

function isAboutChecksums(name: string): boolean {
  return [`${prefix}mode`, `${prefix}type`, `${prefix}algorithm`].includes(name)
}
