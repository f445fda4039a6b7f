import { blotted } from '../blotted.ts'
import type { Condition } from './object.ts'

/** Longest piece of a controller's message that is kept: they hold whole plans and stack traces at times. */
const longest = 240

/** A condition as people read it and the ledger keeps it: `Reason: message`, short, with what looks secret blotted out. */
export function told({ reason, message }: Condition): string {
  return shortened(message ? `${reason}: ${message}` : reason)
}

/** Blots out what looks secret, and cuts to what is kept. */
export function shortened(text: string): string {
  const clean = blotted(text.slice(0, 4 * longest))
  return clean.length > longest ? `${clean.slice(0, longest - 1)}…` : clean
}
