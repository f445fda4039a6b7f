import { type EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge'
import { LockstepError } from './errors.ts'
import { type Events, eventSource, type LockstepEvent } from './events.ts'

/** The event bus did not take an event. */
export class EventsUnavailable extends LockstepError {
  constructor(bus: string, reason: string) {
    const next = 'It is tried again; if that goes on, check that this role has events:PutEvents on it.'
    super('EventsUnavailable', `The event bus ${bus} did not take an event (${reason}).`, next)
  }
}

/** Publishes to a bus of EventBridge, with `lockstep` as the source. */
export class EventBridgeEvents implements Events {
  private readonly client: EventBridgeClient
  private readonly bus: string

  constructor({ client, bus }: { client: EventBridgeClient; bus: string }) {
    this.client = client
    this.bus = bus
  }

  async publish({ type, ...detail }: LockstepEvent): Promise<void> {
    const entry = { EventBusName: this.bus, Source: eventSource, DetailType: type, Detail: JSON.stringify(detail) }
    const { Entries = [] } = await this.client.send(new PutEventsCommand({ Entries: [entry] })).catch((error) => {
      throw new EventsUnavailable(this.bus, error instanceof Error ? error.name : 'unknown error')
    })
    // A request that succeeds may still have an entry that did not.
    const refused = Entries.find(({ ErrorCode }) => ErrorCode !== undefined)
    if (refused) throw new EventsUnavailable(this.bus, refused.ErrorCode ?? '')
  }
}
