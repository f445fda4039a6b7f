import {
  CreateBucketCommand,
  GetObjectCommand,
  NoSuchKey,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { localCredentials } from '../../../infra/local/dynamodb.ts'

/** A bucket of OpenTofu's S3 backend, with versions as its documentation asks for. */
export class StateBucket {
  readonly name: string
  readonly #client: S3Client

  constructor(endpoint: string, name: string) {
    this.name = name
    const access = { region: 'us-east-1', credentials: localCredentials, forcePathStyle: true }
    this.#client = new S3Client({ endpoint, ...access })
  }

  async create(): Promise<void> {
    const bucket = { Bucket: this.name }
    await this.#client.send(new CreateBucketCommand(bucket))
    const VersioningConfiguration = { Status: 'Enabled' } as const
    await this.#client.send(new PutBucketVersioningCommand({ ...bucket, VersioningConfiguration }))
  }

  async read(Key: string): Promise<{ text: string; etag: string } | undefined> {
    try {
      const { Body, ETag } = await this.#client.send(new GetObjectCommand({ Bucket: this.name, Key }))
      return { text: (await Body?.transformToString()) ?? '', etag: ETag ?? '' }
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined
      throw error
    }
  }

  close(): void {
    this.#client.destroy()
  }
}
