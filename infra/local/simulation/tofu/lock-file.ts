import {
  DeleteObjectCommand,
  GetObjectCommand,
  NoSuchKey,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import type { LockPart } from './s3-state.ts'

/** The lock as an object beside the state, as with `use_lockfile`. */
export class LockFile implements LockPart {
  private readonly client: S3Client
  private readonly place: { readonly Bucket: string; readonly Key: string }

  /** `key` is the state's. */
  constructor(client: S3Client, bucket: string, key: string) {
    this.client = client
    this.place = { Bucket: bucket, Key: `${key}.tflock` }
  }

  async take(info: string): Promise<boolean> {
    try {
      await this.client.send(new PutObjectCommand({ ...this.place, Body: info, IfNoneMatch: '*' }))
      return true
    } catch (error) {
      if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412) return false
      throw error
    }
  }

  async read(): Promise<string | undefined> {
    try {
      const { Body } = await this.client.send(new GetObjectCommand(this.place))
      return await Body?.transformToString()
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined
      throw error
    }
  }

  async remove(): Promise<void> {
    await this.client.send(new DeleteObjectCommand(this.place))
  }
}
