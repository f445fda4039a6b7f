import { beforeEach, describe, expect, it } from 'vitest'
import { parseFleet } from '../../../functions/lib/fleet.ts'
import { joinedLock } from '../../../functions/lib/locks/evidence/joined-lock.ts'
import { silentLog } from '../../../functions/lib/log.ts'
import { silentMetrics } from '../../../functions/lib/metrics.ts'
import type { LockPorts } from '../../../functions/lib/step.ts'
import { writeOnDeployment } from '../../../functions/lib/unlock/hold/deployment-intent.ts'
import type { Rung } from '../../../functions/lib/unlock/plan/rung.ts'
import type { Fence } from '../../../functions/lib/unlock/run/unlock-run.ts'
import { fence } from '../../../functions/unlock-fence/fence.ts'
import { twoPlaces } from '../../fixtures/cluster-now.ts'
import { deadFor, type Scene } from '../../fixtures/lock-evidence.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { MemoryEvents, MemoryLockStore, MemoryStates } from '../../fixtures/memory-locks.ts'
import { observationOf } from '../../fixtures/observations.ts'
import {
  applier,
  type Before,
  controller,
  database,
  lock,
  parent,
  still,
  UnlockWorld,
  unlock,
  vpc,
} from '../unlock/unlock-world.ts'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging', region: 'eu-west-1', environment: 'test' }],
})
const before: Before = {
  ...{ replicas: 2, tfstate: null, planned: false, met: '' },
  suspend: { [parent]: null, [applier]: false, [vpc]: null, [database]: null },
}
const runner = 'Pod/flux-system/vpc-tf-runner'
const manager = 'Pod/flux-system/tofu-controller-1'

const [, item] = twoPlaces.parts
const where = { ...twoPlaces, parts: item ? [item] : [] }
const record = JSON.stringify({
  ...{ ID: lock, Operation: 'OperationTypeApply', Info: '', Who: 'runner@vpc-tf-runner', Version: '1.12.1' },
  ...{ Created: '2026-03-02T09:00:00Z', Path: 'fleet/vpc.tfstate' },
})

let world: UnlockWorld
let table: MemoryLockStore
let states: MemoryStates
let ledger: MemoryLedger
let time: number
/** What happens at a time: the clock jumps from pause to pause. */
let later: { readonly at: number; readonly happens: () => void }[]

const clock = {
  now: () => time,
  after: (ms: number, fire: () => void) => {
    time += ms
    for (const { happens } of later.filter(({ at }) => at <= time)) happens()
    later = later.filter(({ at }) => at > time)
    queueMicrotask(fire)
    return () => {}
  },
}

beforeEach(() => {
  world = new UnlockWorld(before)
  ledger = new MemoryLedger(still)
  table = new MemoryLockStore('DynamoDB table locks in eu-west-1')
  states = new MemoryStates()
  time = 1_000
  later = []
})

async function begun(rung: Exclude<Rung, 'controller-assisted'>, more: Partial<Fence> = {}): Promise<void> {
  const intent = world.intent(rung)
  await ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil: 9_000 })
  await ledger.writeIntent(intent)
  await writeOnDeployment(world.cluster, intent)
  const planned = { hanging: [], drainMs: 600_000, stopMs: 300_000, runnerMs: 90_000, planMs: 900_000, ...more }
  const asked = { unlock, cluster: 'staging', place: 'p', lock, requestedBy: 'ana', reason: 'r', requestedAt: 1 }
  if (item) table.take(item, record)
  const { parts } = joinedLock([...table.locks.values()])
  const judged = { at: 1, rule: 'holder-dead', reasons: [], parts }
  await ledger.writeUnlockRun({ ...asked, object: vpc, rung, fence: planned, intent, where, judged }, 0)
  await saw({ sight: deadFor(10), pod: 'gone', record: { id: lock } })
}

/** What the scan tells of the lock whenever it looks. */
async function saw(scene: Scene): Promise<void> {
  const version = ((await ledger.readObservation('p'))?.version ?? 0) + 1
  await ledger.writeObservation(observationOf(scene, { key: 'p', cluster: 'staging', version }))
}

