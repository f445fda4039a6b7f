import { beforeEach, describe, expect, test } from 'vitest'
import { gateAnnotation, unlockAnnotation } from '../../../functions/lib/flux/annotations.ts'
import { type Cluster, ClusterError, type ClusterErrorName } from '../../../functions/lib/kubernetes/cluster.ts'
import { makeChange } from '../../../functions/lib/unlock/hold/change.ts'
import {
  readFromDeployment,
  removeFromDeployment,
  writeOnDeployment,
} from '../../../functions/lib/unlock/hold/deployment-intent.ts'
import { annotationOf, type Intent, IntentUnreadable } from '../../../functions/lib/unlock/hold/intent.ts'
import { restore, restoreAbandoned, stragglerMs } from '../../../functions/lib/unlock/hold/restore.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import {
  applier,
  type Before,
  controller,
  database,
  lock,
  parent,
  still,
  storedPlan,
  UnlockWorld,
  unlock,
  vpc,
} from './unlock-world.ts'

const before: Before = {
  ...{ replicas: 2, tfstate: null, planned: true, met: lock },
  suspend: { [parent]: null, [applier]: false, [vpc]: null, [database]: true },
}

let world: UnlockWorld
let intent: Intent
let ledger: MemoryLedger

beforeEach(async () => {
  world = new UnlockWorld(before)
  intent = world.intent('quiesce')
  ledger = new MemoryLedger(still)
})

/** As an unlock does it, up to its last change. */
async function unlocked(): Promise<void> {
  await ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil: 5_000 })
  await ledger.writeIntent(intent)
  expect(await writeOnDeployment(world.cluster, intent)).toBe(true)
  for (const change of intent.changes)
    expect(await makeChange(world.cluster, change, async () => {})).toEqual({ is: 'before' })
}

const ports = (cluster: Cluster = world.cluster, now = 1_000) => ({
  cluster,
  ledger,
  clock: { ...still, now: () => now },
})
const suspendOf = (key: string) => world.get(key)?.spec.suspend ?? null
const replicas = () => world.get(controller)?.spec.replicas

/** The cluster, where patches that `isMeant` are answered with an error, and those that were made. */
function refusing(name: ClusterErrorName, isMeant: (key: string, subresource?: string) => boolean) {
  const patched: string[] = []
  const { cluster } = world
  const refused: Cluster = {
    name: cluster.name,
    list: (kind, options) => cluster.list(kind, options),
    watch: (...args) => cluster.watch(...args),
    get: (ref, options) => cluster.get(ref, options),
    create: (ref, content) => cluster.create(ref, content),
    delete: (ref, options) => cluster.delete(ref, options),
    patch: async (ref, patch, options) => {
      const key = `${ref.kind}/${ref.namespace}/${ref.name}`
      if (isMeant(key, options?.subresource))
        throw new ClusterError(name, 'staging', 403, `${key} is refused.`, 'Look.')
      patched.push(options?.subresource ? `${key}/${options.subresource}` : key)
      return cluster.patch(ref, patch, options)
    },
  }
  return { cluster: refused, patched }
}

test('puts everything back, the stored plan forgotten before the controller, the controller before its work', async () => {
  await unlocked()
  expect([replicas(), ...[parent, applier, vpc, database].map(suspendOf)]).toEqual([0, true, true, true, true])
  const { cluster, patched } = refusing('ClusterForbidden', () => false)
  const restored = await restore(intent, ports(cluster))
  expect(patched).toEqual([`${vpc}/status`, `${controller}/scale`, vpc, applier, parent, controller])
  expect([replicas(), ...[parent, applier, vpc, database].map(suspendOf)]).toEqual([2, null, false, null, true])
  expect(world.get(vpc)?.spec).not.toHaveProperty('suspend')
  expect(world.get(vpc)?.status).toMatchObject({ plan: { pending: '' }, lock: { pending: '' } })
  expect(world.get(controller)?.metadata.annotations?.[unlockAnnotation]).toBeUndefined()
  expect(restored).toMatchObject({ unlock, left: [], failed: [] })
  expect(restored.undone.map(({ object, field }) => `${object} ${field}`)).toEqual([
    ...[`${vpc} plan`, `${controller} replicas`, `${vpc} suspend`, `${applier} suspend`, `${parent} suspend`],
  ])
})

