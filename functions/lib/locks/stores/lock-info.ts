import * as z from 'zod'

/**
 * What OpenTofu and Terraform write down about whoever holds a state lock. Compact JSON, in this order. `Created` is
 * the holder's clock: RFC 3339 in UTC with up to 9 fractional digits. `Who` is user@host. `Path` is bucket/key on S3
 * and empty on Kubernetes.
 */
export const lockRecordSchema = z.object({
  ID: z.string(),
  Operation: z.string().default(''),
  Info: z.string().default(''),
  Who: z.string().default(''),
  Version: z.string().default(''),
  Created: z.string().default(''),
  Path: z.string().default(''),
})

/** What a lock record says. All of it is the holder's word: nothing in it was checked by anybody. */
export interface LockInfo {
  readonly id: string
  /** `OperationTypeApply` and the like; what we do not know is kept as it is. */
  readonly operation: string
  readonly info: string
  /** Before the last `@` of Who. May be empty. */
  readonly user: string
  /** After the last `@` of Who: a pod's name for a runner. May be empty. */
  readonly host: string
  /** Of the program that took the lock. */
  readonly version: string
  /** As it was written. */
  readonly created: string
  /** `created` in milliseconds since the epoch, what is finer cut off. Undefined where it is no time. */
  readonly createdAt?: number
  readonly path: string
}

/** A lock's record: what it says, or why it cannot be read. A lock is a lock all the same. */
export type LockRecord = ReadableRecord | UnreadableRecord

export interface ReadableRecord {
  /** As it is stored, byte for byte. */
  readonly raw: string
  readonly info: LockInfo
}

export interface UnreadableRecord {
  /** As it is stored, byte for byte. Undefined where there is no text at all, or too much of it to be read. */
  readonly raw?: string
  readonly info?: undefined
  /** Why there is no info: `is not JSON`. Never repeats the text. */
  readonly problem: string
}

/** Real ones have some 300 characters. What is longer is not kept: there may be hundreds of them. */
const lengthLimit = 64 * 1024

/** Reads a record that anybody may have written. Never throws. */
export function readLockRecord(raw: string): LockRecord {
  if (raw === '') return { raw, problem: 'is empty' }
  if (raw.length > lengthLimit) return { problem: `is too long for a lock record (${raw.length} characters)` }
  const json = jsonOf(raw)
  if (json === undefined) return { raw, problem: 'is not JSON' }
  const record = lockRecordSchema.safeParse(json)
  if (!record.success) return { raw, problem: shapeProblem(record.error) }
  return { raw, info: infoOf(record.data) }
}

/**
 * An RFC 3339 time with 0 to 9 fractional digits in milliseconds since the epoch; what is finer is cut off. Undefined
 * for what is no such time, and for the time that Go prints where none was set.
 */
export function millisecondsOf(time: string): number | undefined {
  if (!timePattern.test(time) || !z.iso.datetime({ offset: true }).safeParse(time).success) return undefined
  const at = Date.parse(time)
  return Number.isNaN(at) || at === goZeroTime ? undefined : at
}

/** zod leaves the seconds out and the digits without a limit; here is what Go writes. */
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/
const goZeroTime = Date.parse('0001-01-01T00:00:00Z')

function infoOf(record: z.infer<typeof lockRecordSchema>): LockInfo {
  const createdAt = millisecondsOf(record.Created)
  return {
    id: record.ID,
    operation: record.Operation,
    info: record.Info,
    ...userAndHost(record.Who),
    version: record.Version,
    created: record.Created,
    ...(createdAt !== undefined && { createdAt }),
    path: record.Path,
  }
}

/** A user may have an `@` in the name, a host may not. Without one, it is not known to be a host. */
function userAndHost(who: string): { user: string; host: string } {
  const at = who.lastIndexOf('@')
  if (at < 0) return { user: who, host: '' }
  return { user: who.slice(0, at), host: who.slice(at + 1) }
}

function jsonOf(raw: string): unknown {
  try {
    return JSON.parse(raw)
  } catch {
    return undefined
  }
}

function shapeProblem({ issues }: z.ZodError): string {
  const fields = issues.flatMap(({ path }) => (path.length > 0 ? [path.join('.')] : []))
  return fields.length > 0 ? `is no lock record: ${fields.join(', ')} must be text` : 'is no lock record'
}
