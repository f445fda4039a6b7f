import { readFileSync } from 'node:fs'
import { LockstepError } from '../functions/lib/errors.ts'
import { type Fleet, parseFleet } from '../functions/lib/fleet.ts'

export interface FleetFile {
  /** Checked, with all defaults and with durations in milliseconds. */
  readonly fleet: Fleet
  /** As written: what functions get at bundling and check again when they start. */
  readonly written: unknown
}

/**
 * The fleet in a CDK context file, at `context.lockstep`. Throws FleetUnreadable where there is no such file, no
 * JSON or no such key in it, and FleetInvalid with every mistake of the fleet itself.
 */
export function readFleet(file = 'cdk.json'): FleetFile {
  const written = contextOf(file)
  return { fleet: parseFleet(written), written }
}

function contextOf(file: string): unknown {
  const content: unknown = json(file)
  const context = isObject(content) ? content.context : undefined
  if (isObject(context) && Object.hasOwn(context, 'lockstep')) return context.lockstep
  throw unreadable(`${file} has no key "lockstep" under "context".`, 'Describe the fleet there.')
}

function json(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const code = isObject(cause) && typeof cause.code === 'string' ? cause.code : 'unknown error'
    throw unreadable(`${file} cannot be read (${code}).`, 'Give the path of a cdk.json.', cause)
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw unreadable(`${file} is not JSON: ${reason}.`, 'Correct it there.', cause)
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

const unreadable = (message: string, next: string, cause?: unknown) =>
  new LockstepError('FleetUnreadable', message, next, { cause })
