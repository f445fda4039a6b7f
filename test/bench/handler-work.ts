import { type HandlerRun, runSteps, type StepName } from './handler-steps.ts'
import type { Measurement } from './measurement.ts'

/**
 * How large the bundles of a rollout's functions are, and how much CPU time they take to start and to work, with 100 objects in 5 layers:
 * what they are paid for besides waiting. Each is measured in its first invocation, which no code was compiled for yet.
 */
export async function measureHandlerWork(): Promise<readonly Measurement[]> {
  const runs = await runSteps({ objectCount: 100, layerCount: 5 })
  return [...runs].map(([step, run]) => line(step, run))
}

function line(step: StepName, { bundleBytes, startCpuMs, workCpuMs }: HandlerRun): Measurement {
  const [kilobytes, start, work] = [bundleBytes / 1_000, startCpuMs, workCpuMs].map(Math.round)
  return {
    what: `usage: work of ${step}, 100 objects in 5 layers`,
    target: '',
    measured: `bundle ${kilobytes} KB; CPU time ${start} ms to start, ${work} ms to work`,
    ok: undefined,
    values: { bundleBytes, startCpuMs, workCpuMs },
  }
}
