import { createHash, randomUUID } from 'node:crypto'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { S3Client } from '@aws-sdk/client-s3'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { z } from 'zod'
import { systemClock } from '../../functions/lib/clock.ts'
import { type LockPlace, lockPlaceOf } from '../../functions/lib/locks/backends/lock-place.ts'
import { backendOf } from '../../functions/lib/locks/backends/object-backend.ts'
import type { StateEvidence } from '../../functions/lib/locks/evidence.ts'
import { S3StateReader } from '../../functions/lib/locks/states/s3-state-reader.ts'
import { DynamoDbLockStore } from '../../functions/lib/locks/stores/dynamodb-lock-store.ts'
import type { DeleteOutcome, FoundLock, LockAddress, LockStore } from '../../functions/lib/locks/stores/lock-store.ts'
import { S3LockStore } from '../../functions/lib/locks/stores/s3-lock-store.ts'
import { localCredentials, startDynamoDb } from '../../infra/local/dynamodb.ts'
import { startS3 } from '../../infra/local/s3/s3-server.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { LockTable } from '../contracts/lock-table.ts'
import { terraform } from '../fixtures/raw-objects.ts'
import { StateBucket } from './backends/state-bucket.ts'
import { type S3Backend, TofuDirectory } from './backends/tofu-directory.ts'
import { type Guardian, startGuardian } from './cluster/guardian.ts'
import { startMoto } from './moto/moto-server.ts'

/** The real OpenTofu with its S3 backend, against what stands for S3 and DynamoDB. */

interface Stores {
  readonly s3: string
  readonly dynamodb: string
  close(): Promise<void>
}

async function startStandIns(): Promise<Stores> {
  const s3 = await startS3({ clock: systemClock })
  const dynamodb = await startDynamoDb({ activity: noActivity, tables: ['ledger'] })
  const close = async () => void (await Promise.all([s3.close(), dynamodb.close()]))
  return { s3: s3.url, dynamodb: dynamodb.url, close }
}

async function startMotoStores(): Promise<Stores> {
  const { url, close } = await startMoto({ python: inject('python') })
  return { s3: url, dynamodb: url, close }
}

const kinds = {
  'an item (dynamodb_table)': { lockfile: false, item: true },
  'an object (use_lockfile)': { lockfile: true, item: false },
  'an item and an object': { lockfile: true, item: true },
} as const
type Kind = (typeof kinds)[keyof typeof kinds]

const plan = ['plan', '-input=false', '-no-color']
const apply = ['apply', '-auto-approve', '-input=false', '-no-color']

/** As OpenTofu writes it: this order of fields, and nothing else. */
const lockRecord = z.strictObject({
  // In the form of a UUID, with any bits.
  ID: z.guid(),
  Operation: z.string(),
  Info: z.literal(''),
  Who: z.string().regex(/^[^@]*@[^@]*$/),
  Version: z.string(),
  Created: z.iso.datetime(),
  Path: z.string(),
})

/** One state with its bucket, its lock table and a directory to run tofu in; and with Lockstep's eyes on them. */
class Project {
  readonly lockstep: LockstepEyes
  readonly bucket: StateBucket
  readonly table: LockTable
  readonly tofu: TofuDirectory
  readonly key = 'app/terraform.tfstate'
  readonly lockId: string
  readonly kind: Kind

  constructor(stores: Stores, kind: Kind, guardian: Guardian) {
    const name = `state-${randomUUID()}`
    this.kind = kind
    this.lockId = `${name}/${this.key}`
    this.bucket = new StateBucket(stores.s3, name)
    this.table = new LockTable(stores.dynamodb, name)
    const { s3, dynamodb } = stores
    const { lockfile, item } = kind
    const backend = { bucket: name, key: this.key, endpoints: { s3, dynamodb }, lockfile, ...(item && { table: name }) }
    this.lockstep = new LockstepEyes(backend)
    this.tofu = new TofuDirectory({ binary: inject('upstream').binaries.tofu, guardian, name, backend })
  }

