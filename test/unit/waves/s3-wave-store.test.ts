import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../../functions/lib/clock.ts'
import { S3WaveStore } from '../../../functions/lib/waves/s3-wave-store.ts'
import { waveKeys } from '../../../functions/lib/waves/wave-store.ts'
import { localCredentials } from '../../../infra/local/dynamodb.ts'
import { type LocalS3, startS3 } from '../../../infra/local/s3/s3-server.ts'

const Bucket = 'waves'
const results = '1/wave-1/results/run'

let directory: string
let server: LocalS3
let client: S3Client
let store: S3WaveStore

async function start() {
  server = await startS3({ clock: systemClock, directory })
  client = new S3Client({
    ...{
      endpoint: server.url,
      forcePathStyle: true,
      region: 'us-east-1',
      credentials: localCredentials,
      maxAttempts: 1,
    },
  })
  await client.send(new CreateBucketCommand({ Bucket }))
  store = new S3WaveStore({ client, bucket: Bucket })
}

async function stop() {
  client.destroy()
  await server.close()
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'lockstep-waves-'))
  await start()
})
afterEach(stop)

const put = (Key: string, content: unknown) =>
  client.send(
    new PutObjectCommand({ Bucket, Key, Body: typeof content === 'string' ? content : JSON.stringify(content) }),
  )
const manifestOf = (...files: string[]) => ({ ResultFiles: { SUCCEEDED: files.map((Key) => ({ Key, Size: 1 })) } })

describe('the waves of a push', () => {
  test('are those that were kept first, whoever comes later', async () => {
    expect(await store.read('1')).toBeUndefined()
    const kept = await Promise.all([['a'], ['b'], ['c']].map((wave) => store.keep('1', [wave])))
    expect(new Set(kept.map((waves) => JSON.stringify(waves))).size).toBe(1)
    expect(await store.keep('1', [['z']])).toEqual(kept[0])
    expect(await store.read('1')).toEqual(kept[0])
    expect(await store.read('2')).toBeUndefined()
  })

  test('outlive the host', async () => {
    await store.keep('1', [['a']])
    await store.writeItems(waveKeys('1', 1).items, ['a'])
    await stop()
    await start()
    expect(await store.read('1')).toEqual([['a']])
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: '1/wave-1/clusters.json' }))
    expect(await Body?.transformToString()).toBe('[{"cluster":"a"}]')
  })

  test('cannot be reached where S3 does not answer, which passes', async () => {
    await server.close()
    await expect(store.read('1')).rejects.toMatchObject({ name: 'WavesUnavailable' })
    await expect(store.keep('1', [])).rejects.toMatchObject({ name: 'WavesUnavailable' })
    server = await startS3({ clock: systemClock })
  })

  test('are tried again where two were written at the same time', async () => {
    const conflict = Object.assign(new Error('409'), {
      ...{ name: 'ConditionalRequestConflict', $metadata: { httpStatusCode: 409 } },
    })
    client.send = () => Promise.reject(conflict)
    await expect(store.keep('1', [])).rejects.toMatchObject({ name: 'WavesUnavailable' })
  })

  test('are refused where the bucket is not there, which does not', async () => {
    store = new S3WaveStore({ client, bucket: 'none' })
    const refused = {
      name: 'WavesRefused',
      message: expect.stringContaining('s3:PutObject on arn:aws:s3:::none/1/waves.json'),
    }
    await expect(store.keep('1', [])).rejects.toMatchObject(refused)
  })
})

describe('the ends of a wave', () => {
  const end = (cluster: string, outcome = 'succeeded') => ({ cluster, outcome })

  test('are those of all files that the manifest names', async () => {
    await put(`${results}/manifest.json`, manifestOf(`${results}/SUCCEEDED_0.json`, `${results}/SUCCEEDED_1.json`))
    await put(`${results}/SUCCEEDED_0.json`, [end('a'), end('b', 'failed')])
    await put(`${results}/SUCCEEDED_1.json`, [end('c', 'released')])
    expect(await store.readEnds(`${results}/manifest.json`)).toEqual([
      end('a'),
      end('b', 'failed'),
      end('c', 'released'),
    ])
  })

  test('leave out what is not as it should be', async () => {
    await put(`${results}/manifest.json`, manifestOf(`${results}/SUCCEEDED_0.json`, `${results}/x.json`))
    await put(`${results}/SUCCEEDED_0.json`, [
      null,
      'a',
      end('a', 'splendid'),
      { cluster: 1, outcome: 'succeeded' },
      end('b'),
    ])
    await put(`${results}/x.json`, '{')
    expect(await store.readEnds(`${results}/manifest.json`)).toEqual([end('b')])
  })

  test('are not taken from outside the folder of the manifest', async () => {
    await put(`${results}/manifest.json`, manifestOf('2/wave-1/results/run/SUCCEEDED_0.json'))
    await put('2/wave-1/results/run/SUCCEEDED_0.json', [end('a')])
    expect(await store.readEnds(`${results}/manifest.json`)).toEqual([])
  })

  test.each(['{', '[]', '{"ResultFiles":{}}'])('are none with a manifest of %s', async (manifest) => {
    await put(`${results}/manifest.json`, manifest)
    expect(await store.readEnds(`${results}/manifest.json`)).toEqual([])
  })
})
