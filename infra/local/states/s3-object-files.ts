import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import type { ObjectFiles } from './object-files.ts'

/** Objects in S3, or in its stand-in. */
export class S3ObjectFiles implements ObjectFiles {
  private readonly client: S3Client

  constructor(client: S3Client) {
    this.client = client
  }

  async read(Bucket: string, Key: string): Promise<string> {
    const { Body } = await this.client.send(new GetObjectCommand({ Bucket, Key }))
    return (await Body?.transformToString()) ?? ''
  }

  async write(Bucket: string, Key: string, Body: string): Promise<void> {
    await this.client.send(new PutObjectCommand({ Bucket, Key, Body }))
  }
}
