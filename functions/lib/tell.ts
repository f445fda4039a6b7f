import { type Clock, sleep } from './clock.ts'
import type { Events, LockstepEvent } from './events.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

export interface TellPorts {
  readonly events: Events
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Pick<Metrics, 'untold'>
}

/** Before each further try. The AWS SDK has tried three times by then. */
const pausesMs = [200, 1_000]

/**
 * Publishes an event that nothing may fail for: tried three times, then it is given up, which the log and a metric tell.
 * Never rejects.
 */
export async function tell(event: LockstepEvent, { events, clock, log, metrics }: TellPorts): Promise<void> {
  for (let tried = 0; ; tried++) {
    try {
      return await events.publish(event)
    } catch (error) {
      const pause = pausesMs[tried]
      if (pause !== undefined) {
        await sleep(clock, pause)
        continue
      }
      const reason = error instanceof Error ? error.name : 'unknown error'
      log.warn('an event was not published', { type: event.type, id: event.id, reason })
      return metrics.untold(event.type)
    }
  }
}
