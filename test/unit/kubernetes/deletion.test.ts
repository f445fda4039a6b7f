import { afterEach, beforeEach, expect, it } from 'vitest'
import { builtinResources, type ObjectRef } from '../../../functions/lib/kubernetes/cluster.ts'
import { type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'

const pod: ObjectRef<'Pod'> = { kind: 'Pod', namespace: 'flux-system', name: 'vpc-tf-runner' }
const { Pod } = builtinResources

let standIn: StandInCluster
let uid: string

beforeEach(async () => {
  standIn = await standInCluster()
  uid = run()
})

afterEach(() => standIn.close())

/** A pod on a node, with the default grace. */
function run(): string {
  const { namespace, name } = pod
  const spec = { nodeName: 'node-1', containers: [{ name: 'tf-runner', image: 'tf-runner' }] }
  return standIn.store.create(Pod, { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name }, spec }, 'tests')
    .metadata.uid as string
}
const stored = () => standIn.store.get(Pod, pod.namespace, pod.name)
const conflict = () => standIn.server.faults.inject({ verb: 'DELETE' }, { do: 'answer', status: 409 })

it('leaves a pod its own grace', async () => {
  expect(await standIn.client().delete(pod, { uid })).toBe('deleted')
  expect(stored()?.metadata).toMatchObject({ uid, deletionGracePeriodSeconds: 30 })
})

it('does not take a conflict with somebody who wrote for another object', async () => {
  conflict()
  await expect(standIn.client().delete(pod, { uid })).rejects.toMatchObject({ name: 'ClusterConflict' })
  expect(stored()?.metadata).not.toHaveProperty('deletionTimestamp')
})

it('says after a conflict that the object is gone, where it is', async () => {
  standIn.store.delete(Pod, pod.namespace, pod.name, { gracePeriodSeconds: 0 })
  conflict()
  expect(await standIn.client().delete(pod, { uid })).toBe('gone')
})

it('names no other object where that cannot be looked at', async () => {
  conflict()
  standIn.server.faults.inject({ verb: 'GET' }, { do: 'answer', status: 503 })
  await expect(standIn.client().delete(pod, { uid })).rejects.toMatchObject({ name: 'ClusterUnavailable' })
})
