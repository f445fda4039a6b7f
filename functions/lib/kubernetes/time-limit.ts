import type { Clock } from '../clock.ts'

/** Aborts its `signal` when a time is over, or when an outer signal aborts. Must be ended. */
export class TimeLimit {
  private readonly clock: Clock
  private readonly controller = new AbortController()
  private readonly outer: AbortSignal | undefined
  private readonly abort = () => this.controller.abort()
  private cancel = () => {}
  private ms = 0
  /** Whether it was the time that ran out. */
  expired = false

  constructor(clock: Clock, ms: number, outer?: AbortSignal) {
    this.clock = clock
    this.outer = outer
    outer?.addEventListener('abort', this.abort, { once: true })
    if (outer?.aborted) this.abort()
    this.restart(ms)
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  get seconds(): number {
    return this.ms / 1000
  }

  /** Starts the time anew. */
  restart(ms: number): void {
    this.cancel()
    this.ms = ms
    if (this.signal.aborted) return
    this.cancel = this.clock.after(ms, () => {
      this.expired = true
      this.abort()
    })
  }

  /** Aborts what still runs, and stops the time. */
  end(): void {
    this.cancel()
    this.outer?.removeEventListener('abort', this.abort)
    this.abort()
  }
}
