import { afterEach, beforeEach, expect, test } from 'vitest'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { branchOf } from '../../../functions/lib/rollout/branch.ts'
import { ClaimLost } from '../../../functions/lib/rollout/lease.ts'
import type { PlannedObject, Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { makeChange } from '../../../functions/lib/unlock/hold/change.ts'
import { waitForLayer } from '../../../functions/wait/wait.ts'
import { approvalFleet } from '../../fixtures/approval-fleet.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { observationOf } from '../../fixtures/observations.ts'
import { gitRepository, head, kustomization as raw, terraform } from '../../fixtures/raw-objects.ts'
import { begunRollout } from '../../fixtures/snapshot-of.ts'
import { type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'
import { intentOf } from '../../fixtures/unlock-intent.ts'

let standIn: StandInCluster
let ledger: MemoryLedger

beforeEach(async () => {
  standIn = await standInCluster()
  ledger = new MemoryLedger()
})
afterEach(() => standIn.close())

/** Puts an object with its status into the store. */
function put(object: { kind: string; metadata: object; spec: object; status: object }) {
  const resource = resources[object.kind as 'GitRepository' | 'Kustomization' | 'Terraform']
  const { name, namespace } = object.metadata as { name: string; namespace: string }
  standIn.store.create(resource, structuredClone(object) as never, 'tests')
  const status = object.status
  standIn.store.update(resource, namespace, name, (stored) => Object.assign(stored, { status }), {
    manager: 'tests',
    subresource: 'status',
  })
  return standIn.store.get(resource, namespace, name)?.metadata.uid ?? ''
}

const applied = (commit: string) => ({
  observedGeneration: 1,
  lastAttemptedRevision: `main@sha1:${commit}`,
  lastAppliedRevision: `main@sha1:${commit}`,
  conditions: [{ type: 'Ready', status: 'True', reason: 'ReconciliationSucceeded', message: '' }],
})

const open = (uid: string): PlannedObject => ({
  ...{ key: 'Kustomization/flux-system/app', uid, layer: 0, after: [], follows: 'revision' as const },
  ...{ appliesWorkloads: false, gated: false, phase: 'open' as const, detail: '', asked: 0, openedAt: 0 },
  source: 'GitRepository/flux-system/fleet-infra',
})

function rolloutOf(object: PlannedObject): Rollout {
  return begunRollout({
    startedAt: standIn.clock.now(),
    sources: [{ key: 'GitRepository/flux-system/fleet-infra', before: head('a'), served: head('b') }],
    layers: [{ index: 0, name: 'layer 1', openedAt: 0, deadlineMs: Number.MAX_SAFE_INTEGER }],
    objects: [object],
  })
}

async function claim({ id, push, cluster }: Rollout, holder = id) {
  const claimant = {
    rollout: holder,
    execution: 'arn',
    before: push.before,
    after: push.after,
    pushedAt: push.pushedAt,
  }
  const leaseUntil = standIn.clock.now() + 900_000
  await ledger.writeClaim({ cluster, branch: branchOf(push), version: 1, holder: claimant, leaseUntil })
}

const wait = (rollout: Rollout, sliceMs = 60_000) =>
  waitForLayer(rollout, { cluster: standIn.client(), ledger, clock: standIn.clock, fleet: approvalFleet, sliceMs })

test('a source that moved on before the slice began makes objects ready at its commit, and none is taken for gone', async () => {
  put(gitRepository('fleet-infra', { status: { artifact: { revision: `main@sha1:${head('d')}` } } }))
  const rollout = rolloutOf(open(put(raw('app', { status: applied(head('d')) }))))
  await claim(rollout)
  expect(await wait(rollout)).toBe('Report')
  expect(rollout.objects[0]?.phase).toBe('ready')
  expect(rollout.commit).toBe(head('d'))
  expect(rollout.notes.join()).not.toContain('deleted')
})

test('an object that does not exist any more is gone', async () => {
  put(gitRepository('fleet-infra', { status: { artifact: { revision: `main@sha1:${head('b')}` } } }))
  const rollout = rolloutOf(open('uid of old'))
  await claim(rollout)
  expect(await wait(rollout)).toBe('PlanAgain')
  expect(rollout.objects[0]?.phase).toBe('gone')
})

test('an object that was deleted and made again under the same name is gone too', async () => {
  put(gitRepository('fleet-infra', { status: { artifact: { revision: `main@sha1:${head('b')}` } } }))
  put(raw('app', { status: applied(head('b')) }))
  const rollout = rolloutOf(open('uid of the one before'))
  await claim(rollout)
  expect(await wait(rollout)).toBe('PlanAgain')
})

test('a slice that runs out is followed by another', async () => {
  put(gitRepository('fleet-infra', { status: { artifact: { revision: `main@sha1:${head('b')}` } } }))
  const rollout = rolloutOf(open(put(raw('app', { status: applied(head('a')) }))))
  await claim(rollout)
  expect(await wait(rollout)).toBe('WaitForLayer')
  // It was asked again meanwhile: it stood at an older revision, and nobody worked on it.
  expect(rollout.objects[0]?.asked).toBe(1)
})

test('a rollout whose claim was taken over stops without touching anything', async () => {
  put(gitRepository('fleet-infra', { status: { artifact: { revision: `main@sha1:${head('b')}` } } }))
  const rollout = rolloutOf(open(put(raw('app', { status: applied(head('a')) }))))
  await claim(rollout, 'another rollout')
  await expect(wait(rollout)).rejects.toThrow(ClaimLost)
  expect(standIn.server.requests().PATCH).toBeUndefined()
})

test('an object whose state is locked is shown as waiting for the lock, and is asked when nobody holds it', async () => {
  put(gitRepository('fleet-infra', { status: { artifact: { revision: `main@sha1:${head('b')}` } } }))
  const conditions = [
    { type: 'Ready', status: 'False', reason: 'TFExecPlanFailed', message: 'error acquiring the state lock' },
    { type: 'StateLocked', status: 'True', reason: 'LockHeld', message: '' },
  ]
  const lock = { pending: 'a' }
  const status = { observedGeneration: 1, lastAttemptedRevision: `main@sha1:${head('b')}`, conditions, lock }
  const uid = put(terraform('vpc', { status }))
  const rollout = rolloutOf({ ...open(uid), key: 'Terraform/flux-system/vpc' })
  await claim(rollout)
  const [object] = rollout.objects

  expect(await wait(rollout, 5_000)).toBe('WaitForLayer')
  expect(object).toMatchObject({ phase: 'open', waitsForLock: true, detail: 'waits for the state lock a' })

  await ledger.writeObservation(observationOf({ pod: 'gone' }))
  expect(await wait(rollout, 5_000)).toBe('WaitForLayer')
  expect(object?.detail).toMatch(
    /^waits for the state lock of runner@vpc-tf-runner \(apply\) since 2026-03-02T10:00:00.500Z; it is suspect: its pod is gone/,
  )
  expect(object).toMatchObject({ phase: 'open', asked: 0 })

  // The scans find it free while the rollout waits.
  standIn.clock.after(1_000, () => {
    const { judgement } = observationOf()
    void ledger.writeObservation(observationOf({}, { version: 2, judgement: { ...judgement, verdict: 'free' } }))
  })
  expect(await wait(rollout, 60_000)).toBe('WaitForLayer')
  expect(object?.detail).toMatch(/^nobody holds its state lock any more/)
  expect(object?.asked).toBeGreaterThan(0)
})

test('an object that an unlock holds is waited for, and one that a person suspends has failed', async () => {
  put(gitRepository('fleet-infra', { status: { artifact: { revision: `main@sha1:${head('b')}` } } }))
  const uid = put(terraform('vpc', { status: applied(head('b')) }))
  const object = 'Terraform/flux-system/vpc'
  const rollout = rolloutOf({ ...open(uid), key: object })
  await claim(rollout)
  const change = { field: 'suspend', object, uid, from: null, to: true } as const
  await ledger.takeUnlock({ cluster: 'staging', unlock: 'unlock-1', leaseUntil: Number.MAX_SAFE_INTEGER })
  await ledger.writeIntent(intentOf({ changes: [change] }))
  await makeChange(standIn.client(), change, async () => {})

  expect(await wait(rollout, 5_000)).toBe('WaitForLayer')
  expect(rollout.objects[0]).toMatchObject({ phase: 'open', detail: 'waits for the guarded unlock that holds it' })

  // As flux suspend does, of what is suspended already.
  for (const suspend of [false, true]) {
    standIn.store.update(resources.Terraform, 'flux-system', 'vpc', ({ spec }) => Object.assign(spec, { suspend }), {
      manager: 'flux',
    })
  }
  expect(await wait(rollout, 5_000)).toBe('Report')
  expect(rollout.objects[0]).toMatchObject({ phase: 'failed', reason: 'Suspended' })
})

test('an object that was suspended by us, and that no unlock holds, is left to a person', async () => {
  put(gitRepository('fleet-infra', { status: { artifact: { revision: `main@sha1:${head('b')}` } } }))
  const uid = put(terraform('vpc', { status: applied(head('b')) }))
  const object = 'Terraform/flux-system/vpc'
  const rollout = rolloutOf({ ...open(uid), key: object })
  await claim(rollout)
  await makeChange(standIn.client(), { field: 'suspend', object, uid, from: null, to: true }, async () => {})
  expect(await wait(rollout, 5_000)).toBe('Report')
  expect(rollout.objects[0]).toMatchObject({ phase: 'failed', reason: 'Suspended' })
})

test('an object that says "Applying" while its run is dead is shown as waiting for the lock of that run', async () => {
  put(gitRepository('fleet-infra', { status: { artifact: { revision: `main@sha1:${head('b')}` } } }))
  const conditions = [{ type: 'Ready', status: 'Unknown', reason: 'Progressing', message: 'Applying' }]
  const uid = put(terraform('vpc', { status: { observedGeneration: 1, conditions } }))
  const openedAt = standIn.clock.now()
  const rollout = rolloutOf({ ...open(uid), key: 'Terraform/flux-system/vpc', openedAt })
  await claim(rollout)
  await ledger.writeObservation(observationOf({ pod: 'gone' }))
  await wait(rollout, 4 * 60_000)
  expect(rollout.objects[0]).toMatchObject({ phase: 'open', detail: 'Progressing: Applying' })
  await wait(rollout, 2 * 60_000)
  expect(rollout.objects[0]).toMatchObject({
    phase: 'open',
    detail: expect.stringMatching(/^waits for the state lock of/),
  })
})