const ports = (sliceMs = 3_600_000): LockPorts => ({
  ...{ clock, fleet, ledger, log: silentLog, sliceMs },
  clusters: { connect: async () => world.cluster },
  locks: { stores: [table], states, keeper: states },
  events: new MemoryEvents(),
  metrics: silentMetrics,
})
const put = (part: Parameters<typeof fence>[1], sliceMs?: number) => fence(unlock, part, ports(sliceMs))
const stopped = (name: string) => expect.objectContaining({ name })
const suspended = () => [parent, applier, vpc, database].filter((key) => world.get(key)?.spec.suspend === true)

/** Its run goes on, by its conditions. */
function runs(key: string, running: boolean): void {
  const conditions = [{ type: 'Ready', status: running ? 'Unknown' : 'True', reason: running ? 'Progressing' : 'Done' }]
  world.edit(key, 'tofu-controller', (object) => {
    object.status = { ...object.status, conditions }
  })
}

function pod(key: string, phase: string, labels: object = {}): void {
  world.create(key, {})
  world.edit(key, 'kubelet', (object) => {
    object.metadata.labels = { ...labels }
    object.status = { phase }
  })
}

describe('holding', () => {
  it('suspends what the intent says, and says so before each', async () => {
    await begun('quiesce')
    expect(await put('suspend')).toBe(true)
    expect(suspended()).toEqual([parent, applier, vpc, database])
    const said = (await ledger.listAudit(unlock)).map(({ id }) => id)
    expect(said).toEqual(expect.arrayContaining([`change/${parent}/suspend`, `change/${vpc}/suspend`]))
    expect(await put('suspend')).toBe(true)
  })

  it('ends where somebody else has decided', async () => {
    await begun('quiesce')
    world.edit(vpc, 'kubectl', (object) => {
      object.spec = { ...object.spec, suspend: true }
    })
    await expect(put('suspend')).rejects.toEqual(stopped('ChangedMeanwhile'))
  })

  it('ends once somebody restores', async () => {
    await begun('quiesce')
    await ledger.beginRestore('staging', unlock)
    await expect(put('suspend')).rejects.toEqual(stopped('TurnLost'))
    expect(suspended()).toEqual([])
  })
})

describe('draining', () => {
  it('waits for all runs, and not for what hangs', async () => {
    await begun('quiesce', { hanging: [vpc] })
    runs(vpc, true)
    runs(database, true)
    later = [{ at: 200_000, happens: () => runs(database, false) }]
    expect(await put('drain')).toBe(true)
    expect(time).toBeGreaterThan(200_000)
  })

  it('of one object waits for that one alone', async () => {
    await begun('targeted')
    runs(database, true)
    expect(await put('drain')).toBe(true)
  })

  it('looks twice: a run that has just begun says so a moment later', async () => {
    await begun('targeted')
    later = [
      { at: 1_100, happens: () => runs(vpc, true) },
      { at: 300_000, happens: () => runs(vpc, false) },
    ]
    expect(await put('drain')).toBe(true)
    expect(time).toBeGreaterThan(300_000)
  })

  it('answers at the end of its slice, and gives up at its deadline', async () => {
    await begun('targeted')
    runs(vpc, true)
    expect(await put('drain', 60_000)).toBe(false)
    expect(await put('drain', 60_000)).toBe(false)
    await expect(put('drain')).rejects.toEqual(stopped('StillApplying'))
    expect(time).toBeGreaterThan(600_000)
    expect(time).toBeLessThan(620_000)
  })

  it('waits for the pod that may be the holder, by its UID', async () => {
    pod(runner, 'Running')
    await begun('quiesce', { awaited: { key: runner, uid: world.get(runner)?.metadata.uid ?? '' } })
    const replaced = () => {
      world.delete(runner)
      pod(runner, 'Running')
    }
    later = [{ at: 200_000, happens: replaced }]
    expect(await put('drain')).toBe(true)
    expect(time).toBeGreaterThan(200_000)
  })
})

