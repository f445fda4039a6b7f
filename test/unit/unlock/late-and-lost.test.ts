import { beforeEach, expect, it } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { type Cluster, ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import { joinedLock } from '../../../functions/lib/locks/evidence/joined-lock.ts'
import type { DeleteOutcome, FoundLock, LockAddress } from '../../../functions/lib/locks/stores/lock-store.ts'
import { LockStoreError } from '../../../functions/lib/locks/stores/lock-store.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { LockPorts } from '../../../functions/lib/step.ts'
import { writeOnDeployment } from '../../../functions/lib/unlock/hold/deployment-intent.ts'
import { conclude } from '../../../functions/unlock-conclude/conclude.ts'
import { deleteLock } from '../../../functions/unlock-delete/delete-lock.ts'
import { fence } from '../../../functions/unlock-fence/fence.ts'
import { putBack } from '../../../functions/unlock-put-back/put-back.ts'
import { restoreEnded, sweep } from '../../../functions/unlock-watch/unlock-watch.ts'
import { twoPlaces } from '../../fixtures/cluster-now.ts'
import { deadFor } from '../../fixtures/lock-evidence.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryEvents, MemoryLockStore, MemoryStates } from '../../fixtures/memory-locks.ts'
import { observationOf } from '../../fixtures/observations.ts'
import {
  applier,
  controller,
  database,
  lock,
  parent,
  type Rung,
  still,
  storedPlan,
  UnlockWorld,
  unlock,
  vpc,
} from './unlock-world.ts'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging', region: 'eu-west-1', environment: 'test' }],
})
const raw = JSON.stringify({
  ...{ ID: lock, Operation: 'OperationTypeApply', Info: '', Who: 'runner@vpc-tf-runner', Version: '1.12.1' },
  ...{ Created: '2026-03-02T09:00:00Z', Path: 'fleet/vpc.tfstate' },
})
class Store extends MemoryLockStore {
  override async deleteIfUnchanged({ address }: FoundLock): Promise<DeleteOutcome> {
    this.release(address)
    return 'deleted'
  }
}
const [file, item] = twoPlaces.parts as [LockAddress, LockAddress]
const runner = 'Pod/flux-system/vpc-tf-runner'

let table: Store
let bucket: Store
let ledger: MemoryLedger
let world: UnlockWorld
let ports: LockPorts
let time: number
let states: MemoryStates
let cluster: Cluster
const clock = {
  now: () => time,
  after: (ms: number, fire: () => void) => {
    time += ms
    queueMicrotask(fire)
    return () => {}
  },
}

function start(vpcSuspended = false): void {
  time = 1_000
  table = new Store('DynamoDB table locks in eu-west-1')
  bucket = new Store('S3 bucket fleet')
  table.take(item, raw)
  bucket.take(file, raw, 1)
  ledger = new MemoryLedger(clock)
  world = new UnlockWorld({
    replicas: 2,
    suspend: { [parent]: null, [applier]: null, [vpc]: vpcSuspended ? true : null, [database]: null },
    tfstate: null,
    planned: true,
    met: '',
  })
  states = new MemoryStates()
  cluster = world.cluster
  ports = {
    ...{ clock, fleet, ledger, log: silentLog, sliceMs: 3_600_000, events: new MemoryEvents() },
    clusters: { connect: async () => cluster },
    locks: { stores: [table, bucket], states, keeper: states },
    metrics: silentMetrics,
  }
}
beforeEach(() => start())

async function begun(rung: Exclude<Rung, 'controller-assisted'>): Promise<void> {
  const intent = world.intent(rung)
  await ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil: time + 1_800_000 })
  if (intent.changes.length > 0) {
    await ledger.writeIntent(intent)
    await writeOnDeployment(world.cluster, intent)
  }
  const planned = { hanging: [], drainMs: 600_000, stopMs: 300_000, runnerMs: 90_000, planMs: 900_000 }
  const asked = { unlock, cluster: 'staging', place: 'p', lock, requestedBy: 'ana', reason: 'r', requestedAt: 1 }
  const found = [...bucket.locks.values(), ...table.locks.values()]
  const judged = { at: 1, rule: 'holder-dead', reasons: [], parts: joinedLock(found).parts }
  const run = { ...asked, object: vpc, rung, fence: planned, judged, where: twoPlaces, locked: intent.locked }
  await ledger.writeUnlockRun({ ...run, ...(intent.changes.length > 0 && { intent }) }, 0)
  const stale = { sight: deadFor(10), pod: 'gone', record: { id: lock } } as const
  await ledger.writeObservation(observationOf(stale, { key: 'p', cluster: 'staging' }))
}

const isSuspended = (key: string) => world.get(key)?.spec.suspend === true
function says(key: string, status: string, reason: string): void {
  world.edit(key, 'tofu-controller', (object) => {
    object.status = { ...object.status, conditions: [{ type: 'Ready', status, reason }] }
  })
}
function set(key: string, field: string, value: unknown): void {
  world.edit(key, 'kubectl', (object) => {
    object.spec = { ...object.spec, [field]: value }
  })
}

