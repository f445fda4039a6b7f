import { parentPort } from 'node:worker_threads'
import { chaosRun } from './chaos-run.ts'
import type { Double } from './lockstep/double.ts'
import { add, emptyTally } from './tally.ts'

/** Runs that follow one another. */
export interface Chunk {
  /** Of the first one. */
  readonly seed: number
  readonly runs: number
  readonly double: Double | undefined
}

/** One after the other: a chunk comes, and its tally goes. */
parentPort?.on('message', async ({ seed, runs, double }: Chunk) => {
  const tally = emptyTally()
  for (let count = 0; count < runs; count++) add(tally, await chaosRun({ seed: seed + count, double }))
  parentPort?.postMessage(tally)
})
