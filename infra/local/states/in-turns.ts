import { Stopped } from './stopped.ts'

/**
 * `run` for every item of a Map, at most `atOnce` at a time; answers what it gave, in the order of the items. After the first
 * failure `stop` is called, the rest awaited, and that failure thrown. Throws Stopped once the signal is aborted.
 */
export async function inTurns<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  signal: AbortSignal,
  run: (item: Item, index: number) => Promise<Result>,
  stop: () => void,
): Promise<Result[]> {
  const results: Result[] = []
  const waiting = items.entries()
  const failures: unknown[] = []
  const worker = async () => {
    for (const [index, item] of waiting) {
      if (signal.aborted) throw new Stopped()
      results[index] = await run(item, index)
    }
  }
  const guarded = () =>
    worker().catch((error) => {
      failures.push(error)
      stop()
    })
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, guarded))
  if (failures.length > 0) throw failures[0]
  return results
}