  /** The configuration applied once, and no lock left. */
  async begin(): Promise<void> {
    await Promise.all([this.bucket.create(), this.table.create(), this.tofu.write()])
    await this.tofu.succeed('init', '-input=false', '-no-color')
    await this.tofu.succeed(...apply)
    expect(await this.locks()).toEqual({})
  }

  /** The lock records as they are stored. */
  async locks(): Promise<{ item?: string; object?: { text: string; etag: string } }> {
    const item = await this.table.read(this.lockId)
    const object = await this.bucket.read(`${this.key}.tflock`)
    return { ...(item?.info !== undefined && { item: item.info }), ...(object && { object }) }
  }

  /** A lock whose holder was killed: its records as they are stored, and its ID. */
  async ghost(n: number) {
    const killed = await this.tofu.startApply(n)
    const held = await this.locks()
    await killed.stop('SIGKILL')
    expect((await killed.exited).signal).toBe('SIGKILL')
    const record = lockRecord.parse(JSON.parse(held.item ?? held.object?.text ?? ''))
    return { held, record }
  }

  close(): void {
    this.bucket.close()
    this.table.close()
    this.lockstep.close()
  }
}

/** What Lockstep makes of a Terraform object that has the same backend. */
class LockstepEyes {
  readonly #backend: S3Backend
  readonly #s3: S3Client
  readonly #dynamodb: DynamoDBClient
  readonly #stores: readonly LockStore[]

