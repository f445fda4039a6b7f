import { GetObjectCommand } from '@aws-sdk/client-s3'
import { GetCommand } from '@aws-sdk/lib-dynamodb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DynamoDbLockStore } from '../../../functions/lib/locks/stores/dynamodb-lock-store.ts'
import type { LockInfo } from '../../../functions/lib/locks/stores/lock-info.ts'
import type { FoundLock } from '../../../functions/lib/locks/stores/lock-store.ts'
import { S3LockStore } from '../../../functions/lib/locks/stores/s3-lock-store.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { type LocalStates, startLocalStates } from '../../../infra/local/local-states.ts'
import { conditionOf, type DrivenObject, ready, reason } from '../../contracts/controller-driver.ts'
import { fleetObjects } from '../../contracts/fleet-objects.ts'
import { SimulatedDriver } from '../../contracts/simulated-driver.ts'
import { appliedAt, lockedBy } from '../../contracts/tofu-driver.ts'

const { gitRepository, terraform, ref } = fleetObjects('flux-system')
const { Node, Pod } = builtinResources

const vpc = ref('Terraform', 'vpc')
const key = 'Terraform/flux-system/vpc'
const hour = 3_600_000

const backend = (...lines: readonly string[]) => ({
  backendConfig: {
    customConfiguration: `backend "s3" {
      bucket = "states"
      key = "vpc/terraform.tfstate"
      region = "us-east-1"
      ${lines.join('\n')}
    }`,
  },
})
const table = 'dynamodb_table = "locks"'
const lockfile = 'use_lockfile = true'

let driver: SimulatedDriver
let states: LocalStates
let stores: { items: DynamoDbLockStore; files: S3LockStore }

beforeEach(async () => {
  let opened: LocalStates | undefined
  driver = new SimulatedDriver({ openBackend: (found) => opened?.openBackend(found) })
  const { clock } = driver
  const starting = clock.begin()
  opened = await startLocalStates({ clock, activity: clock, buckets: ['states'], tables: ['locks'] })
  starting()
  states = opened
  stores = {
    items: new DynamoDbLockStore({ client: states.dynamodb, region: 'us-east-1', table: 'locks' }),
    files: new S3LockStore({ client: states.s3, bucket: 'states' }),
  }
})

afterEach(async () => {
  await driver.stop()
  await states.close()
})

/** A cluster with one Terraform that has applied what is at the head of its branch. */
async function settled(spec: object, annotations?: Record<string, string>): Promise<string> {
  const revision = await driver.push()
  driver.simulation.load([gitRepository(driver.url), terraform('vpc', spec, annotations)] as KubernetesObject[])
  await driver.simulation.loaded()
  driver.start()
  return revision
}

async function pushed(): Promise<string> {
  const revision = await driver.push()
  await driver.request(ref('GitRepository', 'fleet'), revision)
  return revision
}

const applying = (object: DrivenObject) => conditionOf(object, 'Ready')?.message === 'Applying'

/** Reads with the clock stopped: what is read takes real time. */
async function still<T>(read: () => Promise<T>): Promise<T> {
  const end = driver.clock.begin()
  try {
    return await read()
  } finally {
    end()
  }
}

const locks = () => still(async () => [...(await stores.files.list()), ...(await stores.items.list())])
const infoOf = ({ record }: FoundLock): LockInfo | undefined => record.info

/** An apply that has taken its lock and does not end by itself. */
async function hanging(spec: object): Promise<string> {
  await settled(spec)
  driver.simulation.faults.hang(key)
  const revision = await pushed()
  await driver.until(vpc, applying)
  await driver.wait(1_000)
  return revision
}