test('does nothing the second time, and gives the turn back to the unlock', async () => {
  await unlocked()
  await restore(intent, ports())
  const { cluster, patched } = refusing('ClusterForbidden', () => false)
  expect(await restore(intent, ports(cluster))).toEqual({ unlock, undone: [], left: [], failed: [] })
  expect(patched).toEqual([])
  expect(await ledger.readUnlock('staging')).toMatchObject({ unlock, leaseUntil: 5_000 })
  expect(await ledger.readUnlock('staging')).not.toHaveProperty('intent')
})

test('each change that it undoes is in the audit, with what it was and what it is', async () => {
  await unlocked()
  await restore(intent, ports())
  const records = await ledger.listAudit(unlock)
  expect(records.map(({ id }) => id).sort()).toEqual(
    [
      ...[`clear/${vpc}`, `undo/${controller}/replicas`, `undo/${vpc}/suspend`, `undo/${applier}/suspend`],
      ...[`undo/${parent}/suspend`, 'restored'],
    ].sort(),
  )
  const detail = { object: controller, field: 'replicas', from: '0', to: '2' }
  expect(records.find(({ id }) => id === `undo/${controller}/replicas`)).toEqual({
    ...{ unlock, id: `undo/${controller}/replicas`, at: 1_000, what: 'putting back', by: 'restore', detail },
  })
})

test('what others have decided meanwhile stays, and the report and the audit say why', async () => {
  await unlocked()
  world.edit(controller, 'kubectl', ({ spec }) => Object.assign(spec, { replicas: 5 }))
  world.edit(parent, 'flux', ({ spec }) => delete spec.suspend)
  world.edit(parent, 'flux', ({ spec }) => Object.assign(spec, { suspend: true }))
  world.edit(applier, 'kubectl', ({ spec }) => Object.assign(spec, { suspend: false }))
  const spec = world.get(vpc)?.spec
  world.delete(vpc)
  world.create(vpc, spec)
  const { left, undone } = await restore(intent, ports())
  expect(undone).toEqual([])
  expect(left).toEqual([
    { object: controller, field: 'replicas', why: 'it is 5 now, by kubectl' },
    { object: vpc, field: 'suspend', why: 'it was deleted, and made again by somebody else' },
    { object: parent, field: 'suspend', why: 'flux has set it to true too' },
  ])
  expect([replicas(), ...[parent, applier, vpc].map(suspendOf)]).toEqual([5, true, false, true])
  const last = (await ledger.listAudit(unlock)).at(-1)
  expect(last).toMatchObject({ id: 'restored', what: 'put back', detail: { left } })
})

test('a gate that a person has opened, and whose mark is left, is not taken for the one of a rollout', async () => {
  world.edit(vpc, 'lockstep', ({ metadata }) => {
    metadata.annotations = { [gateAnnotation]: 'rollout-7 github.com/my-org/fleet-infra#main' }
  })
  await unlocked()
  expect((await restore(intent, ports())).left).toEqual([])
  expect(suspendOf(vpc)).toBeNull()
})

test('a gate of a rollout that began after the intent was written stays closed', async () => {
  await ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil: 5_000 })
  await ledger.writeIntent(intent)
  world.edit(vpc, 'lockstep', ({ metadata, spec }) => {
    metadata.annotations = { [gateAnnotation]: 'rollout-7 github.com/my-org/fleet-infra#main' }
    spec.suspend = true
  })
  const { left } = await restore(intent, ports())
  expect(left).toEqual([{ object: vpc, field: 'suspend', why: 'a rollout holds it' }])
  expect(suspendOf(vpc)).toBe(true)
})

