import { afterEach, beforeEach, expect, test } from 'vitest'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { branchOf } from '../../../functions/lib/rollout/branch.ts'
import { ClaimLost } from '../../../functions/lib/rollout/lease.ts'
import type { PlannedObject, Rollout } from '../../../functions/lib/rollout/rollout.ts'
import { waitForLayer } from '../../../functions/wait/wait.ts'
import { MemoryLedger } from '../../fixtures/memory-ledger.ts'
import { gitRepository, head, kustomization as raw } from '../../fixtures/raw-objects.ts'
import { begunRollout } from '../../fixtures/snapshot-of.ts'
import { type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'

let standIn: StandInCluster
let ledger: MemoryLedger

beforeEach(async () => {
  standIn = await standInCluster()
  ledger = new MemoryLedger()
})
afterEach(() => standIn.close())

/** Puts an object with its status into the store. */
function put(object: { kind: string; metadata: object; spec: object; status: object }) {
  const resource = object.kind === 'GitRepository' ? resources.GitRepository : resources.Kustomization
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
  waitForLayer(rollout, { cluster: standIn.client(), ledger, clock: standIn.clock, sliceMs })

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
