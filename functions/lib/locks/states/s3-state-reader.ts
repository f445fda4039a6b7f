import { GetObjectCommand, type GetObjectCommandOutput, type S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { type StateAddress, stateText } from '../backends/lock-place.ts'
import type { StateEvidence } from '../evidence.ts'
import { awsFailure } from '../stores/aws-failure.ts'
import { stateContentOf, stateSizeLimit } from './state-content.ts'
import { noStateOf, type StateReader } from './state-reader.ts'

/** States of OpenTofu's S3 backend. */
export class S3StateReader implements StateReader {
  private readonly clientFor: (region: string) => S3Client

  /** `clientFor` answers the client of a region, the same one each time. */
  constructor(clientFor: (region: string) => S3Client) {
    this.clientFor = clientFor
  }

  async read(address: StateAddress): Promise<StateEvidence> {
    if (address.store !== 's3') throw noStateOf('S3', address)
    const { region, bucket, key } = address
    try {
      return await evidenceIn(await this.clientFor(region).send(new GetObjectCommand({ Bucket: bucket, Key: key })))
    } catch (error) {
      if (isAbsent(error)) return { exists: false }
      // Without s3:ListBucket S3 refuses what does not exist, too.
      const on = `arn:aws:s3:::${bucket}/${key} and s3:ListBucket on arn:aws:s3:::${bucket}`
      throw awsFailure({ store: stateText(address), permission: 's3:GetObject', on }, error)
    }
  }
}

/** The object, not the bucket. */
function isAbsent(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NoSuchKey'
}

async function evidenceIn(object: GetObjectCommandOutput): Promise<StateEvidence> {
  const { LastModified } = object
  return {
    exists: true,
    version: versionOf(object),
    ...(await contentOf(object)),
    ...(LastModified && { modifiedAt: LastModified.getTime() }),
  }
}

/** What is written while versioning is suspended has the version `null`, each time. */
function versionOf({ VersionId, ETag = '' }: GetObjectCommandOutput): string {
  return VersionId === undefined || VersionId === 'null' ? ETag : VersionId
}

/** The ETag is the MD5 of some objects only, so the bytes are read. */
async function contentOf({ Body, ContentLength = 0 }: GetObjectCommandOutput) {
  if (ContentLength > stateSizeLimit) {
    // Ends the connection, or the rest would still have to come.
    if (Body && 'destroy' in Body) Body.destroy()
    return { sizeBytes: ContentLength }
  }
  return stateContentOf((await Body?.transformToByteArray()) ?? new Uint8Array())
}
