import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { type StateAddress, stateText } from '../backends/lock-place.ts'
import type { StateEvidence } from '../evidence.ts'
import { awsFailure } from '../stores/aws-failure.ts'
import { isAbsent, stateIn } from './s3-state.ts'
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
      return await stateIn(await this.clientFor(region).send(new GetObjectCommand({ Bucket: bucket, Key: key })))
    } catch (error) {
      if (isAbsent(error)) return { exists: false }
      // Without s3:ListBucket S3 refuses what does not exist, too.
      const on = `arn:aws:s3:::${bucket}/${key} and s3:ListBucket on arn:aws:s3:::${bucket}`
      throw awsFailure({ store: stateText(address), permission: 's3:GetObject', on }, error)
    }
  }
}
