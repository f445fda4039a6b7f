import { createHash } from 'node:crypto'
import { systemClock } from '../../../functions/lib/clock.ts'
import type { ObjectRef } from '../../../functions/lib/kubernetes/cluster.ts'
import { localCredentials, startDynamoDb } from '../../../infra/local/dynamodb.ts'
import { startS3 } from '../../../infra/local/s3/s3-server.ts'
import { noActivity } from '../../../infra/local/virtual-clock.ts'
import { LockTable } from '../../contracts/lock-table.ts'
import type { DrivenState } from '../../contracts/tofu-driver.ts'
import { StateBucket } from '../backends/state-bucket.ts'
import type { RealTofuDriver } from '../tofu/real-tofu-driver.ts'
import { readState } from '../tofu/state-file.ts'
import { bucket, table } from './lockstep.ts'

/** The ways to keep a state whose locks Lockstep knows. */
export const backends = ['kubernetes', 's3 with a lock file', 's3 with an item'] as const
export type Backend = (typeof backends)[number]

/** S3 and DynamoDB, with the bucket and the table that runners keep their states and locks in. */
export class StateStores {
  /** By which the SDKs and OpenTofu find them. */
  readonly env: Readonly<Record<string, string>>
  readonly #bucket: StateBucket
  readonly #table: LockTable
  readonly #close: () => Promise<void>

  private constructor(s3: string, dynamodb: string, close: () => Promise<void>) {
    this.env = {
      ...{ AWS_ENDPOINT_URL_S3: s3, AWS_ENDPOINT_URL_DYNAMODB: dynamodb, AWS_REGION: 'us-east-1' },
      ...{ AWS_ACCESS_KEY_ID: localCredentials.accessKeyId, AWS_SECRET_ACCESS_KEY: localCredentials.secretAccessKey },
    }
    this.#bucket = new StateBucket(s3, bucket)
    this.#table = new LockTable(dynamodb, table)
    this.#close = close
  }

  static async start(): Promise<StateStores> {
    const [s3, dynamodb] = await Promise.all([startS3({ clock: systemClock }), startDynamoDb({ activity: noActivity })])
    const close = async () => void (await Promise.all([s3.close(), dynamodb.close()]))
    const stores = new StateStores(s3.url, dynamodb.url, close)
    await Promise.all([stores.#bucket.create(), stores.#table.create()])
    return stores
  }

  /** For `spec` of an object; empty for the default of its driver, which is the cluster. */
  specOf(backend: Backend, ref: ObjectRef): object {
    if (backend === 'kubernetes') return {}
    const lock = backend === 's3 with an item' ? `dynamodb_table = "${table}"` : 'use_lockfile = true'
    const customConfiguration = `backend "s3" {
      bucket = "${bucket}"
      key    = "${keyOf(ref)}"
      region = "us-east-1"
      ${lock}
      use_path_style              = true
      skip_credentials_validation = true
      skip_metadata_api_check     = true
      skip_requesting_account_id  = true
    }`
    return { backendConfig: { customConfiguration } }
  }

  /** The record of the lock as it is stored; undefined when nobody holds it. */
  async lock(backend: Backend, ref: ObjectRef, driver: RealTofuDriver): Promise<string | undefined> {
    if (backend === 'kubernetes') {
      const record = await driver.lock(ref)
      return record && JSON.stringify(record)
    }
    if (backend === 's3 with an item') return (await this.#table.read(`${bucket}/${keyOf(ref)}`))?.info
    return (await this.#bucket.read(`${keyOf(ref)}.tflock`))?.text
  }

  /** As a person does who deletes the item of a lock table in its console. */
  deleteItem(ref: ObjectRef): Promise<void> {
    return this.#table.delete(`${bucket}/${keyOf(ref)}`)
  }

  /** The state, and whether all that is kept of it belongs together. Throws where its digest is another one's. */
  async state(backend: Backend, ref: ObjectRef, driver: RealTofuDriver): Promise<DrivenState | undefined> {
    if (backend === 'kubernetes') return driver.state(ref)
    const found = await this.#bucket.read(keyOf(ref))
    if (!found) return undefined
    const item = await this.#table.read(`${bucket}/${keyOf(ref)}-md5`)
    const digest = createHash('md5').update(found.text).digest('hex')
    if (item && item.digest !== digest) throw new Error(`the table has digest ${item.digest}, the state ${digest}`)
    return readState(found.text)
  }

  async close(): Promise<void> {
    this.#bucket.close()
    this.#table.close()
    await this.#close()
  }
}

function keyOf({ namespace, name }: ObjectRef): string {
  return `${namespace}/${name}/terraform.tfstate`
}
