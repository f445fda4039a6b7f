import { Worker } from 'node:worker_threads'
import type { Options } from './options.ts'
import { emptyTally, merge, type Tally } from './tally.ts'
import type { Chunk } from './worker.ts'

/** Few enough for progress to be seen, many enough for messages to cost nothing. */
const chunkRuns = 50

/** All runs, on as many threads as are asked for. `onProgress` is called after each chunk. Rejects when a thread fails. */
export async function allRuns(
  { runs, seed, workers, double }: Options,
  onProgress: (tally: Tally) => void,
): Promise<Tally> {
  const tally = emptyTally()
  let begun = 0
  const next = (): Chunk | undefined => {
    if (begun >= runs) return undefined
    const chunk = { seed: seed + begun, runs: Math.min(chunkRuns, runs - begun), double }
    begun += chunk.runs
    return chunk
  }
  const work = async () => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url))
    try {
      for (let chunk = next(); chunk; chunk = next()) {
        merge(tally, await answerTo(worker, chunk))
        onProgress(tally)
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: Math.min(workers, Math.ceil(runs / chunkRuns)) }, work))
  tally.failures.sort((a, b) => a.seed - b.seed)
  return tally
}

function answerTo(worker: Worker, chunk: Chunk): Promise<Tally> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', (tally: Tally) => {
      worker.off('error', reject)
      resolve(tally)
    })
    worker.postMessage(chunk)
  })
}