describe('stopping the controller', () => {
  const label = { app: 'tofu-controller' }

  it('waits until every pod of it is gone', async () => {
    await begun('quiesce')
    await put('suspend')
    pod(manager, 'Running', label)
    later = [{ at: 240_000, happens: () => world.delete(manager) }]
    expect(await put('stop')).toBe(true)
    expect(world.get(controller)?.spec.replicas).toBe(0)
    expect(time).toBeGreaterThan(240_000)
  })

  it('ends where a person scales it up meanwhile', async () => {
    await begun('quiesce')
    await put('suspend')
    pod(manager, 'Running', label)
    const scaled = () =>
      world.edit(controller, 'kubectl', (object) => {
        object.spec = { ...object.spec, replicas: 1 }
      })
    later = [{ at: 100_000, happens: scaled }]
    await expect(put('stop')).rejects.toEqual(stopped('ChangedMeanwhile'))
    expect(world.get(controller)?.spec.replicas).toBe(1)
  })

  it('is not done while anything may run that is not held', async () => {
    await begun('quiesce')
    await put('suspend')
    world.edit(database, 'kubectl', (object) => {
      object.spec = { ...object.spec, suspend: false }
    })
    await expect(put('stop')).rejects.toEqual(stopped('ChangedMeanwhile'))
    expect(world.get(controller)?.spec.replicas).toBe(2)
  })

  it('is not done beside an object that came after the intent', async () => {
    await begun('quiesce')
    await put('suspend')
    world.create('Terraform/flux-system/late', { interval: '1h' })
    await expect(put('stop')).rejects.toEqual(stopped('ChangedMeanwhile'))
    expect(world.get(controller)?.spec.replicas).toBe(2)
  })

  it.each<[string, Scene]>([
    ['released', { lock: { parts: [] } }],
    ['taken by somebody else', { record: { id: 'another' } }],
  ])('is not done once the lock is %s: its run may be alive', async (_, scene) => {
    await begun('quiesce', { hanging: [vpc] })
    await put('suspend')
    await saw(scene)
    await expect(put('stop')).rejects.toEqual(stopped('LockChanged'))
    expect(world.get(controller)?.spec.replicas).toBe(2)
  })

  it('is not done under a run of another object that hung when it was planned, and has no dead lock now', async () => {
    await begun('quiesce', { hanging: [vpc, database] })
    await put('suspend')
    runs(vpc, true)
    runs(database, true)
    await expect(put('stop')).rejects.toEqual(stopped('ChangedMeanwhile'))
    expect(world.get(controller)?.spec.replicas).toBe(2)
  })

  it('gives up on a pod that does not end', async () => {
    await begun('quiesce')
    await put('suspend')
    pod(manager, 'Running', label)
    await expect(put('stop')).rejects.toEqual(stopped('ControllerRuns'))
  })
})

describe('the runner’s pod', () => {
  it('is deleted by its UID where it is idle, and waited for', async () => {
    await begun('targeted')
    await put('suspend')
    pod(runner, 'Running')
    const { uid } = world.get(runner)?.metadata ?? {}
    expect(await put('runner')).toBe(true)
    expect(world.get(runner)).toBeUndefined()
    expect(await ledger.listAudit(unlock)).toContainEqual(expect.objectContaining({ id: `runner/${uid}` }))
  })

  it('is not touched once the lock is released: it may work', async () => {
    await begun('targeted')
    await put('suspend')
    pod(runner, 'Running')
    if (item) table.release(item)
    await expect(put('runner')).rejects.toEqual(stopped('LockChanged'))
    expect(world.get(runner)).toBeDefined()
  })

  it('is not touched once somebody has resumed the object', async () => {
    await begun('targeted')
    await put('suspend')
    pod(runner, 'Running')
    world.edit(vpc, 'kubectl', (object) => {
      object.spec = { ...object.spec, suspend: false }
    })
    await expect(put('runner')).rejects.toEqual(stopped('ChangedMeanwhile'))
    expect(world.get(runner)).toBeDefined()
  })

  it.each(['Failed', 'Succeeded'])('is dead already where it is %s', async (phase) => {
    await begun('targeted')
    await put('suspend')
    pod(runner, phase)
    expect(await put('runner')).toBe(true)
    expect(world.get(runner)).toBeDefined()
  })

  it('is no matter where there is none', async () => {
    await begun('targeted')
    await put('suspend')
    expect(await put('runner')).toBe(true)
  })
})