describe('the stored plan', () => {
  test('is left alone where the unlock holds nothing any more: it may be a newer one', async () => {
    await unlocked()
    await restore(intent, ports())
    world.edit(vpc, 'tofu-controller', (object) => {
      object.status = { ...object.status, plan: { pending: storedPlan } }
    })
    await restore(intent, ports())
    expect(world.get(vpc)?.status.plan.pending).toBe(storedPlan)
  })

  test('is forgotten where only the missing controller keeps it from being applied', async () => {
    await unlocked()
    world.edit(vpc, 'kubectl', ({ spec }) => delete spec.suspend)
    await restore(intent, ports())
    expect(world.get(vpc)?.status.plan.pending).toBe('')
  })

  test('that cannot be forgotten keeps its object suspended, and nothing else', async () => {
    await unlocked()
    const { cluster } = refusing('ClusterForbidden', (_, subresource) => subresource === 'status')
    const { failed } = await restore(intent, ports(cluster))
    expect(failed.map(({ object, field }) => `${object} ${field}`)).toEqual([`${vpc} plan`, `${vpc} suspend`])
    expect([replicas(), ...[parent, applier, vpc].map(suspendOf)]).toEqual([2, null, false, true])
    expect((await ledger.readUnlock('staging'))?.intent).toEqual(intent)
    expect((await restore(intent, ports())).failed).toEqual([])
    expect(suspendOf(vpc)).toBeNull()
  })

  test('that cannot be forgotten keeps the controller away where the object is not held', async () => {
    await unlocked()
    world.edit(vpc, 'kubectl', ({ spec }) => delete spec.suspend)
    const { cluster } = refusing('ClusterForbidden', (_, subresource) => subresource === 'status')
    await restore(intent, ports(cluster))
    expect([replicas(), suspendOf(parent)]).toEqual([0, null])
  })

  test('of the lock of another unlock, or of none, the note stays', async () => {
    world = new UnlockWorld({ ...before, met: 'another-lock' })
    intent = world.intent('quiesce')
    await unlocked()
    await restore(intent, ports())
    expect(world.get(vpc)?.status).toMatchObject({ plan: { pending: '' }, lock: { pending: 'another-lock' } })
  })
})

test.each(['ClusterForbidden', 'ClusterRejected', 'ClusterConflict'] as const)(
  'an object that answers %s does not keep the others; the intent stays open until it is put back',
  async (name) => {
    await unlocked()
    const { cluster } = refusing(name, (key) => key === applier)
    const { failed } = await restore(intent, ports(cluster))
    expect(failed).toEqual([{ object: applier, field: 'suspend', why: expect.stringContaining(applier) }])
    expect([replicas(), suspendOf(parent), suspendOf(vpc), suspendOf(applier)]).toEqual([2, null, null, true])
    expect((await ledger.readUnlock('staging'))?.intent).toEqual(intent)
    expect(await readFromDeployment(world.cluster)).toEqual(intent)
    await restore(intent, ports())
    expect(suspendOf(applier)).toBe(false)
  },
)

test('an API server that is away is an error, so that it is tried again', async () => {
  await unlocked()
  const { cluster } = refusing('ClusterUnavailable', () => true)
  await expect(restore(intent, ports(cluster))).rejects.toMatchObject({ name: 'ClusterUnavailable' })
  expect((await ledger.readUnlock('staging'))?.intent).toEqual(intent)
})

