import { performance } from 'node:perf_hooks'
import { systemClock } from '../../functions/lib/clock.ts'
import { readWorkload } from '../../functions/lib/flux/readiness.ts'
import { parseWorkload, type WorkloadKind } from '../../functions/lib/flux/workload.ts'
import type { KubernetesObject, StoreEvent } from '../../infra/local/kubernetes/object-store.ts'
import { simulatedKinds } from '../../infra/local/simulation/kinds.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { benchFleet } from './bench-fleet.ts'
import { BenchWorld } from './bench-world.ts'
import { median, milliseconds, quantile } from './distribution.ts'
import type { Measurement } from './measurement.ts'

/** Gates between layers: four in each rollout. */
const rolloutCount = 15

/** So short that a rollout takes seconds, and long enough that the last object of a layer is not the first as well. */
const speedups = {
  ...{ fetch: 50, statusGap: 10, kustomization: 100, runnerStart: 20, tofuInit: 30, tofuPlan: 60, tofuApply: 60 },
  ...{ appliedToReady: 20, runnerCleanup: 100 },
}

/**
 * From the write of the status that makes a layer's last object ready, to the write that opens the first object of
 * the next layer, both in the simulated cluster's store. Real time, real HTTP; the controllers run in the same process.
 */
export async function measureLayerLatency(): Promise<readonly Measurement[]> {
  const bench = benchFleet({ objectCount: 100, layerCount: 5 })
  const world = await BenchWorld.start(bench, { clock: systemClock, activity: noActivity, speedups })
  const pauses: number[] = []
  try {
    for (let count = 0; count < rolloutCount; count++)
      pauses.push(...(await pausesOfRollout(world, bench.fleet.layers)))
  } finally {
    await world.close()
  }
  if (!pauses.every((pause) => pause >= 0)) throw new Error('a layer was opened before the one before it was ready')
  const [half, most, worst] = [median(pauses), quantile(pauses, 0.95), Math.max(...pauses)]
  return [
    {
      what: 'last object of a layer ready -> first request of the next (100 objects, 5 layers)',
      target: 'median 50 ms, p95 150 ms',
      measured: `median ${milliseconds(half)}, p95 ${milliseconds(most)}, max ${milliseconds(worst)} (${pauses.length} times)`,
      ok: half <= 50 && most <= 150,
      values: { medianMs: half, p95Ms: most, maxMs: worst, samples: pauses.length },
    },
  ]
}

interface Write {
  readonly at: number
  readonly event: StoreEvent
}

async function pausesOfRollout(world: BenchWorld, layers: readonly string[]): Promise<number[]> {
  const push = world.cluster.commit()
  const writes: Write[] = []
  // Kept as they come and looked at afterwards, so that looking takes no time from what is measured.
  const stops = [simulatedKinds.Kustomization, simulatedKinds.Terraform].map((kind) =>
    world.cluster.simulation.store.subscribe(kind, (event) => writes.push({ at: performance.now(), event })),
  )
  await world.rollOut(push)
  for (const stop of stops) stop()

  const ready = new Map<string, number>()
  const opened = new Map<string, number>()
  for (const { at, event } of writes) {
    const layer = event.object.metadata.labels?.['lockstep.dev/layer'] ?? ''
    const { name } = event.object.metadata
    if (event.previous?.spec?.suspend && !event.object.spec?.suspend && !opened.has(layer)) opened.set(layer, at)
    if (!ready.has(name) && isReady(event.object, push.after)) ready.set(name, at)
  }
  const layerReady = new Map<string, number>()
  for (const { event } of writes) {
    const { name, labels } = event.object.metadata
    const layer = labels?.['lockstep.dev/layer'] ?? ''
    layerReady.set(layer, Math.max(layerReady.get(layer) ?? 0, ready.get(name) ?? Number.POSITIVE_INFINITY))
  }
  return layers
    .slice(1)
    .map((layer, index) => (opened.get(layer) ?? Number.NaN) - (layerReady.get(layers[index] ?? '') ?? Number.NaN))
}

function isReady(object: KubernetesObject, commit: string): boolean {
  const workload = parseWorkload(object.kind as WorkloadKind, object)
  const reading = readWorkload(workload, {
    follows: 'revision',
    commits: [commit],
    token: undefined,
    source: undefined,
  })
  return reading.state === 'ready'
}
