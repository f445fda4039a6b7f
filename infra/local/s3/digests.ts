import { createHash } from 'node:crypto'
import { S3Error } from './s3-error.ts'

/**
 * Checks a body, as it was sent, against the digests of its request: the one that is signed and Content-MD5.
 * Throws S3Error `XAmzContentSHA256Mismatch`, `InvalidDigest`, `BadDigest`.
 */
export function verifyDigests(sent: Buffer, headers: Readonly<Record<string, string>>): void {
  const signed = headers['x-amz-content-sha256']
  // Other values stand for bodies that are not signed, or chunk by chunk.
  if (signed && /^[0-9a-f]{64}$/.test(signed) && signed !== createHash('sha256').update(sent).digest('hex')) {
    throw new S3Error('XAmzContentSHA256Mismatch', "The provided 'x-amz-content-sha256' header does not match.")
  }
  const md5 = headers['content-md5']
  if (md5 === undefined) return
  if (!/^[A-Za-z0-9+/]{22}==$/.test(md5)) throw new S3Error('InvalidDigest', 'The Content-MD5 is not valid.')
  if (md5 !== createHash('md5').update(sent).digest('base64')) {
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.')
  }
}
