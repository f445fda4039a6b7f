import { createHash } from 'node:crypto'
import type { Evidence, LockClaimed, LockPart } from '../evidence.ts'
import type { LockInfo } from '../stores/lock-info.ts'
import { addressText, type FoundLock } from '../stores/lock-store.ts'

type Lock = Evidence['lock']

/** Anybody may have written anything: what is longer is of no use to people, and an item of the ledger has its limit. */
const textLimit = 500

/**
 * What was found in the places of one lock as one: its parts, and the record that they agree on. Parts that tell of
 * different locks, and records that cannot be read, are a problem and give no record to go by.
 */
export function joinedLock(found: readonly FoundLock[]): Lock {
  const parts = found.map(partOf)
  const infos = found.flatMap(({ record }) => record.info ?? [])
  const problem = found.flatMap((part) => problemOf(part) ?? [])[0] ?? disagreement(infos)
  const [info] = infos
  if (problem !== undefined) return { parts, problem }
  return { parts, ...(info && { record: claimedIn(info) }) }
}

function partOf({ address, version, takenAt }: FoundLock): LockPart {
  return {
    store: address.store,
    address: addressText(address),
    ...(version !== undefined && { version: digestOf(version) }),
    ...(takenAt !== undefined && { takenAt }),
  }
}

/** Only compared, and for an item of a table it is the whole record, whoever wrote it and however long it is. */
function digestOf(version: string): string {
  return createHash('sha256').update(version).digest('hex').slice(0, 32)
}

function problemOf({ record, holderIdentity }: FoundLock): string | undefined {
  if (!record.info) return record.problem
  // Locks are told apart by their IDs: none is cut.
  if (record.info.id === '' || record.info.id.length > textLimit) return 'has no ID that a lock can have'
  if (holderIdentity === undefined || holderIdentity === record.info.id) return undefined
  return 'names another lock than the holder of its Lease'
}

function disagreement(infos: readonly LockInfo[]): string | undefined {
  const ids = new Set(
    infos.map(({ id, operation, user, host, created }) => [id, operation, user, host, created].join()),
  )
  return ids.size > 1 ? 'tells of one lock in one of its places, and of another in the other' : undefined
}

function claimedIn(info: LockInfo): LockClaimed {
  const { id, operation, user, host, version, created, createdAt, path } = info
  return {
    id,
    operation: cut(operation),
    user: cut(user),
    host: cut(host),
    version: cut(version),
    created: cut(created),
    ...(createdAt !== undefined && { createdAt }),
    path: cut(path),
  }
}

function cut(text: string): string {
  return text.length > textLimit ? `${text.slice(0, textLimit)}…` : text
}
