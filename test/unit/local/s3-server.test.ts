import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request as requestHttp } from 'node:http'
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeAwsChunked } from '../../../infra/local/s3/aws-chunked.ts'
import { S3Error } from '../../../infra/local/s3/s3-error.ts'
import { type LocalS3, startS3 } from '../../../infra/local/s3/s3-server.ts'

/** What no SDK would send; the rest is in the contract. */

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** Of the error, if it is one. */
  readonly code: string | undefined
}

const time = Date.UTC(2026, 0, 5, 9, 0, 0, 700)
let open = 0
let server: LocalS3

beforeAll(async () => {
  const begin = () => {
    open++
    return () => {
      open--
    }
  }
  server = await startS3({ clock: { now: () => time, after: () => () => {} }, activity: { begin, touch: () => {} } })
  await send('PUT', '/bucket')
})
afterAll(() => server.close())

/** As it is: addresses are not normalised, and headers are what is given. */
async function send(
  method: string,
  path: string,
  { headers = {}, body = '' }: { headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<Answer> {
  const { hostname, port } = new URL(server.url)
  const length = { 'content-length': String(Buffer.byteLength(body)) }
  const sent = requestHttp({ hostname, port, method, path, agent: false, headers: { ...length, ...headers } })
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const text = Buffer.concat(await response.toArray()).toString()
  const { statusCode: status } = response
  return { status, headers: response.headers, body: text, code: /<Code>(\w+)<\/Code>/.exec(text)?.[1] }
}

const codeOf = async (...request: Parameters<typeof send>) => (await send(...request)).code

describe('addresses', () => {
  test('are taken as they are: dots lead nowhere', async () => {
    for (const key of ['..', '../../etc/passwd', '%2e%2e/%2e%2e/secret', '/', 'a/../b']) {
      await send('PUT', `/bucket/${key}`, { body: key })
      expect((await send('GET', `/bucket/${key}`)).body).toBe(key)
    }
    expect(await codeOf('GET', '/bucket/b')).toBe('NoSuchKey')
    expect(await codeOf('GET', '/../bucket/a')).toBe('NoSuchBucket')
  })

  test('with names of JavaScript mean nothing', async () => {
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect(await codeOf('GET', `/${name}/key`)).toBe('NoSuchBucket')
      expect(await codeOf('GET', `/bucket/${name}`)).toBe('NoSuchKey')
      expect(await codeOf('GET', `/bucket/key?${name}=1`)).toBe('NotImplemented')
      expect(await codeOf('PATCH', `/bucket/${name}`)).toBe('NotImplemented')
    }
  })

  test('that are not well-formed, too long or not for XML are refused', async () => {
    expect(await codeOf('GET', '/bucket/%')).toBe('InvalidURI')
    expect(await codeOf('GET', '/bucket/%ff')).toBe('InvalidURI')
    expect(await codeOf('GET', '/bucket?list-type=2&prefix=%zz')).toBe('InvalidURI')
    expect(await codeOf('PUT', `/bucket/${'%C3%BC'.repeat(512)}`)).toBe(undefined)
    expect(await codeOf('PUT', `/bucket/${'%C3%BC'.repeat(512)}x`)).toBe('KeyTooLongError')
    expect(await codeOf('PUT', '/bucket/a%00b')).toBe('NotImplemented')
    expect(await codeOf('GET', '/bucket?list-type=2&prefix=%01')).toBe('NotImplemented')
  })

  test('may have spaces as plus signs in parameters, not in keys', async () => {
    await send('PUT', '/bucket/a%20b', { body: 'x' })
    expect((await send('GET', '/bucket?list-type=2&prefix=a+b')).body).toContain('<Key>a b</Key>')
    expect(await codeOf('GET', '/bucket/a+b')).toBe('NoSuchKey')
  })

  test('of a bucket stay in its region', async () => {
    const body =
      '<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>'
    expect(await codeOf('PUT', '/bucket')).toBe(undefined)
    expect(await codeOf('PUT', '/bucket', { body })).toBe('BucketAlreadyOwnedByYou')
  })

  test('of buckets that may not be are refused', async () => {
    for (const name of ['ab', 'Upper', '-a-b', 'a..b', '127.0.0.1', 'x'.repeat(64)]) {
      expect(await codeOf('PUT', `/${name}`)).toBe('InvalidBucketName')
    }
  })
})

describe('what is not served', () => {
  test.each([
    ['GET', '/bucket?acl', {}],
    ['GET', '/bucket?list-type=2&encoding-type=url', {}],
    ['GET', '/bucket', {}],
    ['DELETE', '/bucket', {}],
    ['POST', '/bucket?delete', {}],
    ['POST', '/bucket/key?uploads', {}],
    ['PUT', '/bucket/key?tagging', {}],
    ['PUT', '/bucket/key?partNumber=1&uploadId=2', {}],
    ['PUT', '/bucket/key', { 'x-amz-tagging': 'a=b' }],
    ['PUT', '/bucket/key', { 'x-amz-server-side-encryption': 'aws:kms' }],
    ['PUT', '/bucket/key', { 'x-amz-object-lock-mode': 'GOVERNANCE' }],
    ['PUT', '/bucket/key', { 'if-none-match': '"etag"' }],
    ['PUT', '/bucket/key', { 'if-match': '"a", "b"' }],
    ['PUT', '/bucket/key', { 'if-match': 'a', 'if-none-match': '*' }],
    ['PUT', '/bucket/key', { 'x-amz-checksum-crc32c': 'AAAAAA==' }],
    ['GET', '/bucket/key', { 'if-modified-since': 'Mon, 05 Jan 2026 09:00:00 GMT' }],
    ['GET', '/bucket/key?response-content-type=a', {}],
    ['DELETE', '/bucket/key', { 'x-amz-if-match-size': '1' }],
  ] as const)('is refused, not guessed: %s %s %o', async (method, path, headers) => {
    const answer = await send(method, path, { headers: headers as Record<string, string> })
    expect([answer.status, answer.code]).toEqual([501, 'NotImplemented'])
    expect(await codeOf('GET', '/bucket/key')).toBe('NoSuchKey')
  })

  test.each(['bytes=0-1,3-4', 'bytes=-', 'bytes=2-1', 'lines=1-2'])('is a range like %s', async (range) => {
    await send('PUT', '/bucket/ranged', { body: '0123456789' })
    expect(await codeOf('GET', '/bucket/ranged', { headers: { range } })).toBe('NotImplemented')
  })

  test('is a value that S3 does not take either', async () => {
    for (const query of ['max-keys=-1', 'max-keys=x', 'continuation-token=%2A', 'continuation-token=']) {
      expect(await codeOf('GET', `/bucket?list-type=2&${query}`)).toBe('InvalidArgument')
    }
    expect(await codeOf('GET', '/bucket/key?versionId=short')).toBe('InvalidArgument')
    for (const source of ['bucket', '/', 'bucket/key?versionId=x', 'bucket/key?other=1']) {
      const headers = { 'x-amz-copy-source': source }
      expect(await codeOf('PUT', '/bucket/copy', { headers })).toBe('InvalidArgument')
    }
  })
})

describe('bodies', () => {
  const put = (body: string | Buffer, headers: Record<string, string>) =>
    codeOf('PUT', '/bucket/body', { body, headers })

  test('that are too large are refused before they are read', async () => {
    const headers = { 'content-length': String(64 * 1024 * 1024 + 1) }
    const { hostname, port } = new URL(server.url)
    const sent = requestHttp({ hostname, port, method: 'PUT', path: '/bucket/large', agent: false, headers })
    sent.on('error', () => {})
    sent.flushHeaders()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(400)
    expect(response.headers.connection).toBe('close')
    expect(Buffer.concat(await response.toArray()).toString()).toContain('EntityTooLarge')
    sent.destroy()
  })

  test('without a length are refused', async () => {
    const { hostname, port } = new URL(server.url)
    const sent = requestHttp({ hostname, port, method: 'PUT', path: '/bucket/body', agent: false })
    sent.write('x')
    sent.end('y')
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(411)
    response.resume()
  })

  test('that break off are forgotten', async () => {
    const { hostname, port } = new URL(server.url)
    const socket = connect(Number(port), hostname)
    socket.write('PUT /bucket/broken HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf')
    await new Promise((resolve) => socket.write('', resolve))
    socket.destroy()
    expect(await codeOf('GET', '/bucket/broken')).toBe('NoSuchKey')
  })

  test('must have the digests that come with them', async () => {
    const md5 = (text: string) => createHash('md5').update(text).digest('base64')
    expect(await put('a', { 'content-md5': md5('a') })).toBe(undefined)
    expect(await put('a', { 'content-md5': md5('b') })).toBe('BadDigest')
    expect(await put('a', { 'content-md5': 'x' })).toBe('InvalidDigest')
    expect(await put('a', { 'x-amz-content-sha256': '0'.repeat(64) })).toBe('XAmzContentSHA256Mismatch')
    expect(await put('a', { 'x-amz-checksum-sha1': 'x', 'x-amz-checksum-crc32': 'x' })).toBe('InvalidRequest')
    expect(await put('a', { 'x-amz-sdk-checksum-algorithm': 'SHA256' })).toBe('InvalidRequest')
  })

  test('in chunks must be whole', async () => {
    const chunked = (body: string, length: number, more: Record<string, string> = {}) =>
      put(body, {
        'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        'x-amz-decoded-content-length': String(length),
        ...more,
      })
    expect(await chunked('3\r\nabc\r\n0\r\n\r\n', 3)).toBe(undefined)
    expect(await chunked('3;chunk-signature=x\r\nabc\r\n0;chunk-signature=x\r\n\r\n', 3)).toBe(undefined)
    for (const body of [
      '',
      '3\r\nabc\r\n',
      '4\r\nabc\r\n0\r\n\r\n',
      '3\r\nabc__0\r\n\r\n',
      'ffffffff\r\nabc\r\n0\r\n',
      '-1\r\n\r\n',
      'x',
    ]) {
      expect(await chunked(body, 3)).toBe('IncompleteBody')
    }
    expect(await chunked('3\r\nabc\r\n0\r\n\r\n', 4)).toBe('IncompleteBody')
    const announced = { 'x-amz-trailer': 'x-amz-checksum-sha256' }
    for (const trailer of [announced, { 'x-amz-trailer': 'constructor' }]) {
      expect(await chunked('3\r\nabc\r\n0\r\n\r\n', 3, trailer)).toBe('MalformedTrailerError')
    }
    expect(await chunked('3\r\nabc\r\n0\r\nnot a trailer\r\n\r\n', 3)).toBe('MalformedTrailerError')
    expect(await chunked('3\r\nabc\r\n0\r\nx-amz-checksum-sha256:x\r\n\r\n', 3, announced)).toBe('BadDigest')
  })

  test('in chunks are put together whatever the chunks', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 })), (chunks) => {
        const parts = chunks.flatMap((chunk) => [`${chunk.length.toString(16)}\r\n`, chunk, '\r\n'])
        const encoded = Buffer.concat([...parts, '0\r\nx-a: b\r\n\r\n'].map((part) => Buffer.from(part)))
        expect(decodeAwsChunked(encoded)).toEqual({ body: Buffer.concat(chunks), trailers: { 'x-a': 'b' } })
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          decodeAwsChunked(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(S3Error)
        }
      }),
    )
  })
})