it('a first try whose patch hung does nothing once the unlock has ended', async () => {
  await begun('targeted')
  // The zombie: its patch of vpc is on its way until it is let go.
  let arrive = () => {}
  const held = new Promise<void>((resolve) => {
    arrive = resolve
  })
  let sent = () => {}
  const isSent = new Promise<void>((resolve) => {
    sent = resolve
  })
  let isFirst = true
  const real = world.cluster
  cluster = Object.create(real, {
    patch: {
      value: async (...args: Parameters<Cluster['patch']>) => {
        if (isFirst) {
          isFirst = false
          sent()
          await held
        }
        return real.patch(...args)
      },
    },
  })
  const zombie = fence(unlock, 'suspend', ports)
  await isSent
  // The second try, and all that follows.
  expect(await fence(unlock, 'suspend', ports)).toBe(true)
  expect(isSuspended(vpc)).toBe(true)
  await deleteLock(unlock, ports)
  await putBack(unlock, ports)
  expect((await conclude(unlock, undefined, ports)).outcome).toBe('unlocked')
  expect(isSuspended(vpc)).toBe(false)
  arrive()
  await zombie.catch(() => {})
  expect((await ledger.readUnlock('staging'))?.intent).toBeUndefined()
  await sweep('staging', ports)
  expect(isSuspended(vpc)).toBe(false)
})

it('an unlock that has ended gets no turn again', async () => {
  await begun('targeted')
  await ledger.closeIntent('staging', unlock)
  await ledger.endUnlock('staging', unlock)
  expect(await ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil: time + 1 })).toBe(false)
})

it('replicas return although the state cannot be read', async () => {
  await begun('quiesce')
  await fence(unlock, 'suspend', ports)
  await fence(unlock, 'stop', ports)
  await deleteLock(unlock, ports)
  states.read = async () => {
    throw new LockStoreError('LockStoreUnavailable', 'S3', 'is away.', 'Wait.')
  }
  for (let tries = 0; tries < 5; tries++) await putBack(unlock, ports).catch(() => {})
  expect(world.get(controller)?.spec.replicas).toBe(2)
  expect(isSuspended(database)).toBe(false)
})

it('replicas return although the status of the object is refused', async () => {
  await begun('quiesce')
  await fence(unlock, 'suspend', ports)
  await fence(unlock, 'stop', ports)
  await deleteLock(unlock, ports)
  const real = world.cluster
  cluster = Object.create(real, {
    patch: {
      value: async (...[ref, patch, options]: Parameters<Cluster['patch']>) => {
        if (options?.subresource === 'status')
          throw new ClusterError('ClusterForbidden', 'staging', 403, 'No.', 'Grant.')
        return real.patch(ref, patch, options)
      },
    },
  })
  for (let tries = 0; tries < 5; tries++) await putBack(unlock, ports).catch(() => {})
  expect(world.get(controller)?.spec.replicas).toBe(2)
  expect(isSuspended(database)).toBe(false)
})

it('the pod of a run that a person or a rollout has let go is not deleted', async () => {
  await begun('targeted')
  await fence(unlock, 'suspend', ports)
  await fence(unlock, 'drain', ports)
  // Somebody releases the lock by hand, and resumes the object: it applies, with a lock of its own.
  table.release(item)
  bucket.release(file)
  set(vpc, 'suspend', false)
  says(vpc, 'Unknown', 'Progressing')
  world.create(runner, {})
  world.edit(runner, 'kubelet', (object) => {
    object.status = { phase: 'Running' }
  })
  await fence(unlock, 'runner', ports).catch(() => {})
  expect(world.get(runner)).toBeDefined()
})

it('a lock is not deleted while the controller works on an object that was suspended before', async () => {
  start(true)
  await begun('targeted')
  await fence(unlock, 'suspend', ports)
  await fence(unlock, 'drain', ports)
  set(vpc, 'suspend', false) // the rollout opens its gate
  says(vpc, 'Unknown', 'Progressing')
  expect(world.works()).toBe(true)
  await expect(deleteLock(unlock, ports)).rejects.toThrow()
  expect(table.locks.size).toBe(1)
})

it('no plan of before is left once the lock is deleted, whenever the execution dies', async () => {
  start(true)
  await begun('targeted')
  await deleteLock(unlock, ports)
  // Aborted here.
  await restoreEnded(unlock, 'aborted', ports)
  time += 3_600_000
  await sweep('staging', ports)
  set(vpc, 'suspend', false)
  expect(world.get(vpc)?.status).not.toMatchObject({ plan: { pending: storedPlan } })
})

it('the controller is not stopped under another object that a person has resumed', async () => {
  await begun('quiesce')
  await fence(unlock, 'suspend', ports)
  expect(await fence(unlock, 'drain', ports)).toBe(true)
  // The first try of StopController fails as the API server throttles; a minute later:
  set(database, 'suspend', false)
  says(database, 'Unknown', 'Progressing')
  await fence(unlock, 'stop', ports).catch(() => {})
  expect(world.get(controller)?.spec.replicas).toBe(2)
})

it('an unlock that was aborted while the cluster was away ends, and its lock is tried again', async () => {
  await ledger.writeUnlockRun(
    { unlock, cluster: 'staging', place: 'p', lock, requestedBy: 'ana', reason: 'r', requestedAt: 1 },
    0,
  )
  const away = {
    connect: async () => Promise.reject(new ClusterError('ClusterUnavailable', 'staging', 0, 'Away.', 'Wait.')),
  }
  for (let tries = 0; tries < 3; tries++)
    await restoreEnded(unlock, 'aborted', { ...ports, clusters: away }).catch(() => {})
  // It is back, and swept for hours.
  for (let sweeps = 0; sweeps < 10; sweeps++) {
    time += 3_600_000
    await sweep('staging', ports)
  }
  expect((await ledger.readUnlockRun(unlock))?.value.outcome).toBeDefined()
})
void still