  constructor(backend: S3Backend) {
    const { bucket, endpoints, table } = backend
    const access = { region: 'us-east-1', credentials: localCredentials }
    this.#backend = backend
    this.#s3 = new S3Client({ ...access, endpoint: endpoints.s3, forcePathStyle: true })
    this.#dynamodb = new DynamoDBClient({ ...access, endpoint: endpoints.dynamodb })
    const client = DynamoDBDocumentClient.from(this.#dynamodb)
    this.#stores = [
      new S3LockStore({ client: this.#s3, bucket }),
      ...(table === undefined ? [] : [new DynamoDbLockStore({ client, region: access.region, table })]),
    ]
  }

  /** Where the lock and the state of the object are. */
  async place(workspace = 'default'): Promise<LockPlace> {
    const { bucket, key, table, lockfile } = this.#backend
    const item = table === undefined ? '' : `dynamodb_table = "${table}"`
    const customConfiguration = `backend "s3" {
      bucket       = "${bucket}"
      key          = "${key}"
      region       = "us-east-1"
      use_lockfile = ${lockfile}
      ${item}
    }`
    const object = terraform('app', { spec: { backendConfig: { customConfiguration }, workspace } })
    const backend = await backendOf(object, async () => undefined)
    if (backend.type !== 's3') throw new Error(JSON.stringify(backend))
    return lockPlaceOf(backend, 'staging')
  }

  async locks(): Promise<FoundLock[]> {
    const { parts } = await this.place()
    const found = await Promise.all(parts.map((address) => this.#storeOf(address).read(address)))
    return found.filter((lock) => lock !== undefined)
  }

  async break(lock: FoundLock): Promise<DeleteOutcome> {
    return this.#storeOf(lock.address).deleteIfUnchanged(lock)
  }

  async state(workspace?: string): Promise<StateEvidence> {
    return new S3StateReader(() => this.#s3).read((await this.place(workspace)).state)
  }

  close(): void {
    this.#s3.destroy()
    this.#dynamodb.destroy()
  }

  #storeOf({ store }: LockAddress): LockStore {
    const [bucket, table] = this.#stores
    const found = store === 's3' ? bucket : table
    if (!found) throw new Error(`there is no store for ${store}`)
    return found
  }
}

const implementations = { 'the stand-ins': startStandIns, moto: startMotoStores }

describe.each(Object.entries(implementations))('OpenTofu on %s', (_name, start) => {
  let stores: Stores
  let guardian: Guardian

  beforeAll(async () => {
    guardian = await startGuardian()
    stores = await start()
  })
  afterAll(async () => {
    await guardian.end()
    await stores.close()
  })

  const projectTest = (title: string, kind: Kind, run: (project: Project) => Promise<void>) =>
    // moto's server loses an answer now and then. OpenTofu asks again, and meets the lock that it has just taken.
    test.concurrent(title, { retry: 2 }, async () => {
      const project = new Project(stores, kind, guardian)
      try {
        await project.begin()
        await run(project)
      } finally {
        project.close()
      }
    })

  for (const [what, kind] of Object.entries(kinds)) {
    projectTest(`holds ${what} as its lock while it applies, and releases it`, kind, async (project) => {
      const applying = await project.tofu.startApply(2)
      const { item, object } = await project.locks()
      expect([item !== undefined, object !== undefined]).toEqual([kind.item, kind.lockfile])
      for (const text of [item, object?.text].filter((each) => each !== undefined)) {
        const record = lockRecord.parse(JSON.parse(text))
        expect(record).toMatchObject({ Operation: 'OperationTypeApply', Path: project.lockId })
        expect(Object.keys(JSON.parse(text))).toEqual(Object.keys(lockRecord.shape))
      }
      const found = await project.lockstep.locks()
      const texts = [object?.text, item].filter((each) => each !== undefined)
      expect(found.map(({ record }) => record.raw)).toEqual(texts)
      for (const { record } of found) expect(record.info?.createdAt).toBeGreaterThan(Date.now() - 600_000)
      await project.tofu.release()
      expect(await applying.exited).toMatchObject({ code: 0 })
      expect(await project.locks()).toEqual({})
    })

    projectTest(`leaves ${what} when it is killed, is stopped by it, and forces it open`, kind, async (project) => {
      const { held, record } = await project.ghost(2)
      expect(await project.locks()).toEqual(held)
      const stopped = await project.tofu.run(...plan)
      expect(stopped.code).toBe(1)
      expect(stopped.output).toContain('Error acquiring the state lock')
      expect(stopped.output).toContain(record.ID)
      expect(await project.locks()).toEqual(held)

      await project.tofu.succeed('force-unlock', '-force', '-no-color', record.ID)
      expect(await project.locks()).toEqual({})
      await project.tofu.succeed(...plan)
    })
  }

  projectTest(
    'goes on after a ghost was broken by what was read of it',
    kinds['an item and an object'],
    async (one) => {
      const { held } = await one.ghost(2)
      const found = await one.lockstep.locks()
      expect(found.map(({ address }) => address.store)).toEqual(['s3', 'dynamodb'])
      for (const lock of found) expect(await one.lockstep.break({ ...lock, version: '"0123"' })).toBe('changed')
      expect(await one.locks()).toEqual(held)

      const before = await one.lockstep.state()
      for (const lock of found.reverse()) expect(await one.lockstep.break(lock)).toBe('deleted')
      expect(await one.locks()).toEqual({})
      expect(await one.lockstep.state()).toEqual(before)
      await one.tofu.succeed(...apply)
      const { text = '' } = (await one.bucket.read(one.key)) ?? {}
      const digest = createHash('md5').update(text).digest('hex')
      expect(await one.lockstep.state()).toMatchObject({ exists: true, md5: digest, serial: expect.any(Number) })
      expect(await one.table.read(`${one.lockId}-md5`)).toMatchObject({ digest })
    },
  )

  projectTest('keeps the states of its workspaces apart', kinds['an object (use_lockfile)'], async (project) => {
    await project.tofu.succeed('workspace', 'new', '-no-color', 'staging')
    await project.tofu.succeed(...plan)
    expect((await project.tofu.run('workspace', 'list', '-no-color')).output).toMatch(/default\s+\* staging/)
    expect(await project.bucket.read(`env:/staging/${project.key}`)).toBeDefined()
    expect(await project.lockstep.state('staging')).toMatchObject({ exists: true })
    expect(await project.lockstep.state('production')).toEqual({ exists: false })
  })
})
