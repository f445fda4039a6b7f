import { type GetObjectCommandOutput, S3ServiceException } from '@aws-sdk/client-s3'
import type { StateEvidence } from '../evidence.ts'
import { type StateContent, stateContentOf, stateSizeLimit } from './state-content.ts'

/** What an object with a state in it tells. Its body is read, or thrown away where it is too large. */
export async function stateIn(object: GetObjectCommandOutput): Promise<Extract<StateEvidence, { exists: true }>> {
  const { VersionId, ETag = '', LastModified } = object
  return {
    exists: true,
    version: isKept(VersionId) ? VersionId : ETag,
    ...(await contentOf(object)),
    ...(LastModified && { modifiedAt: LastModified.getTime() }),
  }
}

/** Whether a version stays when the object is written again. `null` is written again and again without versioning. */
export function isKept(versionId: string | undefined): versionId is string {
  return versionId !== undefined && versionId !== 'null'
}

/** The object is not there, or a delete marker hides it. A bucket that is not there is something else. */
export function isAbsent(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NoSuchKey'
}

/** The ETag is the MD5 of some objects only, so the bytes are read. */
async function contentOf({ Body, ContentLength = 0 }: GetObjectCommandOutput): Promise<StateContent> {
  if (ContentLength > stateSizeLimit) {
    // Ends the connection, or the rest would still have to come.
    if (Body && 'destroy' in Body) Body.destroy()
    return { sizeBytes: ContentLength }
  }
  return stateContentOf((await Body?.transformToByteArray()) ?? new Uint8Array())
}