describe('a simulated tofu with states on S3', () => {
  it('keeps the state as an object and its digest as an item, and holds both locks while it works', async () => {
    const revision = await hanging(backend(table, lockfile))
    const [file, item] = await locks()
    expect(file?.address).toMatchObject({ store: 's3', key: 'vpc/terraform.tfstate.tflock' })
    expect(item?.address).toMatchObject({ store: 'dynamodb', lockId: 'states/vpc/terraform.tfstate' })
    expect(file && infoOf(file)).toEqual(item && infoOf(item))
    expect(file && infoOf(file)).toMatchObject({
      ...{ operation: 'OperationTypeApply', user: 'runner', host: 'vpc-tf-runner' },
      ...{ path: 'states/vpc/terraform.tfstate', createdAt: expect.closeTo(driver.now(), -4) },
    })
    expect(file?.takenAt).toBeCloseTo(driver.now(), -4)

    driver.simulation.faults.release(key)
    await driver.until(vpc, appliedAt(revision))
    expect(await locks()).toEqual([])
    const [state, digest] = await still(async () => {
      const object = { Bucket: 'states', Key: 'vpc/terraform.tfstate' }
      const { Body } = await states.s3.send(new GetObjectCommand(object))
      const item = { TableName: 'locks', Key: { LockID: 'states/vpc/terraform.tfstate-md5' } }
      return [await Body?.transformToString(), (await states.dynamodb.send(new GetCommand(item))).Item?.Digest]
    })
    expect(JSON.parse(state ?? '')).toMatchObject({ version: 4, serial: 2 })
    expect(digest).toMatch(/^[0-9a-f]{32}$/)
  })

  it.each([
    ['an item', [table]],
    ['an object', [lockfile]],
    ['both', [table, lockfile]],
  ])('meets the lock of somebody else: %s', async (_what, lines) => {
    await settled(backend(...lines))
    const lock = await driver.simulation.takeLock(key, { who: 'ana@laptop' })
    await pushed()
    const { object } = await driver.until(vpc, lockedBy(lock?.ID ?? ''))
    expect(conditionOf(object, 'Ready')?.message).toContain('Who:       ana@laptop')
    expect((await locks()).map((found) => infoOf(found)?.id)).toEqual(lines.map(() => lock?.ID))
    expect(await driver.simulation.takeLock(key, { who: 'ben@laptop' })).toBeUndefined()
  })

  it('takes back the lock of the first place when the second one is taken', async () => {
    await settled(backend(table))
    await driver.simulation.takeLock(key, { who: 'ana@laptop' })
    await driver.apply(terraform('vpc', backend(table, lockfile)))
    await driver.until(vpc, (object) => conditionOf(object, 'StateLocked')?.status === 'True')
    expect((await locks()).map(({ address }) => address.store)).toEqual(['dynamodb'])
  })

  it('locks nothing without a table and without a lock file', async () => {
    await hanging(backend())
    expect(await locks()).toEqual([])
  })

  it("locks another workspace's state under the prefix of workspaces", async () => {
    await hanging({ ...backend(table, 'workspace_key_prefix = "teams"'), workspace: 'blue' })
    expect((await locks())[0]?.address).toMatchObject({ lockId: 'states/teams/blue/vpc/terraform.tfstate' })
  })
})

describe('faults', () => {
  it('a runner that is killed leaves its lock behind in both places, and nothing says so', async () => {
    await hanging(backend(table, lockfile))
    const before = await locks()
    driver.simulation.killRunner(key, 'fail')
    await driver.wait(10 * 60_000)
    expect(await locks()).toEqual(before)
    const object = await driver.get(vpc)
    expect(object && applying(object)).toBe(true)
    expect(conditionOf(object, 'StateLocked')).toBeUndefined()
    expect(() => driver.simulation.killRunner('Terraform/flux-system/none', 'fail')).toThrow('There is no')
  })

  it('a runner that is killed and comes back in the same pod meets its own lock', async () => {
    await hanging(backend(table))
    const [lock] = await locks()
    driver.simulation.killRunner(key, 'restart')
    await driver.until(vpc, lockedBy((lock && infoOf(lock)?.id) ?? ''))
  })

  it('a node that goes for good takes its pods along; the lock stays and its controller finds it', async () => {
    await hanging(backend(table))
    const [lock] = await locks()
    driver.simulation.loseNode()
    expect(driver.store.list(Node).items.map(({ metadata }) => metadata.name)).toEqual(['node-2'])
    expect(driver.store.list(Pod).items.map(({ spec }) => spec?.nodeName)).toEqual(['node-2'])
    await driver.until(vpc, lockedBy((lock && infoOf(lock)?.id) ?? ''))
  })

  it('a lock can be in the future, or nothing that could be read', async () => {
    await settled(backend(table))
    const created = driver.now() + hour
    await driver.simulation.takeLock(key, { who: 'ana@laptop', createdAt: created })
    const [future] = await locks()
    expect(future && infoOf(future)?.createdAt).toBe(created)
    await driver.apply(terraform('vpc', backend(lockfile)))
    expect(await driver.simulation.takeLock(key, { who: '', written: '{"ID":' })).toBeDefined()
    expect((await locks())[0]?.record).toEqual({ raw: '{"ID":', problem: 'is not JSON' })
  })

  it.each([
    ['S3', backend(table)],
    ['Kubernetes', {}],
  ])('an object can be loaded as a ghost: its runner was killed two hours ago (%s)', async (_where, spec) => {
    const revision = await settled(spec, { 'simulation.lockstep.dev/killed-apply': '2h' })
    await driver.wait(30 * 60_000)
    const object = await driver.get(vpc)
    expect(object && [ready(object), reason(object), applying(object)]).toEqual(['Unknown', 'Progressing', true])
    expect(conditionOf(object, 'Ready')).toMatchObject({ lastTransitionTime: '2026-01-05T07:00:00Z' })
    const [item] = await locks()
    if (item) expect(infoOf(item)?.createdAt).toBe(Date.parse('2026-01-05T07:00:00Z'))
    expect(driver.store.get(Pod, 'flux-system', 'vpc-tf-runner')).toBeUndefined()
    await driver.wait(40 * 60_000)
    const { object: tried } = await driver.until(vpc, (one) => conditionOf(one, 'StateLocked')?.status === 'True')
    expect(conditionOf(tried, 'Ready')?.message).toContain('vpc-tf-runner')
    expect(appliedAt(revision)(tried)).toBe(false)
  })
})
