export type Say = (line: string) => void

const heartbeatMs = 15_000

/** Says that it has begun, every 15 s that it goes on (pipes, too: a silent CI run looks dead), and how long it took. */
export async function withProgress<T>(say: Say, what: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now()
  const elapsed = () => duration(performance.now() - start)
  say(`${what} ...`)
  const heartbeat = setInterval(() => say(`${what} ... ${elapsed()}`), heartbeatMs)
  try {
    const result = await work()
    say(`${what}: ${elapsed()}`)
    return result
  } finally {
    clearInterval(heartbeat)
  }
}

/** `8 s`, `3 min 5 s`. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
