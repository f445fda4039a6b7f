import type { Events, LockEvent } from '../../functions/lib/events.ts'

/** So many are kept, the newest ones. */
const limit = 200

/** What EventBridge is on AWS: events for whoever listens. */
export class MemoryEvents implements Events {
  private readonly kept: LockEvent[] = []
  private readonly listeners = new Set<(event: LockEvent) => void>()

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

  /** Calls `listener` with each new event. Call the result to end it. */
  onEvent(listener: (event: LockEvent) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}
