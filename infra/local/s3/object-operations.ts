import { z } from 'zod'
import type { Bucket, Deleted, ObjectVersion, Version } from './bucket.ts'
import { bucketOf, isoTime } from './bucket-operations.ts'
import { byteRange } from './byte-range.ts'
import { checksumHeaders } from './checksum.ts'
import { nothing, operation, type S3Answer } from './operation.ts'
import { S3Error } from './s3-error.ts'
import { addressOf } from './s3-request.ts'
import { s3Document } from './xml.ts'

/** One ETag, with or without its quotes, but not a weak one. */
const etag = z.string().regex(/^"?[^",*]+"?$/)
const any = z.literal('*')
/** Those of ours, and the one of objects written without versioning. */
const versionId = z.string().regex(/^(null|[\w-]{32})$/)

const writeHeaders = {
  'if-match': etag.optional(),
  'if-none-match': any.optional(),
  // What S3 does anyway.
  'x-amz-server-side-encryption': z.literal('AES256').optional(),
  'x-amz-acl': z.literal('private').optional(),
  'x-amz-storage-class': z.literal('STANDARD').optional(),
}

export const putObject = operation({
  query: nothing,
  headers: z.strictObject(writeHeaders),
  run: (buckets, request) => {
    const { key = '', headers, body, checksum, kept } = request
    const bucket = bucketOf(buckets, request)
    checkWrite(bucket, key, headers)
    const written = bucket.put(key, { body, headers: kept, ...(checksum && { checksum }) })
    return {
      headers: {
        ...encrypted,
        etag: written.etag,
        ...versionHeaders(bucket, written),
        ...checksumHeaders(written.checksum),
      },
    }
  },
})

export const copyObject = operation({
  query: nothing,
  headers: z.strictObject({
    ...writeHeaders,
    'x-amz-copy-source': z.string(),
    'x-amz-copy-source-if-match': etag.optional(),
    'x-amz-metadata-directive': z.enum(['COPY', 'REPLACE']).default('COPY'),
  }),
  run: (buckets, request) => {
    const { key = '', headers, kept } = request
    const bucket = bucketOf(buckets, request)
    const address = copySource(headers['x-amz-copy-source'])
    const from = buckets.get(address.bucket)
    const source = copiedVersion(from, address)
    checkMatch(source, headers['x-amz-copy-source-if-match'], 'x-amz-copy-source-If-Match')
    const replaces = headers['x-amz-metadata-directive'] === 'REPLACE'
    if (source === bucket.newest(key) && !replaces) {
      throw new S3Error('InvalidRequest', 'An object is copied to itself without a change.')
    }
    checkWrite(bucket, key, headers)
    const written = bucket.put(key, { ...source, headers: replaces ? kept : source.headers })
    const { ETag, LastModified } = { ETag: written.etag, LastModified: isoTime(written.lastModified) }
    const { checksum } = written
    const sum = checksum && { [`Checksum${checksum.algorithm}`]: checksum.value, ChecksumType: 'FULL_OBJECT' }
    return {
      headers: {
        ...encrypted,
        ...versionHeaders(bucket, written),
        ...(from.versioning && { 'x-amz-copy-source-version-id': source.versionId }),
      },
      body: s3Document('CopyObjectResult', { ETag, LastModified, ...sum }),
    }
  },
})

const readQuery = z.strictObject({ versionId: versionId.optional() })
const readHeaders = z.strictObject({
  'if-match': etag.optional(),
  'if-none-match': etag.optional(),
  range: z.string().optional(),
  'x-amz-checksum-mode': z.literal('ENABLED').optional(),
})

export const getObject = operation({
  query: readQuery,
  headers: readHeaders,
  run: (buckets, request): S3Answer => {
    const { key = '', query, headers } = request
    const bucket = bucketOf(buckets, request)
    const version = readVersion(bucket, key, query.versionId)
    checkMatch(version, headers['if-match'], 'If-Match')
    if (headers['if-none-match'] && isMatch(version, headers['if-none-match'])) {
      throw new S3Error('NotModified', 'Not Modified', { headers: { etag: version.etag } })
    }
    const described = { ...objectHeaders(version), ...versionHeaders(bucket, version) }
    if (headers.range !== undefined) {
      const { from, to } = byteRange(headers.range, version.body.length)
      const range = { 'content-range': `bytes ${from}-${to}/${version.body.length}` }
      return { status: 206, headers: { ...described, ...range }, body: version.body.subarray(from, to + 1) }
    }
    const checksum = headers['x-amz-checksum-mode'] ? checksumHeaders(version.checksum) : {}
    return { headers: { ...described, ...checksum }, body: version.body }
  },
})

