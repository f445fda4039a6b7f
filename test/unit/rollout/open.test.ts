import { afterEach, beforeEach, expect, test } from 'vitest'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import { gateMark } from '../../../functions/lib/rollout/gate-mark.ts'
import type { PlannedObject, Rollout } from '../../../functions/lib/rollout/rollout.ts'
import type { Change } from '../../../functions/lib/unlock/hold/intent.ts'
import { openLayer } from '../../../functions/open/open.ts'
import { begunRollout } from '../../fixtures/snapshot-of.ts'
import { kustomization, type StandInCluster, standInCluster } from '../../fixtures/stand-in-cluster.ts'
import { intentOf } from '../../fixtures/unlock-intent.ts'

let standIn: StandInCluster
let rollout: Rollout

const names = { app: 'Kustomization/flux-system/app', vpc: 'Terraform/flux-system/vpc' }

const gated = (key: string): PlannedObject => ({
  ...{ key, uid: '', layer: 0, after: [], follows: 'revision', appliesWorkloads: false },
  ...{ gated: true, phase: 'pending', detail: '', asked: 0 },
})

beforeEach(async () => {
  standIn = await standInCluster()
  rollout = begunRollout({
    layers: [{ index: 0, name: 'layer 1', deadlineMs: 60_000 }],
    objects: [gated(names.app), gated(names.vpc)],
  })
  const annotations = { 'lockstep.dev/gate': gateMark(rollout) }
  const app = kustomization('app', { suspend: true })
  standIn.store.create(resources.Kustomization, { ...app, metadata: { ...app.metadata, annotations } }, 'lockstep')
  const vpc = { name: 'vpc', namespace: 'flux-system', annotations }
  const { group, version } = resources.Terraform
  const terraform = { apiVersion: `${group}/${version}`, kind: 'Terraform', metadata: vpc, spec: { suspend: true } }
  standIn.store.create(resources.Terraform, terraform, 'lockstep')
})
afterEach(() => standIn.close())

const suspend = (object: string): Change => ({ field: 'suspend', object, uid: 'u', from: null, to: true })
const scale: Change = { field: 'replicas', object: 'Deployment/flux-system/tofu', uid: 'd', from: 1, to: 0 }

/** Opens what may be opened while an unlock changes this. Answers the phases. */
async function open(...changes: Change[]) {
  const [first, ...rest] = changes
  const intent = first && intentOf({ changes: [first, ...rest] })
  await openLayer(rollout, { cluster: standIn.client(), now: 1_000, intent })
  return rollout.objects.map(({ phase }) => phase)
}

test('opens all of a layer where no unlock is under way', async () => {
  expect(await open()).toEqual(['open', 'open'])
})

test('leaves Terraform objects closed while tofu-controller is stopped, and opens the others', async () => {
  expect(await open(scale)).toEqual(['open', 'pending'])
  expect(standIn.store.get(resources.Terraform, 'flux-system', 'vpc')?.spec.suspend).toBe(true)
  await expect(open(scale)).rejects.toMatchObject({
    name: 'UnlockUnderWay',
    message: expect.stringMatching(/unlock-1 .* staging: Terraform\/flux-system\/vpc cannot be opened/),
  })
  expect(await open()).toEqual(['open', 'open'])
})

test('leaves closed what the unlock itself holds, and nothing else', async () => {
  expect(await open(suspend(names.vpc))).toEqual(['open', 'pending'])
  expect(await open(suspend('Terraform/flux-system/another'))).toEqual(['open', 'open'])
})
