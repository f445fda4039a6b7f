import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LeaseLockStore } from '../../../functions/lib/locks/stores/lease-lock-store.ts'
import { builtinResources } from '../../../infra/local/kubernetes/builtin-resources.ts'
import { KubernetesState } from '../../../infra/local/simulation/tofu/kubernetes-state.ts'
import { newLockRecord, renderLockRecord } from '../../../infra/local/simulation/tofu/lock-record.ts'
import { type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'

const { Lease } = builtinResources
const namespace = 'flux-system'
const name = 'lock-tfstate-default-vpc'
const address = { store: 'kubernetes', cluster: 'staging', namespace, name } as const
const lock = { address, record: { problem: '' }, version: '1' }

let standIn: StandInCluster
let store: LeaseLockStore

beforeEach(async () => {
  standIn = await standInCluster()
  store = new LeaseLockStore(standIn.client())
})

afterEach(() => standIn.close())

const create = (spec: object, annotations?: Record<string, string>) => {
  const metadata = { namespace, name, ...(annotations && { annotations }) }
  standIn.store.create(Lease, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }, 'OpenTofu')
}

describe('a Lease', () => {
  it('that OpenTofu holds is found as it was written, and OpenTofu takes it again once it is deleted', async () => {
    const state = new KubernetesState(standIn.store, { namespace, workspace: 'default', suffix: 'vpc' })
    const record = newLockRecord('OperationTypeApply', 'runner@vpc-tf-runner', '', standIn.clock.now())
    await state.acquire(record)
    const [found] = await store.list()
    expect(found).toMatchObject({
      address,
      holderIdentity: record.ID,
      record: { raw: renderLockRecord(record), info: { id: record.ID, user: 'runner', host: 'vpc-tf-runner' } },
    })
    expect(found && (await store.deleteIfUnchanged(found))).toBe('deleted')
    expect(await state.holder()).toBeUndefined()
    expect(standIn.store.get(Lease, namespace, name)).toMatchObject({ spec: {} })
    expect(standIn.store.get(Lease, namespace, name)?.metadata.annotations ?? {}).toEqual({})
    expect(await state.acquire(record)).toBeUndefined()
  })

  it('with a holder and no record is a lock', async () => {
    create({ holderIdentity: '41f02d46' })
    expect(await store.read(address)).toMatchObject({ holderIdentity: '41f02d46', record: { problem: 'is missing' } })
  })

  it('is a lock even if the holder’s name is empty: OpenTofu does not take it', async () => {
    create({ holderIdentity: '' })
    expect(await store.list()).toHaveLength(1)
  })

  it('with a record and no holder is no lock', async () => {
    create({}, { 'app.terraform.io/lock-info': '{"ID":"1"}' })
    expect(await store.list()).toEqual([])
    expect(await store.read(address)).toBeUndefined()
  })

  it('was taken when its holder was written, whatever others wrote later', async () => {
    create({ holderIdentity: '41f02d46' })
    const before = await store.read(address)
    const later = standIn.clock.now() + 60_000
    await new Promise<void>((resolve) => standIn.clock.after(60_000, resolve))
    expect(standIn.clock.now()).toBeGreaterThanOrEqual(later)
    const annotate = (lease: { metadata: { annotations?: Record<string, string> } }) => {
      lease.metadata.annotations = { note: 'by hand' }
    }
    standIn.store.update(Lease, namespace, name, annotate, { manager: 'kubectl' })
    const after = await store.read(address)
    expect(after?.takenAt).toBe(before?.takenAt)
    expect(after?.version).not.toBe(before?.version)
    expect(before && (await store.deleteIfUnchanged(before))).toBe('changed')
  })

  it('that was removed altogether is gone', async () => {
    create({ holderIdentity: '41f02d46' })
    const found = await store.read(address)
    standIn.store.delete(Lease, namespace, name)
    expect(found && (await store.deleteIfUnchanged(found))).toBe('gone')
  })
})

describe('an answer of', () => {
  it.each([
    [401, 'LockStoreForbidden'],
    [403, 'LockStoreForbidden'],
    [429, 'LockStoreThrottled'],
    [500, 'LockStoreUnavailable'],
    [503, 'LockStoreUnavailable'],
    [400, 'LockStoreRejected'],
  ])('%i is %s', async (status, expected) => {
    create({ holderIdentity: '41f02d46' })
    standIn.server.faults.inject({ kind: 'Lease' }, { do: 'answer', status }, 100)
    for (const work of [() => store.list(), () => store.read(address), () => store.deleteIfUnchanged(lock)]) {
      await expect(work()).rejects.toMatchObject({ name: expected, store: 'Leases of cluster staging' })
    }
  })

  it.each([
    ['list', () => store.list()],
    ['get', () => store.read(address)],
    ['patch', () => store.deleteIfUnchanged(lock)],
  ])('403 to a %s says so', async (verb, work) => {
    standIn.server.faults.inject({ kind: 'Lease' }, { do: 'answer', status: 403 }, 2)
    await expect(work()).rejects.toMatchObject({
      next: expect.stringContaining(`${verb} on leases.coordination.k8s.io`),
    })
  })
})