export const deleteObject = operation({
  query: readQuery,
  headers: z.strictObject({ 'if-match': z.union([etag, any]).optional() }),
  run: (buckets, request) => {
    const { key = '', query, headers } = request
    const bucket = bucketOf(buckets, request)
    if (query.versionId !== undefined) {
      if (headers['if-match']) throw headerNotImplemented('If-Match')
      return { status: 204, headers: deletedHeaders(bucket.deleteVersion(key, query.versionId)) }
    }
    // Without a condition, what is not there counts as deleted; with one it is missing.
    if (headers['if-match']) checkMatch(currentObject(bucket, key), headers['if-match'], 'If-Match')
    return { status: 204, headers: deletedHeaders(bucket.delete(key)) }
  },
})

const encrypted = { 'x-amz-server-side-encryption': 'AES256' }

function objectHeaders(version: ObjectVersion): Record<string, string> {
  return {
    ...version.headers,
    ...encrypted,
    etag: version.etag,
    'last-modified': new Date(version.lastModified).toUTCString(),
    'accept-ranges': 'bytes',
  }
}

function versionHeaders({ versioning }: Bucket, { versionId }: ObjectVersion): Record<string, string> {
  return versioning ? { 'x-amz-version-id': versionId } : {}
}

function deletedHeaders(deleted: Deleted | undefined): Record<string, string> {
  if (!deleted) return {}
  return { 'x-amz-version-id': deleted.versionId, ...(deleted.marker && { 'x-amz-delete-marker': 'true' }) }
}

/** Throws S3Error `NoSuchKey`, `NoSuchVersion`, `MethodNotAllowed` (the version is a delete marker). */
function readVersion(bucket: Bucket, key: string, versionId: string | undefined): ObjectVersion {
  if (versionId === undefined) return currentObject(bucket, key)
  const version = bucket.find(key, versionId)
  if (!version) {
    const details = { Key: key, VersionId: versionId }
    throw new S3Error('NoSuchVersion', 'The specified version does not exist.', { details })
  }
  if (version.kind === 'object') return version
  const headers = { ...markerHeaders(version), allow: 'DELETE' }
  throw new S3Error('MethodNotAllowed', 'The version is a delete marker.', { headers })
}

/** Throws S3Error `NoSuchKey` when there is none, or when a delete marker hides it. */
function currentObject(bucket: Bucket, key: string): ObjectVersion {
  const version = bucket.newest(key)
  if (version?.kind === 'object') return version
  const headers = version ? markerHeaders(version) : {}
  throw new S3Error('NoSuchKey', 'The specified key does not exist.', { details: { Key: key }, headers })
}

function markerHeaders({ versionId, lastModified }: Version): Record<string, string> {
  return {
    'x-amz-delete-marker': 'true',
    'x-amz-version-id': versionId,
    'last-modified': new Date(lastModified).toUTCString(),
  }
}

interface WriteConditions {
  readonly 'if-match'?: string | undefined
  readonly 'if-none-match'?: '*' | undefined
}

/** Throws S3Error `PreconditionFailed`; `NoSuchKey` when there is nothing that could match. */
function checkWrite(bucket: Bucket, key: string, conditions: WriteConditions): void {
  const { 'if-match': match, 'if-none-match': none } = conditions
  if (match && none) throw headerNotImplemented('If-None-Match')
  if (none && bucket.newest(key)?.kind === 'object') throw preconditionFailed('If-None-Match')
  if (match) checkMatch(currentObject(bucket, key), match, 'If-Match')
}

function checkMatch(version: ObjectVersion, wanted: string | undefined, condition: string): void {
  if (wanted && wanted !== '*' && !isMatch(version, wanted)) throw preconditionFailed(condition)
}

function isMatch(version: ObjectVersion, wanted: string): boolean {
  return version.etag === `"${wanted.replaceAll('"', '')}"`
}

function preconditionFailed(condition: string): S3Error {
  const message = 'At least one of the pre-conditions you specified did not hold'
  return new S3Error('PreconditionFailed', message, { details: { Condition: condition } })
}

/** S3's own words for it. */
function headerNotImplemented(header: string): S3Error {
  const message = 'A header you provided implies functionality that is not implemented'
  return new S3Error('NotImplemented', message, { details: { Header: header } })
}

interface CopySource {
  readonly bucket: string
  readonly key: string
  readonly versionId?: string | undefined
}

/** `bucket/key` or `bucket/key?versionId=…`, encoded as in an address. */
function copySource(text: string): CopySource {
  const { bucket, key, query } = addressOf(text)
  const parsed = z.strictObject({ versionId: versionId.optional() }).safeParse(query)
  if (bucket !== undefined && key !== undefined && parsed.success) return { bucket, key, ...parsed.data }
  const details = { ArgumentName: 'x-amz-copy-source', ArgumentValue: text }
  throw new S3Error('InvalidArgument', 'Copy Source must mention the source bucket and key.', { details })
}

function copiedVersion(bucket: Bucket, { key, versionId }: CopySource): ObjectVersion {
  if (versionId !== undefined && bucket.find(key, versionId)?.kind === 'marker') {
    throw new S3Error('InvalidRequest', 'The source of a copy request may not refer to a delete marker by version id.')
  }
  return readVersion(bucket, key, versionId)
}
