import { statesEntered } from '../../infra/local/states/history.ts'
import { VirtualClock } from '../../infra/local/virtual-clock.ts'
import { files, layered, roots } from '../integration/layered-fleet.ts'
import { type BenchFleet, benchFleet } from './bench-fleet.ts'
import { BenchWorld } from './bench-world.ts'
import type { Measurement } from './measurement.ts'

/** Counts the states that a rollout's execution enters, retries included: what Step Functions charges for. */
export async function measureStateTransitions(): Promise<readonly Measurement[]> {
  const flat = benchFleet({ objectCount: 100, layerCount: 5 })
  return [
    await countTransitions('100 objects in 5 layers', flat),
    await countTransitions('a root that applies the layers', nestedFleet(flat)),
  ]
}

/** Four layers behind a root that applies them: the plan is made again once the root has applied. */
function nestedFleet(flat: BenchFleet): BenchFleet {
  const layers = Object.values(layered).flatMap((object) => object.metadata.labels?.['lockstep.dev/layer'] ?? [])
  const fleet = { ...flat.fleet, layers }
  return { ...flat, fleet, files, objects: roots, objectCount: 5, layerCount: layers.length + 1 }
}

async function countTransitions(of: string, bench: BenchFleet): Promise<Measurement> {
  const clock = new VirtualClock()
  const world = await BenchWorld.start(bench, { clock, activity: clock })
  try {
    const { executionArn, transitions } = await world.rollOut(world.cluster.commit())
    const states = statesEntered(world.host.interpreter.history(executionArn))
    const slices = states.filter((state) => state === 'WaitForLayer').length
    const layers = states.filter((state) => state === 'OpenLayer').length
    const most = 8 + 4 * layers
    return {
      what: `state transitions per rollout (${of})`,
      target: `8 + 4 a layer: ${most}`,
      measured: `${transitions}, with ${slices} slices of waiting in ${layers} layers`,
      ok: transitions <= most && layers === bench.layerCount,
      values: { transitions, most, layers, slices },
    }
  } finally {
    await world.close()
    clock.stop()
  }
}
