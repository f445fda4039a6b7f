import type { Clock } from '../../functions/lib/clock.ts'

interface Timer {
  readonly at: number
  readonly order: number
  readonly fire: () => void
  /** Whether nothing that it fires goes on in a later turn of the event loop. */
  readonly isInstant: boolean
  cancelled: boolean
}

/**
 * Time that jumps from one timer to the next. Nothing in a run waits for anything real: once a turn of the event loop has
 * passed everybody waits for a timer, and the order of everything follows from the times alone.
 */
export class ChaosClock implements Clock {
  private time: number
  private order = 0
  /** A binary heap, the earliest first. */
  private readonly timers: Timer[] = []

  constructor(start: number) {
    this.time = start
  }

  readonly now = (): number => this.time

  after(ms: number, fire: () => void): () => void {
    return this.add(ms, fire, false)
  }

  /** For what is done when `act` returns. */
  act(ms: number, act: () => void): () => void {
    return this.add(ms, act, true)
  }

  /** Lets time pass until something is so, and `limit` (milliseconds since the epoch) at the latest. */
  async until(isSo: () => boolean, limit: number): Promise<void> {
    await turn()
    while (!isSo()) {
      const next = this.pop(limit)
      if (!next) {
        this.time = Math.max(this.time, limit)
        return
      }
      this.time = Math.max(this.time, next.at)
      next.fire()
      if (!next.isInstant) await turn()
    }
  }

  private add(ms: number, fire: () => void, isInstant: boolean): () => void {
    const timer: Timer = { at: this.time + Math.max(0, ms), order: this.order++, fire, isInstant, cancelled: false }
    this.push(timer)
    return () => {
      timer.cancelled = true
    }
  }

  private push(timer: Timer): void {
    const { timers } = this
    let at = timers.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = timers[parent]
      if (!above || isBefore(above, timer)) break
      timers[at] = above
      at = parent
    }
    timers[at] = timer
  }

  private pop(limit: number): Timer | undefined {
    for (;;) {
      const first = this.timers[0]
      if (!first || first.at > limit) return undefined
      this.removeFirst()
      if (!first.cancelled) return first
    }
  }

  private removeFirst(): void {
    const { timers } = this
    const last = timers.pop()
    if (!last || timers.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      const [left, right] = [timers[child], timers[child + 1]]
      if (!left) break
      if (right && isBefore(right, left)) child++
      const least = timers[child]
      if (!least || isBefore(last, least)) break
      timers[at] = least
      at = child
    }
    timers[at] = last
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** All that follows without waiting is done after it. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
