import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { S3Client } from '@aws-sdk/client-s3'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { systemClock } from './clock.ts'
import type { Fleet } from './fleet.ts'
import type { LockAccess } from './locks/scan/lock-access.ts'
import { S3StateReader } from './locks/states/s3-state-reader.ts'
import { DynamoDbLockStore } from './locks/stores/dynamodb-lock-store.ts'
import { S3LockStore } from './locks/stores/s3-lock-store.ts'
import { limitsForContent } from './request-limits.ts'
import { S3StateKeeper } from './unlock/state/s3-state-keeper.ts'

/** The fleet's tables and buckets on AWS, each through a client of its region. */
export function fleetLocks({ locks }: Fleet): LockAccess {
  const s3 = perRegion((region) => new S3Client({ region, ...limitsForContent }))
  const dynamodb = perRegion((region) =>
    DynamoDBDocumentClient.from(new DynamoDBClient({ region, ...limitsForContent })),
  )
  return {
    stores: [
      ...locks.dynamodb.map(({ table, region }) => new DynamoDbLockStore({ client: dynamodb(region), region, table })),
      ...locks.s3.map(
        ({ bucket, region, prefixes }) =>
          new S3LockStore({ client: s3(region), bucket, ...(prefixes && { prefixes }) }),
      ),
    ],
    states: new S3StateReader(s3),
    keeper: new S3StateKeeper({ clientFor: s3, clock: systemClock }),
  }
}

function perRegion<Client>(make: (region: string) => Client): (region: string) => Client {
  const made = new Map<string, Client>()
  return (region) => {
    const client = made.get(region) ?? make(region)
    made.set(region, client)
    return client
  }
}
