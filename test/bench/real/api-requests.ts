import { readFileSync } from 'node:fs'
import * as z from 'zod'

const eventSchema = z.object({
  verb: z.string(),
  user: z.object({ username: z.string() }),
  userAgent: z.string().default(''),
  requestReceivedTimestamp: z.iso.datetime({ offset: true }),
})

export interface RequestCounts {
  /** Of Lockstep, by verb: get, list, watch, patch. */
  readonly lockstep: Readonly<Record<string, number>>
  /** Of Flux's and OpenTofu's controllers together. */
  readonly controllers: number
}

/** Counts the requests of a span of time (milliseconds since the epoch) in the API server's audit log. */
export function countRequests(auditLog: string, from: number, to: number): RequestCounts {
  const lockstep: Record<string, number> = {}
  let controllers = 0
  for (const line of readFileSync(auditLog, 'utf8').split('\n')) {
    if (line === '') continue
    const event = eventSchema.parse(JSON.parse(line))
    const at = Date.parse(event.requestReceivedTimestamp)
    if (at < from || at > to) continue
    if (event.user.username === 'lockstep') lockstep[event.verb] = (lockstep[event.verb] ?? 0) + 1
    else if (/controller|manager/.test(event.userAgent)) controllers++
  }
  return { lockstep, controllers }
}