describe('an abandoned unlock', () => {
  test('is one whose turn has run out, or whose execution has ended', async () => {
    await unlocked()
    expect(await restoreAbandoned(ports())).toBeUndefined()
    expect(await restoreAbandoned(ports(), { ended: 'another' })).toBeUndefined()
    expect(replicas()).toBe(0)
    expect((await restoreAbandoned(ports(world.cluster, 5_000)))?.failed).toEqual([])
    expect(replicas()).toBe(2)
    // What it had sent may still arrive.
    expect(await ledger.takeUnlock({ cluster: 'staging', unlock: 'next', leaseUntil: 9_000 })).toBe(false)
    for (const change of intent.changes) await makeChange(world.cluster, change, async () => {})
    expect((await restoreAbandoned(ports(world.cluster, 5_000 + stragglerMs)))?.failed).toEqual([])
    expect(replicas()).toBe(2)
    expect(await ledger.takeUnlock({ cluster: 'staging', unlock: 'next', leaseUntil: 9_000 })).toBe(true)
  })

  test('changes nothing more once it is being put back', async () => {
    await unlocked()
    const { cluster } = refusing('ClusterUnavailable', () => true)
    await expect(restoreAbandoned(ports(cluster), { ended: unlock })).rejects.toThrow(ClusterError)
    expect(await ledger.takeUnlock({ cluster: 'staging', unlock, leaseUntil: 9_000 })).toBe(false)
    expect((await restoreAbandoned(ports()))?.undone).toHaveLength(5)
  })

  test('is put back from what stands on the Deployment, where the ledger has lost it', async () => {
    await unlocked()
    ledger = new MemoryLedger(still)
    expect((await restoreAbandoned(ports()))?.undone).toHaveLength(5)
    expect(replicas()).toBe(2)
    expect(await restoreAbandoned(ports())).toBeUndefined()
    expect(await ledger.listAudit(unlock)).toHaveLength(6)
  })

  test.each<[string, (intent: Intent) => string]>([
    ['is no JSON', () => '{'],
    ['is of another cluster', (intent) => annotationOf({ ...intent, cluster: 'production' })],
    [
      'is of another Deployment',
      (intent) => annotationOf({ ...intent, deployment: { ...intent.deployment, object: 'Deployment/a/b' } }),
    ],
  ])('whose annotation %s is a matter for a person, unless the ledger knows', async (_, textOf) => {
    await unlocked()
    world.edit(controller, 'kubectl', ({ metadata }) => {
      metadata.annotations = { [unlockAnnotation]: textOf(intent) }
    })
    const known = ledger
    ledger = new MemoryLedger(still)
    await expect(restoreAbandoned(ports())).rejects.toThrow(IntentUnreadable)
    expect(replicas()).toBe(0)
    ledger = known
    expect((await restoreAbandoned(ports(), { ended: unlock }))?.undone).toHaveLength(5)
  })
})

describe('the annotation', () => {
  test('of another unlock is neither written over nor removed', async () => {
    expect(await writeOnDeployment(world.cluster, { ...intent, unlock: 'another' })).toBe(true)
    expect(await writeOnDeployment(world.cluster, intent)).toBe(false)
    await removeFromDeployment(world.cluster, intent)
    expect((await readFromDeployment(world.cluster))?.unlock).toBe('another')
  })

  test('is written once, and not on a Deployment that was made again', async () => {
    expect(await writeOnDeployment(world.cluster, intent)).toBe(true)
    const version = world.get(controller)?.metadata.resourceVersion
    expect(await writeOnDeployment(world.cluster, intent)).toBe(true)
    expect(world.get(controller)?.metadata.resourceVersion).toBe(version)
    const spec = world.get(controller)?.spec
    world.delete(controller)
    expect(await writeOnDeployment(world.cluster, intent)).toBe(false)
    world.create(controller, spec)
    expect(await writeOnDeployment(world.cluster, intent)).toBe(false)
  })

  test('is found by the name of the Deployment, where it has no label', async () => {
    world.edit(controller, 'kubectl', ({ metadata }) => delete metadata.labels)
    await writeOnDeployment(world.cluster, intent)
    expect(await readFromDeployment(world.cluster)).toEqual(intent)
  })
})
