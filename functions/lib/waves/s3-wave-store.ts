import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import * as z from 'zod'
import { LockstepError } from '../errors.ts'
import { outcomeSchema } from '../rollout/rollout.ts'
import { type ClusterEnd, type WaveStore, type Waves, WavesUnavailable } from './wave-store.ts'

const wavesSchema = z.array(z.array(z.string()))

/**
 * Of a Map run's manifest, as far as it is read: the files with the outputs of those executions that succeeded. An
 * execution that did not has no output to tell.
 * https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
 */
const manifestSchema = z.object({ ResultFiles: z.object({ SUCCEEDED: z.array(z.object({ Key: z.string() })) }) })

/** The outputs of a file; one that is not as it should be tells nothing. */
const outputsSchema = z.array(
  z.object({ cluster: z.string(), outcome: outcomeSchema }).or(z.unknown().transform(() => undefined)),
)

/** Files in one bucket. Nothing is put over a push's waves: they are decided once. */
export class S3WaveStore implements WaveStore {
  private readonly client: S3Client
  private readonly bucket: string

  constructor({ client, bucket }: { readonly client: S3Client; readonly bucket: string }) {
    this.client = client
    this.bucket = bucket
  }

  async keep(delivery: string, waves: Waves): Promise<Waves> {
    if (await this.write(wavesKey(delivery), waves, { IfNoneMatch: '*' })) return waves
    return (await this.read(delivery)) ?? waves
  }

  async read(delivery: string): Promise<Waves | undefined> {
    return this.readJson(wavesKey(delivery), wavesSchema)
  }

  async writeItems(key: string, names: readonly string[]): Promise<void> {
    await this.write(
      key,
      names.map((cluster) => ({ cluster })),
    )
  }

  async readEnds(manifest: string): Promise<readonly ClusterEnd[]> {
    const folder = manifest.slice(0, manifest.lastIndexOf('/') + 1)
    const written = await this.readJson(manifest, manifestSchema)
    const files = (written?.ResultFiles.SUCCEEDED ?? []).filter(({ Key }) => Key.startsWith(folder))
    const outputs = await Promise.all(files.map(({ Key }) => this.readJson(Key, outputsSchema)))
    return outputs.flat().filter((end) => end !== undefined)
  }

  /** False when the condition does not hold. */
  private async write(Key: string, content: unknown, condition: { IfNoneMatch?: '*' } = {}): Promise<boolean> {
    try {
      const Body = JSON.stringify(content)
      const object = { Bucket: this.bucket, Key, Body, ContentType: 'application/json', ...condition }
      await this.client.send(new PutObjectCommand(object))
      return true
    } catch (error) {
      if (statusOf(error) === 412) return false
      throw this.failure('s3:PutObject', Key, error)
    }
  }

  private async readJson<Content>(Key: string, schema: z.ZodType<Content>): Promise<Content | undefined> {
    try {
      const { Body } = await this.client.send(new GetObjectCommand({ Bucket: this.bucket, Key }))
      const content = parsed((await Body?.transformToString()) ?? '')
      return schema.safeParse(content).data
    } catch (error) {
      if (nameOf(error) === 'NoSuchKey') return undefined
      throw this.failure('s3:GetObject', Key, error)
    }
  }

  private failure(permission: string, key: string, error: unknown): LockstepError {
    const arn = `arn:aws:s3:::${this.bucket}/${key}`
    const status = statusOf(error)
    if (status === 0 || status === 409 || status === 429 || status >= 500) {
      return new WavesUnavailable(`${permission} on ${arn}`, nameOf(error))
    }
    const what = `${permission} on ${arn} was refused (${nameOf(error)}).`
    return new LockstepError('WavesRefused', what, `Give the function ${permission} there, or deploy again.`)
  }
}

const wavesKey = (delivery: string) => `${delivery}/waves.json`

/** What is not JSON has no shape that is asked for. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const failureSchema = z.object({
  name: z.string().catch('unknown error'),
  $metadata: z.object({ httpStatusCode: z.number().optional() }).catch({}),
})
const seen = (error: unknown) => failureSchema.catch({ name: 'unknown error', $metadata: {} }).parse(error)
const nameOf = (error: unknown): string => seen(error).name
/** 0 where there was no answer. */
const statusOf = (error: unknown): number => seen(error).$metadata.httpStatusCode ?? 0