describe('documents', () => {
  const version = (body: string) => codeOf('PUT', '/bucket?versioning', { body })

  test('that are not what they should be are refused', async () => {
    const named = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>'
    const withEntity = `<!DOCTYPE a [<!ENTITY a "Enabled">]>${named.replace('Enabled', '&a;')}`
    expect(await version('')).toBe('MalformedXML')
    expect(await version('<VersioningConfiguration>')).toBe('MalformedXML')
    expect(await version('<Other/>')).toBe('MalformedXML')
    expect(await version('<__proto__><Status>Enabled</Status></__proto__>')).toBe('MalformedXML')
    expect(await version(named.replace('<Status>', '<MfaDelete>Enabled</MfaDelete><Status>'))).toBe('NotImplemented')
    expect(await version(`${named}${' '.repeat(70_000)}`)).toBe('MalformedXML')
    expect(await version('<VersioningConfiguration/>')).toBe('IllegalVersioningConfigurationException')
    expect(await version(withEntity)).toBe('IllegalVersioningConfigurationException')
    expect((await send('GET', '/bucket?versioning')).body).not.toContain('Status')
  })
})

describe('answers', () => {
  test('tell the time of the clock, to the second', async () => {
    await send('PUT', '/bucket/timed', { body: 'x' })
    expect((await send('HEAD', '/bucket/timed')).headers['last-modified']).toBe('Mon, 05 Jan 2026 09:00:00 GMT')
    const { body } = await send('GET', '/bucket?list-type=2&prefix=timed')
    expect(body).toContain('<LastModified>2026-01-05T09:00:00.000Z</LastModified>')
  })

  test('promise no end of the connection', async () => {
    const { hostname, port } = new URL(server.url)
    const agent = new Agent({ keepAlive: true })
    const sent = requestHttp({ hostname, port, path: '/', agent }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    expect(response.headers).toMatchObject({ connection: 'keep-alive' })
    expect(response.headers).not.toHaveProperty('keep-alive')
    response.resume()
    await once(response, 'end')
    agent.destroy()
  })

  test('to HEAD have no body, errors neither', async () => {
    expect(await send('HEAD', '/bucket/nothing')).toMatchObject({ status: 404, body: '' })
  })

  test('keep no more metadata than S3 does', async () => {
    const headers = { 'x-amz-meta-a': 'x'.repeat(2048) }
    expect(await codeOf('PUT', '/bucket/meta', { headers })).toBe('MetadataTooLarge')
  })

  test('are what counts as activity', async () => {
    await send('GET', '/bucket/nothing')
    await expect.poll(() => open).toBe(0)
  })
})
