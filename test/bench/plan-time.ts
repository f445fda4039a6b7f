import { performance } from 'node:perf_hooks'
import { parseFleet } from '../../functions/lib/fleet.ts'
import { makePlan } from '../../functions/plan/plan.ts'
import { gitRepository, helmRelease, inLayer, kustomization, ownedBy, terraform } from '../fixtures/raw-objects.ts'
import { begunRollout, snapshotOf } from '../fixtures/snapshot-of.ts'
import { median, milliseconds } from './distribution.ts'
import type { Measurement } from './measurement.ts'

const layers = ['network', 'database', 'addons', 'apps']
const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  layers,
  clusters: [{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'staging' }],
})

/**
 * From raw objects, as the API server's answer holds them, to a plan. The median counts. The first run is told beside
 * it: nothing has been compiled for it yet, as in a Lambda that has just started.
 */
export async function measurePlanTime(): Promise<readonly Measurement[]> {
  return [planOf(1_000, 100, 15), planOf(10_000, 1_000, 5)]
}

function planOf(count: number, mostMs: number, runs: number): Measurement {
  const objects = rawObjects(count)
  const times = Array.from({ length: runs }, () => timeOf(objects))
  const [first, half, worst] = [times[0] ?? Number.NaN, median(times), Math.max(...times)]
  return {
    what: `plan of ${count.toLocaleString('en')} objects, without the network`,
    target: milliseconds(mostMs),
    measured: `median ${milliseconds(half)}, first ${milliseconds(first)}, max ${milliseconds(worst)} (${runs} times)`,
    ok: half <= mostMs,
    values: { medianMs: half, firstMs: first, maxMs: worst, samples: runs },
  }
}

function timeOf(objects: readonly { kind: string }[]): number {
  const rollout = begunRollout()
  const begin = performance.now()
  const snapshot = snapshotOf(...objects)
  makePlan(rollout, { snapshot, fleet, ordering: 'strict', idleBranches: new Set() })
  const time = performance.now() - begin
  if (rollout.objects.length !== objects.length - 1) throw new Error('the plan does not hold every object')
  return time
}

/**
 * A fleet as teams grow it: roots of the source that apply a hundred objects each, of all three kinds, a quarter of
 * them in each of the fleet's layers, every one depending on two others of the layer, with a controller's usual status.
 */
function rawObjects(count: number): { kind: string }[] {
  const objects: { kind: string }[] = [gitRepository()]
  for (let index = 0; index < count; index++) {
    const root = index - (index % 100)
    objects.push(index === root ? kustomization(`team-${root}`, { status }) : child(index, root))
  }
  return objects
}

function child(index: number, root: number) {
  const make = [terraform, helmRelease, kustomization][index % 3] ?? terraform
  const name = (of: number) => `object-${of}`
  // Within one layer of one team: 25 objects, of which every third is of the same kind.
  const place = (index % 100) % 25
  const earlier = [3, 6].filter((distance) => place > distance).map((distance) => ({ name: name(index - distance) }))
  return make(name(index), {
    labels: { ...ownedBy(`team-${root}`), ...inLayer(layers[Math.floor((index % 100) / 25)] ?? '') },
    managedFields,
    status,
    spec: { interval: '1h', ...(earlier.length > 0 && { dependsOn: earlier }) },
  })
}

const managedFields = ['kustomize-controller', 'controller'].map((manager) => ({
  manager,
  operation: 'Apply',
  apiVersion: 'v1',
  fieldsType: 'FieldsV1',
  fieldsV1: { 'f:metadata': { 'f:labels': { 'f:a': {}, 'f:b': {} } }, 'f:spec': { 'f:interval': {}, 'f:path': {} } },
}))

const status = {
  observedGeneration: 1,
  conditions: ['Ready', 'Healthy'].map((type) => ({
    ...{ type, status: 'True', reason: 'ReconciliationSucceeded', observedGeneration: 1 },
    ...{ message: 'Applied revision: main@sha1:0000', lastTransitionTime: '2026-01-05T09:00:00Z' },
  })),
}
