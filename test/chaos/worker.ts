import { parentPort } from 'node:worker_threads'
import { chaosRun } from './chaos-run.ts'
import { add, emptyTally } from './tally.ts'

/** Runs that follow one another. */
export interface Chunk {
  /** Of the first one. */
  readonly seed: number
  readonly runs: number
  readonly isAlwaysStale: boolean
}

/** One after the other: a chunk comes, and its tally goes. */
parentPort?.on('message', async ({ seed, runs, isAlwaysStale }: Chunk) => {
  const tally = emptyTally()
  for (let count = 0; count < runs; count++) add(tally, await chaosRun({ seed: seed + count, isAlwaysStale }))
  parentPort?.postMessage(tally)
})
