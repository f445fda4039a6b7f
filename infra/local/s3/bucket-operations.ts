import { z } from 'zod'
import type { Bucket } from './bucket.ts'
import { type Buckets, defaultRegion } from './buckets.ts'
import { nothing, operation } from './operation.ts'
import { S3Error } from './s3-error.ts'
import { readDocument, s3Document } from './xml.ts'

/** Whoever asks owns everything. */
const owner = { ID: '0'.repeat(64) }

export const listBuckets = operation({
  query: nothing,
  headers: nothing,
  run: (buckets) => {
    const named = buckets.list().map(({ name, createdAt }) => ({ Name: name, CreationDate: isoTime(createdAt) }))
    return { body: s3Document('ListAllMyBucketsResult', { Owner: owner, Buckets: { Bucket: named } }) }
  },
})

export const createBucket = operation({
  query: nothing,
  headers: nothing,
  run: (buckets, { bucket = '', body }) => {
    const { LocationConstraint: region = defaultRegion } =
      body.length === 0 ? {} : readDocument(body, 'CreateBucketConfiguration', bucketConfiguration)
    buckets.create(bucket, region)
    return { headers: { location: `/${bucket}` } }
  },
})

const bucketConfiguration = z.strictObject({
  LocationConstraint: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/)
    .optional(),
})

export const headBucket = operation({
  query: nothing,
  headers: nothing,
  run: (buckets, request) => ({ headers: { 'x-amz-bucket-region': bucketOf(buckets, request).region } }),
})

export const getBucketVersioning = operation({
  query: z.strictObject({ versioning: z.literal('') }),
  headers: nothing,
  run: (buckets, request) => {
    const { versioning } = bucketOf(buckets, request)
    return { body: s3Document('VersioningConfiguration', { Status: versioning }) }
  },
})

export const putBucketVersioning = operation({
  query: z.strictObject({ versioning: z.literal('') }),
  headers: nothing,
  run: (buckets, request) => {
    const bucket = bucketOf(buckets, request)
    const { Status } = readDocument(request.body, 'VersioningConfiguration', versioningConfiguration)
    if (Status !== 'Enabled' && Status !== 'Suspended') {
      throw new S3Error('IllegalVersioningConfigurationException', 'The status is neither Enabled nor Suspended.')
    }
    bucket.versioning = Status
    return {}
  },
})

const versioningConfiguration = z.strictObject({ Status: z.string().optional() })

/** The bucket that a request names. Throws S3Error `NoSuchBucket`. */
export function bucketOf(buckets: Buckets, { bucket = '' }: { readonly bucket?: string }): Bucket {
  return buckets.get(bucket)
}

/** The form of time in S3's documents, to the second as in S3. */
export function isoTime(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString()
}
