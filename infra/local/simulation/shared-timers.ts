import type { Clock } from '../../../functions/lib/clock.ts'

interface Instant {
  readonly fires: Set<() => void>
  readonly cancel: () => void
}

/**
 * A clock whose timers of one instant share one timer of the clock below. Controllers that work on hundreds of objects
 * in step then cost a virtual clock one jump per step, not one per object.
 */
export class SharedTimers implements Clock {
  private readonly clock: Clock
  private readonly instants = new Map<number, Instant>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  now(): number {
    return this.clock.now()
  }

  after(ms: number, fire: () => void): () => void {
    const at = this.clock.now() + Math.max(0, ms)
    const instant = this.instants.get(at) ?? this.open(at, ms)
    // A function of its own, so that the same one may wait twice.
    const own = () => fire()
    instant.fires.add(own)
    return () => {
      if (!instant.fires.delete(own) || instant.fires.size > 0 || this.instants.get(at) !== instant) return
      instant.cancel()
      this.instants.delete(at)
    }
  }

  private open(at: number, ms: number): Instant {
    const fires = new Set<() => void>()
    const cancel = this.clock.after(ms, () => {
      this.instants.delete(at)
      for (const fire of fires) {
        fires.delete(fire)
        fire()
      }
    })
    const instant = { fires, cancel }
    this.instants.set(at, instant)
    return instant
  }
}
