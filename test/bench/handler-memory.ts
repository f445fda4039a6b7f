import { runSteps } from './handler-steps.ts'
import type { Measurement } from './measurement.ts'

const objectCount = 1_000
const targetMib = 200

/** The most that a handler's process ever has resident, at 1,000 objects in two layers: the first layer is half of the objects. */
export async function measureHandlerMemory(): Promise<readonly Measurement[]> {
  const runs = await runSteps({ objectCount, layerCount: 2 })
  return (['plan', 'wait'] as const).map((step) => line(step, runs.get(step)?.maxMib ?? Number.NaN))
}

function line(step: 'plan' | 'wait', most: number): Measurement {
  return {
    what: `resident memory of the ${step} handler at 1,000 objects`,
    target: `${targetMib} MiB`,
    measured: `max ${Math.round(most)} MiB, with the heap of a 512 MB function`,
    ok: most <= targetMib,
    values: { maxMib: most },
  }
}
