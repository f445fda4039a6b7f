import * as z from 'zod'

/** That an event is being, or was, told on a channel. */
export const noticeSchema = z.object({
  /** The event's id. */
  event: z.string(),
  channel: z.string(),
  /** Counts the writes: every write is conditional on it. */
  version: z.int(),
  /** Until then whoever tells it is taken to be alive. Milliseconds since the epoch. */
  until: z.number(),
  sentAt: z.number().optional(),
})
export type Notice = z.output<typeof noticeSchema>
