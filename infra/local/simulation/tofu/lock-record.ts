import { randomBytes } from 'node:crypto'
import type * as z from 'zod'
import { lockRecordSchema } from '../../../../functions/lib/locks/stores/lock-info.ts'

/** What OpenTofu writes down about whoever holds a state lock. */
export type LockRecord = z.infer<typeof lockRecordSchema>

export type LockOperation = 'OperationTypePlan' | 'OperationTypeApply' | 'init'

/** The OpenTofu that tofu-controller v0.16.5 brings along. */
export const tofuVersion = '1.12.1'

/** A new record for a lock that is taken at `at` (milliseconds since the epoch). */
export function newLockRecord(operation: LockOperation, who: string, path: string, at: number): LockRecord {
  return {
    ID: newLockId(),
    Operation: operation,
    Info: '',
    Who: who,
    Version: tofuVersion,
    Created: withNanoseconds(at),
    Path: path,
  }
}

/** As OpenTofu stores it: compact JSON, with `<`, `>` and `&` escaped as Go does. */
export function renderLockRecord(record: LockRecord): string {
  const escapes: Record<string, string> = { '<': '\\u003c', '>': '\\u003e', '&': '\\u0026' }
  return JSON.stringify(record).replaceAll(/[<>&]/g, (character) => escapes[character] ?? character)
}

/** Undefined for what is no lock record. */
export function parseLockRecord(text: string | undefined): LockRecord | undefined {
  if (text === undefined) return undefined
  try {
    return lockRecordSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** Of a lock that somebody holds without saying who. */
export function nameless(ID = ''): LockRecord {
  return { ID, Operation: '', Info: '', Who: '', Version: '', Created: '', Path: '' }
}

/** The error that tofu-controller's runner makes of a lock that somebody else holds. What is empty is a space in it. */
export function lockHeldMessage(record: LockRecord): string {
  const lines = [
    ['ID', record.ID],
    ['Path', record.Path],
    ['Operation', record.Operation],
    ['Who', record.Who],
    ['Version', record.Version],
    ['Created', goTime(record.Created)],
  ].map(([name, value]) => `  ${`${name}:`.padEnd(11)}${value || ' '}\n`)
  return `error acquiring the state lock: Lock Info:\n${lines.join('')}`
}

/** A time as Go prints it: `2026-11-21 08:13:45.801448737 +0000 UTC`. What is no time in UTC stays as it is. */
export function goTime(rfc3339: string): string {
  return rfc3339.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)Z$/, '$1 $2 +0000 UTC')
}

/** Shaped like a UUID, but its bits say neither version nor variant. */
function newLockId(): string {
  const hex = randomBytes(16).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** The clock knows milliseconds; the rest is made up. The last digit is not 0, which Go would leave out. */
function withNanoseconds(at: number): string {
  const rest = `${1 + (randomBytes(3).readUIntBE(0, 3) % 99_999)}`.padStart(5, '0')
  return `${new Date(at).toISOString().slice(0, -1)}${rest}7Z`
}
