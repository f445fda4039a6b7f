import { z } from 'zod'
import type { Version } from './bucket.ts'
import { bucketOf, isoTime } from './bucket-operations.ts'
import { nothing, operation } from './operation.ts'
import { s3Document, type XmlElement } from './xml.ts'

const largestPage = 1000

const selection = {
  prefix: z.string().optional(),
  delimiter: z.string().optional(),
  'max-keys': z
    .string()
    .regex(/^\d{1,9}$/)
    .optional(),
}

/** The token is the last line of the page before, in a form that addresses can carry. */
const continuationToken = z
  .base64url()
  .min(1)
  .transform((token) => Buffer.from(token, 'base64url').toString())

export const listObjects = operation({
  query: z.strictObject({
    ...selection,
    'list-type': z.literal('2'),
    'continuation-token': continuationToken.optional(),
    'start-after': z.string().optional(),
    'fetch-owner': z.literal('false').optional(),
  }),
  headers: nothing,
  run: (buckets, request) => {
    const { bucket = '', query } = request
    const { prefix = '', delimiter = '', 'start-after': after = '', 'continuation-token': token } = query
    const current = bucketOf(buckets, request)
      .entries()
      .flatMap(([key, [version]]) => (version?.kind === 'object' && isAfter(key, after) ? [{ key, version }] : []))
    const lines = grouped(current, prefix, delimiter).filter(({ name }) => token === undefined || isAfter(name, token))
    const { page, limit, last } = pageOf(lines, query['max-keys'])
    return {
      body: s3Document('ListBucketResult', {
        Name: bucket,
        Prefix: prefix,
        Delimiter: delimiter || undefined,
        StartAfter: after || undefined,
        ContinuationToken: token && Buffer.from(token).toString('base64url'),
        NextContinuationToken: last && Buffer.from(last.name).toString('base64url'),
        KeyCount: page.length,
        MaxKeys: limit,
        IsTruncated: last !== undefined,
        Contents: page.flatMap(({ item }) => (item ? [{ Key: item.key, ...described(item.version) }] : [])),
        CommonPrefixes: commonPrefixes(page),
      }),
    }
  },
})

export const listObjectVersions = operation({
  query: z.strictObject({
    ...selection,
    versions: z.literal(''),
    'key-marker': z.string().optional(),
    'version-id-marker': z.string().optional(),
  }),
  headers: nothing,
  run: (buckets, request) => {
    const { bucket = '', query } = request
    const { prefix = '', delimiter = '', 'key-marker': keyMarker = '', 'version-id-marker': idMarker = '' } = query
    const all = bucketOf(buckets, request)
      .entries()
      .flatMap(([key, versions]) => versions.map((version, index) => ({ key, version, isLatest: index === 0 })))
    const lines = grouped(all, prefix, delimiter)
    const { page, limit, last } = pageOf(lines.slice(firstAfter(lines, keyMarker, idMarker)), query['max-keys'])
    const listed = (kind: Version['kind']) =>
      page.flatMap(({ item }) => {
        if (item?.version.kind !== kind) return []
        const { key, version, isLatest } = item
        return [{ Key: key, VersionId: version.versionId, IsLatest: isLatest, ...described(version) }]
      })
    return {
      body: s3Document('ListVersionsResult', {
        Name: bucket,
        Prefix: prefix,
        Delimiter: delimiter || undefined,
        KeyMarker: keyMarker,
        VersionIdMarker: idMarker,
        NextKeyMarker: last?.name,
        NextVersionIdMarker: last?.item?.version.versionId,
        MaxKeys: limit,
        IsTruncated: last !== undefined,
        Version: listed('object'),
        DeleteMarker: listed('marker'),
        CommonPrefixes: commonPrefixes(page),
      }),
    }
  },
})

interface Line<Item> {
  /** A key, or the common prefix of several. */
  readonly name: string
  /** Undefined for a common prefix. */
  readonly item?: Item
}

/** What begins with `prefix`; keys that go on beyond a `delimiter` are one line together. */
function grouped<Item extends { readonly key: string }>(
  items: readonly Item[],
  prefix: string,
  delimiter: string,
): Line<Item>[] {
  const lines: Line<Item>[] = []
  for (const item of items) {
    if (!item.key.startsWith(prefix)) continue
    const end = delimiter === '' ? -1 : item.key.indexOf(delimiter, prefix.length)
    const name = end < 0 ? item.key : item.key.slice(0, end + delimiter.length)
    if (end < 0) lines.push({ name, item })
    else if (lines.at(-1)?.name !== name) lines.push({ name })
  }
  return lines
}

function pageOf<Item>(lines: readonly Line<Item>[], maxKeys: string | undefined) {
  const limit = Math.min(Number(maxKeys ?? largestPage), largestPage)
  const page = lines.slice(0, limit)
  const last = lines.length > limit ? page.at(-1) : undefined
  return { page, limit, ...(last && { last }) }
}

/** Where the page after these markers begins: after that version of the key or, without one, after the key. */
function firstAfter(lines: readonly Line<{ version: Version }>[], key: string, versionId: string): number {
  if (key === '') return 0
  const named = lines.findIndex(({ name, item }) => name === key && item?.version.versionId === versionId)
  if (named >= 0) return named + 1
  const after = lines.findIndex(({ name }) => isAfter(name, key))
  return after < 0 ? lines.length : after
}

function isAfter(name: string, other: string): boolean {
  return Buffer.compare(Buffer.from(name), Buffer.from(other)) > 0
}

function described(version: Version): XmlElement {
  const LastModified = isoTime(version.lastModified)
  if (version.kind === 'marker') return { LastModified }
  return { LastModified, ETag: version.etag, Size: version.body.length, StorageClass: 'STANDARD' }
}

function commonPrefixes(page: readonly Line<unknown>[]): XmlElement[] {
  return page.flatMap(({ name, item }) => (item ? [] : [{ Prefix: name }]))
}
