import { gunzipSync, gzipSync } from 'node:zlib'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { systemClock } from '../../functions/lib/clock.ts'
import type { Cluster } from '../../functions/lib/kubernetes/cluster.ts'
import type { SecretStateAddress } from '../../functions/lib/locks/backends/lock-place.ts'
import { S3StateReader } from '../../functions/lib/locks/states/s3-state-reader.ts'
import { SecretStateReader } from '../../functions/lib/locks/states/secret-state-reader.ts'
import { S3StateKeeper } from '../../functions/lib/unlock/state/s3-state-keeper.ts'
import { SecretStateKeeper } from '../../functions/lib/unlock/state/secret-state-keeper.ts'
import { localCredentials } from '../../infra/local/dynamodb.ts'
import type { StateKeeperUnderTest } from './state-keeper.contract.ts'

/** The states of that versioning: never kept, always, or no more. */
export type Versioning = 'never' | 'enabled' | 'suspended'

/** A bucket of states at an endpoint, through the client of @aws-sdk. `tick`: its clock comes to the next second. */
export async function stateBucketAt(
  { url, tick }: { url: string; tick: () => Promise<void> },
  versioning: Versioning,
): Promise<StateKeeperUnderTest> {
  const region = 'us-east-1'
  const clientOf = () =>
    new S3Client({ endpoint: url, forcePathStyle: true, region, credentials: localCredentials, maxAttempts: 1 })
  const client = clientOf()
  const refused = clientOf()
  const $metadata = { httpStatusCode: 403 }
  // Neither moto nor the stand-in refuses anybody.
  const refuse = () => async () => {
    throw new S3ServiceException({ name: 'AccessDenied', $fault: 'client', $metadata, message: 'a secret' })
  }
  refused.middlewareStack.add(refuse, { step: 'initialize' })
  const Bucket = `states-${versioning}`
  await client.send(new CreateBucketCommand({ Bucket }))
  const statuses = { never: [], enabled: ['Enabled'], suspended: ['Enabled', 'Suspended'] } as const
  for (const Status of statuses[versioning]) {
    await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }))
  }
  const keyOf = (name: string) => `app/${name}/terraform.tfstate`
  const put = async (Key: string, text: string) => {
    await client.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.from(text) }))
  }
  const keeperWith = (s3: S3Client) => new S3StateKeeper({ clientFor: () => s3, clock: systemClock, pageSize: 3 })
  return {
    keeper: keeperWith(client),
    denied: keeperWith(refused),
    reader: new S3StateReader(() => client),
    keepsVersions: versioning === 'enabled',
    keepsDeletes: versioning !== 'never',
    tick,
    oddName: 'env:/größe und/a+b%2F&c=(d)\'"/🔒',
    address: (name) => ({ store: 's3', region, bucket: Bucket, key: keyOf(name) }),
    write: (name, state) => put(keyOf(name), state),
    remove: async (name) => {
      await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(name) }))
    },
    clutter: async (name) => {
      for (const suffix of ['.tflock', '2', '/deeper']) await put(`${keyOf(name)}${suffix}`, 'x')
      await client.send(new DeleteObjectCommand({ Bucket, Key: `${keyOf(name)}.tflock` }))
    },
    kept: async (backup) => {
      if (backup.kind !== 's3-version' && backup.kind !== 's3-copy') return undefined
      const at =
        backup.kind === 's3-version' ? { Key: backup.key, VersionId: backup.versionId } : { Key: backup.copyKey }
      return (await client.send(new GetObjectCommand({ Bucket: backup.bucket, ...at }))).Body?.transformToString()
    },
    close: async () => {
      client.destroy()
      refused.destroy()
    },
  }
}

/** What a test needs of a cluster beside Lockstep's own port. */
export interface SecretWrites {
  /** As OpenTofu: data and labels of a new Secret, or data over those of one that is there. */
  write(at: SecretStateAddress, data: Record<string, string>): Promise<void>
  remove(at: SecretStateAddress): Promise<void>
}

/** The states of one namespace, through Lockstep's client. `denied` reads the same cluster, and is refused. */
export function stateSecretsIn(
  { cluster, denied, namespace }: { cluster: Cluster; denied: Cluster; namespace: string },
  secrets: SecretWrites,
): Omit<StateKeeperUnderTest, 'close'> {
  const address = (name: string) =>
    ({ store: 'kubernetes', cluster: cluster.name, namespace, name: `tfstate-default-${name}` }) as const
  const write = (name: string, state: string) =>
    secrets.write(address(name), { tfstate: gzipSync(state).toString('base64') })
  return {
    ...{ keeper: new SecretStateKeeper(cluster, systemClock), denied: new SecretStateKeeper(denied, systemClock) },
    ...{
      reader: new SecretStateReader(cluster),
      keepsVersions: false,
      keepsDeletes: false,
      oddName: 'a.b-0',
      address,
      write,
    },
    tick: async () => {},
    remove: (name) => secrets.remove(address(name)),
    clutter: (name) => write(`${name}-other`, 'x'),
    kept: async (backup) => {
      if (backup.kind !== 'secret-copy') return undefined
      const secret = await cluster.get({ kind: 'Secret', namespace: backup.namespace, name: backup.copy })
      const { data } = secret as { data: { tfstate: string } }
      return gunzipSync(Buffer.from(data.tfstate, 'base64')).toString()
    },
  }
}
