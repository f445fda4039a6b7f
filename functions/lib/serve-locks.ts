import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { S3Client } from '@aws-sdk/client-s3'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { systemClock } from './clock.ts'
import { clustersFromEnvironment } from './clusters-from-environment.ts'
import type { Fleet } from './fleet.ts'
import type { LockAccess } from './locks/scan/lock-access.ts'
import { S3StateReader } from './locks/states/s3-state-reader.ts'
import { DynamoDbLockStore } from './locks/stores/dynamodb-lock-store.ts'
import { S3LockStore } from './locks/stores/s3-lock-store.ts'
import { portsFromEnvironment } from './serve.ts'
import { bindStep, type Invocation, type LockPorts, type Step } from './step.ts'
import { S3StateKeeper } from './unlock/state/s3-state-keeper.ts'

/** Lambda ends a function after 15 minutes; what is left is for the slice's last requests. */
const sliceMs = 10 * 60_000

/** A request that hangs is given up and tried again. */
const requestHandler = { connectionTimeout: 2_000, requestTimeout: 10_000, throwOnRequestTimeout: true }

/**
 * Makes a Lambda handler of a step that looks at locks, as `serveClusters` does for those that talk to clusters alone.
 */
export function serveLocks<Input, Output>(step: Step<Input, Output, LockPorts>): Invocation {
  let ports: LockPorts | undefined
  return bindStep(step, () => {
    if (!ports) {
      const base = portsFromEnvironment(step.name)
      ports = {
        ...base,
        clusters: clustersFromEnvironment(base, step.name),
        sliceMs,
        locks: fleetLocks(base.fleet),
      }
    }
    return ports
  })
}

/** The fleet's tables and buckets on AWS, each through a client of its region. */
export function fleetLocks({ locks }: Fleet): LockAccess {
  const s3 = perRegion((region) => new S3Client({ region, requestHandler }))
  const dynamodb = perRegion((region) => DynamoDBDocumentClient.from(new DynamoDBClient({ region, requestHandler })))
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
