import type { EventOf, Events, EventType, LockEvent, LockstepEvent, UnlockEvent } from '../../functions/lib/events.ts'

/** So many are kept, the newest ones. */
const limit = 200

type Listener = (event: LockstepEvent) => void

/** What EventBridge is on AWS: events for whoever listens. */
export class MemoryEvents implements Events {
  private readonly kept: LockstepEvent[] = []
  private readonly listeners = new Set<Listener>()
  private readonly rules = new Set<Listener>()

  /** The newest ones, the oldest of them first. One that was published twice is there once. */
  get published(): readonly LockstepEvent[] {
    return this.kept
  }

  /** Those of one type. */
  of<Type extends EventType>(type: Type): EventOf<Type>[] {
    return this.kept.filter((event): event is EventOf<Type> => event.type === type)
  }

  async publish(event: LockstepEvent): Promise<void> {
    for (const rule of this.rules) rule(event)
    if (this.kept.some(({ type, id }) => type === event.type && id === event.id)) return
    this.kept.push(event)
    if (this.kept.length > limit) this.kept.shift()
    for (const listener of this.listeners) listener(event)
  }

  /** Calls `listener` with each new event. Call the result to end it. */
  onEvent(listener: Listener): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** Calls `rule` with each event, also with one that is published again, as EventBridge does. */
  onPublish(rule: Listener): void {
    this.rules.add(rule)
  }

  onLock(listener: (event: LockEvent) => void): () => void {
    return this.onEvent((event) => event.type === 'Lock Verdict Changed' && listener(event))
  }

  onUnlock(listener: (event: UnlockEvent) => void): () => void {
    return this.onEvent((event) => event.type === 'Unlock Changed' && listener(event))
  }
}
