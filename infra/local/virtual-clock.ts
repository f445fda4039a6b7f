import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../functions/lib/clock.ts'

/** What is under way in real time: the virtual clock stands still while anything is. */
export interface Activity {
  /** Marks one piece of real work (an HTTP request, a handler's computation) as begun; call the result when it ends. */
  begin(): () => void
  /** Something moved (a watch event was written): look again before time jumps. */
  touch(): void
}

export const noActivity: Activity = { begin: () => () => {}, touch: () => {} }

interface Timer {
  readonly at: number
  readonly order: number
  readonly fire: () => void
}

/** How many turns of the event loop must pass with nothing under way before time jumps to the next timer. */
const quietTurns = 12

/**
 * A clock that jumps: as soon as the process is quiet, time moves to the next timer and fires it. A day of
 * waiting costs milliseconds, and timers fire in the order in which they would in real time.
 *
 * "Quiet" is observed, not known: no activity is open and none began for some turns of the event loop, each of
 * which lets loopback sockets deliver. Everything that runs under this clock must be in this process.
 */
export class VirtualClock implements Clock, Activity {
  private time: number
  private order = 0
  private timers: Timer[] = []
  private open = 0
  private moves = 0
  private running = true

  constructor(start = Date.UTC(2026, 0, 5, 9, 0, 0)) {
    this.time = start
    void this.run()
  }

  now(): number {
    return this.time
  }

  after(ms: number, fire: () => void): () => void {
    this.moves++
    const timer: Timer = { at: this.time + Math.max(0, ms), order: this.order++, fire }
    this.timers.push(timer)
    return () => {
      const index = this.timers.indexOf(timer)
      if (index >= 0) this.timers.splice(index, 1)
    }
  }

  begin(): () => void {
    this.open++
    this.moves++
    let ended = false
    return () => {
      if (ended) return
      ended = true
      this.open--
      this.moves++
    }
  }

  touch(): void {
    this.moves++
  }

  /** Ends the clock: no timer fires any more. */
  stop(): void {
    this.running = false
    this.timers = []
  }

  private async run(): Promise<void> {
    while (this.running) {
      if (await this.quiet()) this.jump()
    }
  }

  private async quiet(): Promise<boolean> {
    if (this.open > 0 || this.timers.length === 0) {
      // Somebody is at work, or nothing is waited for: let real time pass instead of turning on the spot.
      await new Promise((resolve) => setTimeout(resolve, 1))
      return false
    }
    const before = this.moves
    for (let turns = 0; turns < quietTurns; turns++) {
      await turn()
      if (!this.running || this.open > 0 || this.moves !== before) return false
    }
    return this.timers.length > 0
  }

  private jump(): void {
    let next: Timer | undefined
    for (const timer of this.timers) {
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer
    }
    if (!next) return
    this.timers.splice(this.timers.indexOf(next), 1)
    this.time = Math.max(this.time, next.at)
    try {
      next.fire()
    } catch (error) {
      // As with setTimeout: nobody's to catch, and the clock goes on.
      queueMicrotask(() => {
        throw error
      })
    }
  }
}

/** Real time, `speed` times as fast: what a person watches. `speed` 1 is real time. */
export function scaledClock(speed: number, start = Date.now()): Clock {
  const origin = performance.now()
  return {
    now: () => Math.round(start + (performance.now() - origin) * speed),
    after: (ms, fire) => {
      const timer = setTimeout(fire, Math.min(ms / speed, 2 ** 31 - 1))
      return () => clearTimeout(timer)
    },
  }
}
