/** Runs `work` on every item, at most `width` at a time, in order of arrival. Rejects with the first failure. */
export async function each<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  const worker = async () => {
    // The workers share one iterator: each item is taken once.
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker))
}
