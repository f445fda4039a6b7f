import { statesEntered } from '../../infra/local/states/history.ts'
import { VirtualClock } from '../../infra/local/virtual-clock.ts'
import { benchFleet } from './bench-fleet.ts'
import { BenchWorld } from './bench-world.ts'
import type { Measurement } from './measurement.ts'

/** A kind of the cluster that a wait follows: the source, and the two kinds of objects. */
const followedKinds = 3
/** What a rollout may need besides, whatever its size: snapshots of all six kinds to plan and to gate, the fetch. */
const smallConstant = 20

/**
 * Counts what the API server was asked in one rollout, at controllers' usual durations. What goes beyond 2 PATCH per
 * object, and 1 LIST and 1 WATCH per kind and slice of waiting, must be small, and the same for any size.
 */
export async function measureClusterRequests(): Promise<readonly Measurement[]> {
  const [few, many] = [await countRequests(20), await countRequests(100)]
  return [
    {
      what: 'requests to the Kubernetes API per rollout (20 and 100 objects, 5 layers)',
      target: `2 PATCH an object, 1 LIST and 1 WATCH a kind and slice, and ${smallConstant}`,
      measured: [few, many].map(described).join('; '),
      ok: [few, many].every((count) => count.beyond <= smallConstant),
      values: { few: few.total, fewBeyond: few.beyond, many: many.total, manyBeyond: many.beyond },
    },
  ]
}

interface Count {
  readonly verbs: Readonly<Record<string, number>>
  readonly total: number
  /** How many are more than the objects, kinds and slices account for. */
  readonly beyond: number
}

async function countRequests(objectCount: number): Promise<Count> {
  const clock = new VirtualClock()
  const world = await BenchWorld.start(benchFleet({ objectCount, layerCount: 5 }), { clock, activity: clock })
  try {
    world.cluster.api.resetCounters()
    const { executionArn } = await world.rollOut(world.cluster.commit())
    const states = statesEntered(world.host.interpreter.history(executionArn))
    const slices = states.filter((state) => state === 'WaitForLayer').length
    return countOf(world.cluster.api.requests(), {
      PATCH: 2 * objectCount,
      LIST: followedKinds * slices,
      WATCH: followedKinds * slices,
    })
  } finally {
    await world.close()
    clock.stop()
  }
}

function countOf(
  requests: Readonly<Record<string, Readonly<Record<string, number>>>>,
  allowed: Readonly<Record<string, number>>,
): Count {
  const verbs: Record<string, number> = {}
  let beyond = 0
  for (const [verb, kinds] of Object.entries(requests)) {
    const count = Object.values(kinds).reduce((sum, each) => sum + each, 0)
    verbs[verb] = count
    // A verb that stays below what it may is no allowance for another.
    beyond += Math.max(0, count - (allowed[verb] ?? 0))
  }
  return { verbs, total: Object.values(verbs).reduce((sum, each) => sum + each, 0), beyond }
}

function described({ verbs, beyond }: Count): string {
  return `${Object.entries(verbs)
    .map(([verb, count]) => `${count} ${verb}`)
    .join(', ')} (${beyond} beyond)`
}
