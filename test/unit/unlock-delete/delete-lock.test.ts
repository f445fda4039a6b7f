import { beforeEach, describe, expect, it } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { joinedLock } from '../../../functions/lib/locks/evidence/joined-lock.ts'
import type { DeleteOutcome, FoundLock, LockAddress } from '../../../functions/lib/locks/stores/lock-store.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { LockPorts } from '../../../functions/lib/step.ts'
import { makeChange } from '../../../functions/lib/unlock/hold/change.ts'
import { writeOnDeployment } from '../../../functions/lib/unlock/hold/deployment-intent.ts'
import { deleteLock } from '../../../functions/unlock-delete/delete-lock.ts'
import { twoPlaces } from '../../fixtures/cluster-now.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryEvents, MemoryLockStore, MemoryStates } from '../../fixtures/memory-locks.ts'
import { applier, controller, database, lock, parent, still, UnlockWorld, unlock, vpc } from '../unlock/unlock-world.ts'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging', region: 'eu-west-1', environment: 'test' }],
})

const raw = (id: string) =>
  JSON.stringify({
    ...{ ID: id, Operation: 'OperationTypeApply', Info: '', Who: 'runner@vpc-tf-runner', Version: '1.12.1' },
    ...{ Created: '2026-03-02T09:00:00Z', Path: 'fleet/vpc.tfstate' },
  })

/** A store that deletes, and says what it has deleted. */
class Store extends MemoryLockStore {
  readonly deleted: string[] = []
  /** Called before a delete is made. */
  meanwhile = () => {}
  /** The answer to the next delete is lost, once it is made. */
  isDeaf = false

  override async deleteIfUnchanged({ address, version }: FoundLock): Promise<DeleteOutcome> {
    this.meanwhile()
    const found = await this.read(address)
    if (!found) return 'gone'
    if (found.version !== version) return 'changed'
    this.release(address)
    this.deleted.push(address.store)
    if (!this.isDeaf) return 'deleted'
    this.isDeaf = false
    throw new Error('the connection broke')
  }
}

const [file, item] = twoPlaces.parts as [LockAddress, LockAddress]
let table: Store
let bucket: Store
let ledger: MemoryLedger
let world: UnlockWorld
let ports: LockPorts

beforeEach(async () => {
  table = new Store('DynamoDB table locks in eu-west-1')
  bucket = new Store('S3 bucket fleet')
  table.take(item, raw(lock))
  bucket.take(file, raw(lock), 1)
  ledger = new MemoryLedger(still)
  world = new UnlockWorld({
    replicas: 1,
    suspend: { [parent]: null, [applier]: null, [vpc]: null, [database]: null },
    tfstate: null,
    planned: false,
    met: '',
  })
  const states = new MemoryStates()
  ports = {
    ...{ clock: still, fleet, ledger, log: silentLog, sliceMs: 1_000, events: new MemoryEvents() },
    clusters: { connect: async () => world.cluster },
    locks: { stores: [table, bucket], states, keeper: states },
    metrics: silentMetrics,
  }
  const intent = world.intent('targeted')
  const found = [...bucket.locks.values(), ...table.locks.values()]
  await ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil: 9_000 })
  await ledger.writeIntent(intent)
  await writeOnDeployment(world.cluster, intent)
  for (const change of intent.changes) await makeChange(world.cluster, change, async () => {})
  const run = { unlock, cluster: 'staging', place: 'p', lock, requestedBy: 'ana', reason: 'r', requestedAt: 1 }
  const judged = { at: 1, rule: 'holder-dead', reasons: [], parts: joinedLock(found).parts }
  await ledger.writeUnlockRun({ ...run, object: vpc, rung: 'targeted', where: twoPlaces, judged, intent }, 0)
})

const said = async () => (await ledger.listAudit(unlock)).map(({ id }) => id)
const whatIs = () => [...table.deleted, ...bucket.deleted]
const stopped = (name: string) => expect.objectContaining({ name })

describe('the delete of a lock', () => {
  it('takes the table’s part first and the lock file last, and says so before each', async () => {
    table.meanwhile = () => expect(bucket.deleted).toEqual([])
    expect(await deleteLock(unlock, ports)).toEqual({ deleted: true })
    expect(whatIs()).toEqual(['dynamodb', 's3'])
    expect((await said()).filter((id) => id.startsWith('delete/'))).toHaveLength(2)
    expect((await ledger.readUnlockRun(unlock))?.value.deletedAt).toBe(1_000)
  })

  it('is not made where a part is another lock by now, nor of the other part', async () => {
    table.take(item, raw('another'))
    await expect(deleteLock(unlock, ports)).rejects.toEqual(stopped('LockChanged'))
    expect(whatIs()).toEqual([])
  })

  it('is not made where somebody takes the lock in between', async () => {
    table.meanwhile = () => table.take(item, raw('another'))
    await expect(deleteLock(unlock, ports)).rejects.toEqual(stopped('LockChanged'))
    expect(table.locks.size).toBe(1)
    expect(bucket.locks.size).toBe(1)
  })

  it('is not made of one part whose other part somebody else has released', async () => {
    table.release(item)
    await expect(deleteLock(unlock, ports)).rejects.toEqual(stopped('LockChanged'))
    expect(bucket.locks.size).toBe(1)
  })

  it('is not needed where both are released', async () => {
    table.release(item)
    bucket.release(file)
    expect(await deleteLock(unlock, ports)).toEqual({ deleted: false })
    expect((await ledger.readUnlockRun(unlock))?.value.deletedAt).toBe(1_000)
  })

  it.each(['table', 'bucket'] as const)('goes on where the answer of the %s was lost', async (which) => {
    const deaf = { table, bucket }[which]
    deaf.isDeaf = true
    await expect(deleteLock(unlock, ports)).rejects.toThrow('the connection broke')
    expect(await deleteLock(unlock, ports)).toEqual({ deleted: true })
    expect(whatIs()).toEqual(['dynamodb', 's3'])
  })

  it('is not made once a person has resumed the object, or somebody restores', async () => {
    world.edit(vpc, 'kubectl', (object) => {
      object.spec = { ...object.spec, suspend: false }
    })
    await expect(deleteLock(unlock, ports)).rejects.toEqual(stopped('ChangedMeanwhile'))
    expect(whatIs()).toEqual([])
  })

  it('is not made once somebody restores', async () => {
    await ledger.beginRestore('staging', unlock)
    await expect(deleteLock(unlock, ports)).rejects.toEqual(stopped('TurnLost'))
    expect(whatIs()).toEqual([])
  })

  it('is not made while a pod of the controller that was stopped is there', async () => {
    const stored = await ledger.readUnlockRun(unlock)
    if (!stored) throw new Error('there is no run')
    await ledger.writeUnlockRun({ ...stored.value, rung: 'quiesce' }, stored.version)
    world.create('Pod/flux-system/tofu-controller-1' as never, {})
    world.edit('Pod/flux-system/tofu-controller-1', 'kubelet', (pod) => {
      pod.metadata.labels = { app: 'tofu-controller' }
    })
    await expect(deleteLock(unlock, ports)).rejects.toEqual(stopped('ChangedMeanwhile'))
    expect(world.get(controller)).toBeDefined()
    expect(whatIs()).toEqual([])
  })
})
