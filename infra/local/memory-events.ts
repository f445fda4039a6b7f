import type { Events, LockEvent, UnlockEvent } from '../../functions/lib/events.ts'

/** So many are kept, the newest ones. */
const limit = 200

/** What EventBridge is on AWS: events for whoever listens. */
export class MemoryEvents implements Events {
  private readonly kept: LockEvent[] = []
  private readonly listeners = new Set<(event: LockEvent) => void>()
  private readonly keptUnlocks: UnlockEvent[] = []
  private readonly unlockListeners = new Set<(event: UnlockEvent) => void>()

  /** The newest ones, the oldest of them first. One that was published twice is there once. */
  get published(): readonly LockEvent[] {
    return this.kept
  }

  async publish(event: LockEvent): Promise<void> {
    if (this.kept.some(({ id }) => id === event.id)) return
    this.kept.push(event)
    if (this.kept.length > limit) this.kept.shift()
    for (const listener of this.listeners) listener(event)
  }

  /** What became of unlocks; as `published`. */
  get unlocks(): readonly UnlockEvent[] {
    return this.keptUnlocks
  }

  async publishUnlock(event: UnlockEvent): Promise<void> {
    if (this.keptUnlocks.some(({ id }) => id === event.id)) return
    this.keptUnlocks.push(event)
    if (this.keptUnlocks.length > limit) this.keptUnlocks.shift()
    for (const listener of this.unlockListeners) listener(event)
  }

  /** Calls `listener` with each new event of an unlock. Call the result to end it. */
  onUnlock(listener: (event: UnlockEvent) => void): () => void {
    this.unlockListeners.add(listener)
    return () => this.unlockListeners.delete(listener)
  }

  /** Calls `listener` with each new event. Call the result to end it. */
  onEvent(listener: (event: LockEvent) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}
