import { createHash, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { localCredentials } from '../../infra/local/dynamodb.ts'

export interface S3Setup {
  readonly url: string
  close(): Promise<void>
}

/**
 * What Lockstep and OpenTofu's backend need of S3, as AWS documents it. `differs`: titles of tests of which it is
 * known that they fail there; they are run as well, so that one that passes again is noticed.
 */
export function s3Contract(name: string, setup: () => Promise<S3Setup>, differs: readonly string[] = []): void {
  const titles = new Set<string>()
  const check = (title: string, run: () => Promise<void>) => {
    titles.add(title)
    if (differs.includes(title)) test.fails(title, run)
    else test(title, run)
  }

  describe(`S3: ${name}`, () => {
    let client: S3Client
    let close = async () => {}
    let Bucket: string

    beforeAll(async () => {
      const made = await setup()
      client = new S3Client({
        endpoint: made.url,
        forcePathStyle: true,
        region: 'us-east-1',
        credentials: localCredentials,
        maxAttempts: 1,
      })
      close = async () => {
        client.destroy()
        await made.close()
      }
    })
    afterAll(() => close())
    beforeEach(async () => {
      Bucket = `b-${randomUUID()}`
      await client.send(new CreateBucketCommand({ Bucket }))
    })

    const put = (Key: string, Body: string | Buffer | Readable, more: Partial<PutObjectCommandInput> = {}) =>
      client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }))
    const get = (Key: string, VersionId?: string) => client.send(new GetObjectCommand({ Bucket, Key, VersionId }))
    const text = async (Key: string, VersionId?: string) => (await get(Key, VersionId)).Body?.transformToString()
    const remove = (Key: string, conditions: { IfMatch?: string; VersionId?: string } = {}) =>
      client.send(new DeleteObjectCommand({ Bucket, Key, ...conditions }))
    const keepVersions = (Status: 'Enabled' | 'Suspended' = 'Enabled') =>
      client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }))
    const versions = (Prefix?: string) => client.send(new ListObjectVersionsCommand({ Bucket, Prefix }))

    /** The error's code, and its status. */
    const refused = async (request: Promise<unknown>): Promise<[string, number | undefined]> => {
      const error = await request.then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      if (!(error instanceof S3ServiceException)) throw new Error(`Not refused by S3: ${error}`)
      return [error.name, error.$metadata.httpStatusCode]
    }
    const missing = ['NoSuchKey', 404]
    const unmet = ['PreconditionFailed', 412]

    describe('a lock object', () => {
      check('is taken by one of many that race', async () => {
        const rivals = Array.from({ length: 20 }, (_, index) => put('lock', `holder ${index}`, { IfNoneMatch: '*' }))
        const results = await Promise.allSettled(rivals)
        const won = results.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []))
        expect(won).toHaveLength(1)
        expect(await text('lock')).toBe(`holder ${won[0]}`)
        const lost = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.name] : []))
        expect(new Set(lost)).toEqual(new Set(['PreconditionFailed']))
      })

      check('that is held is not taken', async () => {
        await put('lock', 'first')
        expect(await refused(put('lock', 'second', { IfNoneMatch: '*' }))).toEqual(unmet)
        expect(await text('lock')).toBe('first')
      })

      check('is taken again after it was released', async () => {
        await put('lock', 'first', { IfNoneMatch: '*' })
        await remove('lock')
        await put('lock', 'second', { IfNoneMatch: '*' })
        expect(await text('lock')).toBe('second')
      })

      check('is taken again over a delete marker', async () => {
        await keepVersions()
        await put('lock', 'first', { IfNoneMatch: '*' })
        await remove('lock')
        await put('lock', 'second', { IfNoneMatch: '*' })
        expect(await refused(put('lock', 'third', { IfNoneMatch: '*' }))).toEqual(unmet)
      })

      check('is released without a condition, held or not', async () => {
        await put('lock', 'first')
        expect((await remove('lock')).$metadata.httpStatusCode).toBe(204)
        expect((await remove('lock')).$metadata.httpStatusCode).toBe(204)
        expect(await refused(get('lock'))).toEqual(missing)
      })

      check('is not deleted with an ETag of another content', async () => {
        const { ETag: stale } = await put('lock', 'first')
        await put('lock', 'second')
        expect(await refused(remove('lock', { IfMatch: stale ?? '' }))).toEqual(unmet)
        expect(await text('lock')).toBe('second')
      })

      check('is deleted with its ETag, with or without the quotes', async () => {
        for (const unquote of [false, true]) {
          const { ETag = '' } = await put('lock', 'first')
          const IfMatch = unquote ? ETag.replaceAll('"', '') : ETag
          expect((await remove('lock', { IfMatch })).$metadata.httpStatusCode).toBe(204)
          expect(await refused(get('lock'))).toEqual(missing)
        }
      })

      check('that is gone cannot be deleted with an ETag', async () => {
        const { ETag = '' } = await put('lock', 'first')
        await remove('lock')
        expect(await refused(remove('lock', { IfMatch: ETag }))).toEqual(missing)
      })

      check('is deleted by one of many that race with its ETag', async () => {
        const { ETag = '' } = await put('lock', 'first')
        const rivals = await Promise.allSettled(Array.from({ length: 10 }, () => remove('lock', { IfMatch: ETag })))
        expect(rivals.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      })

      check('is deleted with If-Match: * when it is there', async () => {
        await put('lock', 'first')
        expect((await remove('lock', { IfMatch: '*' })).$metadata.httpStatusCode).toBe(204)
        expect(await refused(remove('lock', { IfMatch: '*' }))).toEqual(missing)
      })

      check('is hidden by a delete marker when versions are kept', async () => {
        await keepVersions()
        const { ETag = '', VersionId } = await put('lock', 'first')
        expect(await refused(remove('lock', { IfMatch: '"0123"' }))).toEqual(unmet)
        const deleted = await remove('lock', { IfMatch: ETag })
        expect(deleted.DeleteMarker).toBe(true)
        expect(deleted.VersionId).not.toBe(VersionId)
        expect(await refused(remove('lock', { IfMatch: ETag }))).toEqual(missing)
        expect(await text('lock', VersionId)).toBe('first')
      })

      check('is not deleted by version and ETag at once', async () => {
        await keepVersions()
        const { ETag = '', VersionId = '' } = await put('lock', 'first')
        expect(await refused(remove('lock', { IfMatch: ETag, VersionId }))).toEqual(['NotImplemented', 501])
        expect(await text('lock')).toBe('first')
      })
    })

    describe('objects', () => {
      check('come back as they were written', async () => {
        const body = Buffer.from([0, 1, 2, 254, 255])
        const written = await put('state', body, { ContentType: 'application/json', Metadata: { serial: '7' } })
        const read = await get('state')
        expect(Buffer.from((await read.Body?.transformToByteArray()) ?? [])).toEqual(body)
        expect(read).toMatchObject({ ContentType: 'application/json', ContentLength: 5, Metadata: { serial: '7' } })
        expect(read.ETag).toBe(`"${createHash('md5').update(body).digest('hex')}"`)
        expect(written.ETag).toBe(read.ETag)
        expect(written.VersionId).toBeUndefined()
        expect(read.LastModified).toBeInstanceOf(Date)
      })

      check('are described without their bytes', async () => {
        const { ETag } = await put('state', 'content')
        const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'state' }))
        expect(head).toMatchObject({ ETag, ContentLength: 7 })
        expect(await refused(client.send(new HeadObjectCommand({ Bucket, Key: 'nothing' })))).toEqual(['NotFound', 404])
      })

      check('may be empty', async () => {
        await put('empty', Buffer.alloc(0))
        expect(await text('empty')).toBe('')
        expect((await get('empty')).ContentLength).toBe(0)
      })

      check('have keys of any characters', async () => {
        const keys = ['../../etc/passwd', 'a b+c%2F&d=<e>"f\'', 'ünï/☃/𝄞', 'env:/production/app.tfstate', 'a//b', '%']
        for (const key of keys) await put(key, key)
        for (const key of keys) expect(await text(key)).toBe(key)
        const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
        expect(new Set(Contents.map(({ Key }) => Key))).toEqual(new Set(keys))
      })

      check('are overwritten only with the ETag that was read', async () => {
        const { ETag = '' } = await put('state', 'first')
        await put('state', 'second', { IfMatch: ETag })
        expect(await refused(put('state', 'third', { IfMatch: ETag }))).toEqual(unmet)
        expect(await text('state')).toBe('second')
        expect(await refused(put('nothing', 'third', { IfMatch: ETag }))).toEqual(missing)
      })

      check('are read only if they match', async () => {
        const { ETag = '' } = await put('state', 'first')
        const read = (conditions: object) => client.send(new GetObjectCommand({ Bucket, Key: 'state', ...conditions }))
        expect((await read({ IfMatch: ETag })).ETag).toBe(ETag)
        expect(await refused(read({ IfMatch: '"0123"' }))).toEqual(unmet)
        expect((await refused(read({ IfNoneMatch: ETag })))[1]).toBe(304)
      })

      check('are read in part', async () => {
        await put('state', '0123456789')
        const part = async (Range: string) => {
          const read = await client.send(new GetObjectCommand({ Bucket, Key: 'state', Range }))
          return [await read.Body?.transformToString(), read.ContentRange, read.$metadata.httpStatusCode]
        }
        expect(await part('bytes=2-4')).toEqual(['234', 'bytes 2-4/10', 206])
        expect(await part('bytes=7-')).toEqual(['789', 'bytes 7-9/10', 206])
        expect(await part('bytes=7-100')).toEqual(['789', 'bytes 7-9/10', 206])
        expect(await part('bytes=-3')).toEqual(['789', 'bytes 7-9/10', 206])
        expect(await refused(part('bytes=10-'))).toEqual(['InvalidRange', 416])
      })

      check('are copied, with their metadata or with another', async () => {
        await put('from', 'content', { ContentType: 'text/plain', Metadata: { a: '1' } })
        const copy = (Key: string, more: object = {}) =>
          client.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/from`, ...more }))
        expect((await copy('same')).CopyObjectResult?.ETag).toBe((await get('from')).ETag)
        expect(await get('same')).toMatchObject({ ContentType: 'text/plain', Metadata: { a: '1' } })
        await copy('other', { MetadataDirective: 'REPLACE', Metadata: { b: '2' } })
        expect((await get('other')).Metadata).toEqual({ b: '2' })
        expect(await text('other')).toBe('content')
        const nowhere = new CopyObjectCommand({ Bucket, Key: 'x', CopySource: `${Bucket}/nothing` })
        expect(await refused(client.send(nowhere))).toEqual(missing)
        expect(await refused(copy('from'))).toEqual(['InvalidRequest', 400])
      })

      check('are copied only if the source matches', async () => {
        const { ETag = '' } = await put('from', 'content')
        const copy = (CopySourceIfMatch: string) =>
          client.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource: `${Bucket}/from`, CopySourceIfMatch }))
        expect(await refused(copy('"0123"'))).toEqual(unmet)
        expect((await copy(ETag)).CopyObjectResult?.ETag).toBe(ETag)
      })

      check('are not copied over one that exists, when told so', async () => {
        await put('from', 'content')
        await put('backup', 'precious')
        const copy = (Key: string) =>
          client.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/from`, IfNoneMatch: '*' }))
        await copy('free')
        expect(await refused(copy('backup'))).toEqual(unmet)
        expect(await text('backup')).toBe('precious')
      })
    })

    describe('checksums', () => {
      const sha256 = (body: string) => createHash('sha256').update(body).digest('base64')

      check('are kept and given back', async () => {
        const written = await put('state', 'content', { ChecksumAlgorithm: 'SHA256' })
        expect(written.ChecksumSHA256).toBe(sha256('content'))
        const read = await client.send(new GetObjectCommand({ Bucket, Key: 'state', ChecksumMode: 'ENABLED' }))
        expect(read.ChecksumSHA256).toBe(sha256('content'))
        expect(await read.Body?.transformToString()).toBe('content')
      })

      check('that are wrong refuse the body', async () => {
        expect(await refused(put('state', 'content', { ChecksumSHA256: sha256('other') }))).toEqual(['BadDigest', 400])
        expect(await refused(get('state'))).toEqual(missing)
      })

      check('may follow a body that is streamed', async () => {
        const body = 'x'.repeat(200_000)
        const more = { ContentLength: body.length, ChecksumAlgorithm: 'SHA256', ContentEncoding: 'identity' } as const
        await put('state', Readable.from([body.slice(0, 70_000), body.slice(70_000)]), more)
        expect(await text('state')).toBe(body)
        const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'state', ChecksumMode: 'ENABLED' }))
        expect(head).toMatchObject({
          ChecksumSHA256: sha256(body),
          ContentLength: 200_000,
          ContentEncoding: 'identity',
        })
      })
    })

    describe('versions', () => {
      check('are not kept unless asked for', async () => {
        expect((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined()
        await keepVersions()
        expect((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe('Enabled')
        await keepVersions('Suspended')
        expect((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe('Suspended')
      })

      check('stay readable, the newest first', async () => {
        await keepVersions()
        const first = await put('state', 'first')
        const second = await put('state', 'second')
        expect(await text('state')).toBe('second')
        expect(await text('state', first.VersionId)).toBe('first')
        const { Versions = [] } = await versions('state')
        expect(Versions.map(({ VersionId, IsLatest, ETag }) => [VersionId, IsLatest, ETag])).toEqual([
          [second.VersionId, true, second.ETag],
          [first.VersionId, false, first.ETag],
        ])
      })

      check('are hidden by a delete marker, and shown again without it', async () => {
        await keepVersions()
        const written = await put('state', 'first')
        const marker = await remove('state')
        expect(marker.DeleteMarker).toBe(true)
        expect(await refused(get('state'))).toEqual(missing)
        const { Versions = [], DeleteMarkers = [] } = await versions()
        expect(DeleteMarkers).toMatchObject([{ Key: 'state', VersionId: marker.VersionId, IsLatest: true }])
        expect(Versions).toMatchObject([{ VersionId: written.VersionId, IsLatest: false }])
        expect((await client.send(new ListObjectsV2Command({ Bucket }))).Contents ?? []).toEqual([])

        await remove('state', { VersionId: marker.VersionId ?? '' })
        expect(await text('state')).toBe('first')
      })

      check('that are delete markers cannot be read', async () => {
        await keepVersions()
        await put('state', 'first')
        const { VersionId } = await remove('state')
        expect(await refused(get('state', VersionId))).toEqual(['MethodNotAllowed', 405])
      })

      check('that are delete markers are told apart when they are deleted', async () => {
        await keepVersions()
        const { VersionId = '' } = await remove('state')
        expect(await remove('state', { VersionId })).toMatchObject({ DeleteMarker: true, VersionId })
      })

      check('are gone for good when deleted by their id', async () => {
        await keepVersions()
        const first = await put('state', 'first')
        const second = await put('state', 'second')
        await remove('state', { VersionId: second.VersionId ?? '' })
        expect(await text('state')).toBe('first')
        expect(await refused(get('state', second.VersionId))).toEqual(['NoSuchVersion', 404])
        expect((await remove('state', { VersionId: second.VersionId ?? '' })).$metadata.httpStatusCode).toBe(204)
        expect((await versions()).Versions).toMatchObject([{ VersionId: first.VersionId, IsLatest: true }])
      })

      check('can be brought back by a copy', async () => {
        await keepVersions()
        const first = await put('state', 'first')
        await put('state', 'second')
        const CopySource = `${Bucket}/state?versionId=${first.VersionId}`
        const restored = await client.send(new CopyObjectCommand({ Bucket, Key: 'state', CopySource }))
        expect(restored.CopySourceVersionId).toBe(first.VersionId)
        expect(await text('state')).toBe('first')
        expect((await versions()).Versions).toHaveLength(3)
      })

      check('from before they were kept are the version null', async () => {
        await put('state', 'before')
        await keepVersions()
        await put('state', 'after')
        expect(await text('state', 'null')).toBe('before')
        expect((await versions()).Versions).toHaveLength(2)
      })

      check('that are suspended replace the version null only', async () => {
        await keepVersions()
        const kept = await put('state', 'kept')
        await keepVersions('Suspended')
        await put('state', 'one')
        await put('state', 'two')
        expect(await text('state')).toBe('two')
        const { Versions = [] } = await versions()
        expect(Versions.map(({ VersionId }) => VersionId)).toEqual(['null', kept.VersionId])
        expect(await remove('state')).toMatchObject({ DeleteMarker: true, VersionId: 'null' })
        expect(await text('state', kept.VersionId)).toBe('kept')
      })

      check('are listed in pages', async () => {
        await keepVersions()
        for (const key of ['a', 'b', 'b', 'b', 'c']) await put(key, 'x')
        await remove('c')
        const seen: string[] = []
        let markers: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {}
        for (let pages = 1; ; pages++) {
          const page = await client.send(new ListObjectVersionsCommand({ Bucket, MaxKeys: 2, ...markers }))
          const lines = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])]
          expect(lines.length).toBeLessThanOrEqual(2)
          seen.push(...lines.map(({ Key, VersionId }) => `${Key} ${VersionId}`))
          markers = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
          if (!page.IsTruncated || pages > 9) break
        }
        expect(seen.map((line) => line.split(' ')[0]).toSorted()).toEqual(['a', 'b', 'b', 'b', 'c', 'c'])
        expect(new Set(seen).size).toBe(6)
      })

      check('where none were ever kept are the one that is there, as null', async () => {
        for (const body of ['first', 'second']) await put('state', body)
        const { Versions = [], DeleteMarkers = [] } = await versions('state')
        expect(Versions).toMatchObject([{ Key: 'state', VersionId: 'null', IsLatest: true }])
        expect(DeleteMarkers).toEqual([])
        expect(await text('state', 'null')).toBe('second')
        await remove('state')
        expect((await versions('state')).Versions ?? []).toEqual([])
      })

      check('of one key come in pages, the newest first, and before those of longer keys', async () => {
        await keepVersions()
        const written: (string | undefined)[] = []
        for (const body of ['1', '2', '3', '4', '5']) {
          written.unshift((await put('state', body)).VersionId)
          await put('state.tflock', body)
        }
        const seen: (string | undefined)[] = []
        let markers: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {}
        do {
          const command = new ListObjectVersionsCommand({ Bucket, Prefix: 'state', MaxKeys: 2, ...markers })
          const page = await client.send(command)
          seen.push(...(page.Versions ?? []).flatMap(({ Key, VersionId }) => (Key === 'state' ? [VersionId] : [])))
          markers = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
        } while (markers.KeyMarker === 'state')
        expect(seen).toEqual(written)
      })
    })

    describe('lists', () => {
      const list = (more: object = {}) => client.send(new ListObjectsV2Command({ Bucket, ...more }))
      const keys = ({ Contents = [] }: { Contents?: { Key?: string | undefined }[] | undefined }) =>
        Contents.map(({ Key }) => Key)

      check('are in the order of bytes', async () => {
        for (const key of ['b', 'a/2', 'B', 'a/10', 'é', '\u{ff5e}', '\u{1d11e}']) await put(key, 'x')
        const page = await list()
        expect(keys(page)).toEqual(['B', 'a/10', 'a/2', 'b', 'é', '\u{ff5e}', '\u{1d11e}'])
        expect(page).toMatchObject({ KeyCount: 7, IsTruncated: false })
        expect(page.Contents?.[0]).toMatchObject({ Size: 1, StorageClass: 'STANDARD' })
      })

      check('are of a prefix, with what lies deeper as common prefixes', async () => {
        for (const key of ['env:/a/x', 'env:/a/y', 'env:/b/x', 'env:/c', 'other']) await put(key, 'x')
        expect(keys(await list({ Prefix: 'env:/' }))).toEqual(['env:/a/x', 'env:/a/y', 'env:/b/x', 'env:/c'])
        const page = await list({ Prefix: 'env:/', Delimiter: '/' })
        expect(keys(page)).toEqual(['env:/c'])
        expect(page.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['env:/a/', 'env:/b/'])
        expect(page.KeyCount).toBe(3)
      })

      check('come in pages', async () => {
        for (const key of ['a', 'b/1', 'b/2', 'c', 'd/1', 'e']) await put(key, 'x')
        const seen: (string | undefined)[] = []
        let ContinuationToken: string | undefined
        for (let pages = 1; ; pages++) {
          const page = await list({ MaxKeys: 2, Delimiter: '/', ContinuationToken })
          seen.push(...keys(page), ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix))
          ContinuationToken = page.NextContinuationToken
          if (!page.IsTruncated || pages > 9) break
        }
        expect(seen.toSorted()).toEqual(['a', 'b/', 'c', 'd/', 'e'])
        expect((await list({ MaxKeys: 5, Delimiter: '/' })).IsTruncated).toBe(false)
      })

      check('begin after a key', async () => {
        for (const key of ['a', 'b', 'c']) await put(key, 'x')
        expect(keys(await list({ StartAfter: 'a' }))).toEqual(['b', 'c'])
      })
    })

    describe('buckets', () => {
      check('are found and listed', async () => {
        await client.send(new HeadBucketCommand({ Bucket }))
        const { Buckets = [] } = await client.send(new ListBucketsCommand({}))
        expect(Buckets.map(({ Name }) => Name)).toContain(Bucket)
      })

      check('that do not exist are missing', async () => {
        const nowhere = { Bucket: 'b-nowhere' }
        const noBucket = ['NoSuchBucket', 404]
        expect(await refused(client.send(new HeadBucketCommand(nowhere)))).toEqual(['NotFound', 404])
        expect(await refused(client.send(new GetObjectCommand({ ...nowhere, Key: 'a' })))).toEqual(noBucket)
        expect(await refused(client.send(new PutObjectCommand({ ...nowhere, Key: 'a', Body: 'x' })))).toEqual(noBucket)
        expect(await refused(client.send(new DeleteObjectCommand({ ...nowhere, Key: 'a' })))).toEqual(noBucket)
        expect(await refused(client.send(new ListObjectsV2Command(nowhere)))).toEqual(noBucket)
      })

      check('are not made twice outside of us-east-1', async () => {
        const Name = `b-${randomUUID()}`
        const CreateBucketConfiguration = { LocationConstraint: 'eu-central-1' } as const
        const create = () => client.send(new CreateBucketCommand({ Bucket: Name, CreateBucketConfiguration }))
        await create()
        expect(await refused(create())).toEqual(['BucketAlreadyOwnedByYou', 409])
      })
    })

    test('the differences are of tests that exist', () => {
      expect(differs.filter((title) => !titles.has(title))).toEqual([])
    })
  })
}
