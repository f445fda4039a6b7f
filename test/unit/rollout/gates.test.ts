import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseWorkload } from '../../../functions/lib/flux/workload.ts'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import type { KubernetesClient } from '../../../functions/lib/kubernetes/kubernetes-client.ts'
import { holdObject, openAllGates, openGate } from '../../../functions/lib/rollout/gates.ts'
import { UnlockHolds } from '../../../functions/lib/rollout/unlock-holds.ts'
import { makeChange, undoChange } from '../../../functions/lib/unlock/hold/change.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { kustomization, type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'
import { intentOf } from '../../fixtures/unlock-intent.ts'

const mark = 'rollout-2 github.com/my-org/fleet-infra#main'
const older = 'rollout-1 github.com/my-org/fleet-infra#main'
const key = 'Kustomization/flux-system/app'

let standIn: StandInCluster
let cluster: KubernetesClient

beforeEach(async () => {
  standIn = await standInCluster()
  cluster = standIn.client()
  standIn.store.create(resources.Kustomization, kustomization('app'), 'kubectl')
})
afterEach(() => standIn.close())

const stored = () => standIn.store.get(resources.Kustomization, 'flux-system', 'app')
const read = () => parseWorkload('Kustomization', stored())
const edit = (spec: object, annotations?: Record<string, string>) =>
  standIn.store.update(
    resources.Kustomization,
    'flux-system',
    'app',
    (object) => {
      Object.assign(object.spec, spec)
      if (annotations) object.metadata.annotations = annotations
    },
    { manager: 'kubectl' },
  )
const ledger = new MemoryLedger()
const hold = (workload = read(), takeOver = false) =>
  holdObject(cluster, workload, mark, () => takeOver, new UnlockHolds(ledger, 'staging'))

test('holding suspends and marks, and doing it again changes nothing', async () => {
  expect(await hold()).toBe('held')
  const version = stored()?.metadata.resourceVersion
  expect(await hold()).toBe('held')
  expect(stored()).toMatchObject({
    spec: { suspend: true },
    metadata: { annotations: { 'lockstep.dev/gate': mark }, resourceVersion: version },
  })
})

test('a person who suspends it between our look and our patch is not taken for us', async () => {
  const before = read()
  edit({ suspend: true })
  expect(await hold(before)).toBe('suspended by a person')
  expect(stored()?.metadata.annotations?.['lockstep.dev/gate']).toBeUndefined()
})

test('a change by anybody else in between is read again, and it is held', async () => {
  const before = read()
  edit({ interval: '5m' })
  expect(await hold(before)).toBe('held')
  expect(stored()?.spec).toMatchObject({ interval: '5m', suspend: true })
})

test('the gate of another rollout is taken over, or left alone', async () => {
  edit({ suspend: true }, { 'lockstep.dev/gate': older })
  expect(await hold(read(), false)).toBe('held by another rollout')
  expect(read().gate).toBe(older)
  expect(await hold(read(), true)).toBe('held')
  expect(read().gate).toBe(mark)
})

test('what an unlock has suspended is marked, and stays held; what a person suspends as well is theirs', async () => {
  const { uid = '' } = stored()?.metadata ?? {}
  const change = { field: 'suspend', object: key, uid, from: null, to: true } as const
  await makeChange(cluster, change, async () => {})
  expect(await hold()).toBe('suspended by a person')
  await ledger.takeUnlock({ cluster: 'staging', unlock: 'unlock-1', leaseUntil: Number.MAX_SAFE_INTEGER })
  await ledger.writeIntent(intentOf({ changes: [change] }))
  expect(await hold()).toBe('held')
  expect(read()).toMatchObject({ gate: mark, suspended: true })
  // Its restore leaves it to the rollout.
  expect(await undoChange(cluster, change, async () => {})).toMatchObject({ is: 'theirs', gated: true })
  expect(await openGate(cluster, key, mark)).toBe('opened')
  await makeChange(cluster, change, async () => {})
  edit({ suspend: false })
  edit({ suspend: true })
  expect(await hold()).toBe('suspended by a person')
})

test('what was deleted is gone', async () => {
  const before = read()
  standIn.store.delete(resources.Kustomization, 'flux-system', 'app')
  expect(await hold(before)).toBe('gone')
  expect(await openGate(cluster, key, mark)).toBe('gone')
})

test('opening leaves no trace but the request, in one write', async () => {
  await hold()
  const generation = stored()?.metadata.generation ?? 0
  expect(await openGate(cluster, key, mark, 'token')).toBe('opened')
  expect(stored()?.spec).not.toHaveProperty('suspend')
  expect(stored()?.metadata).toMatchObject({
    annotations: { 'reconcile.fluxcd.io/requestedAt': 'token' },
    generation: generation + 1,
  })
  expect(read().gate).toBeUndefined()
})

test.each([
  ['a newer rollout has taken it over', { suspend: true }, { 'lockstep.dev/gate': mark }, older],
  ['a person has resumed it', { suspend: false }, { 'lockstep.dev/gate': mark }, mark],
  ['a person has suspended it without us', { suspend: true }, {}, mark],
])('opening does nothing when %s', async (_, spec, annotations, ours) => {
  edit(spec, annotations)
  expect(await openGate(cluster, key, ours)).toBe('not ours any more')
  expect(stored()?.spec.suspend).toBe(spec.suspend)
})

test('opening all gates opens ours, unmarks what a person resumed, and leaves others', async () => {
  for (const name of ['ours', 'resumed', 'theirs', 'persons']) {
    const object = kustomization(name, { suspend: name !== 'resumed' })
    if (name !== 'persons')
      object.metadata.annotations = { 'lockstep.dev/gate': name === 'theirs' ? 'x other#main' : mark }
    standIn.store.create(resources.Kustomization, object, 'kubectl')
  }
  expect(await openAllGates(cluster, (other) => other === mark)).toEqual({
    opened: ['Kustomization/flux-system/ours'],
    refused: [],
  })
  const after = Object.fromEntries(
    standIn.store
      .list(resources.Kustomization)
      .items.map(({ metadata, spec }) => [
        metadata.name,
        [spec.suspend ?? false, metadata.annotations?.['lockstep.dev/gate'] !== undefined],
      ]),
  )
  expect(after).toEqual({
    app: [false, false],
    ours: [false, false],
    resumed: [false, false],
    theirs: [true, true],
    persons: [true, false],
  })
})
