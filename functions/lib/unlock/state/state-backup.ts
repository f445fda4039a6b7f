import * as z from 'zod'
import { type StateAddress, stateText } from '../../locks/backends/lock-place.ts'
import type { StateContent } from '../../locks/states/state-content.ts'
import { LockStoreError } from '../../locks/stores/lock-store.ts'
import { UnlockStopped } from '../run/unlock-stopped.ts'

const time = z.number()

/** What the state told of itself when it was backed up. */
const content = {
  serial: z.number().optional(),
  lineage: z.string().optional(),
  md5: z.string().optional(),
  sizeBytes: z.number(),
  /** When it had been written, by the store's clock. */
  modifiedAt: time.optional(),
  /** When it was backed up, by our clock. */
  at: time,
}

const object = { region: z.string(), bucket: z.string(), key: z.string() }

/** Where a state can be had again as it was before its lock was deleted. It holds nothing of the state itself. */
export const stateBackupSchema = z.discriminatedUnion('kind', [
  /** There was no state. In a bucket with versions `last` is its last delete marker, by the store's clock. */
  z.object({ kind: z.literal('none'), at: time, last: z.object({ versionId: z.string(), at: time }).optional() }),
  /** A version of the object: it stays when the state is written again. */
  z.object({ kind: z.literal('s3-version'), ...object, versionId: z.string(), etag: z.string(), ...content }),
  /** A copy beside the object, where a write leaves nothing of what was there. `etag` is the state's own. */
  z.object({ kind: z.literal('s3-copy'), ...object, copyKey: z.string(), etag: z.string(), ...content }),
  /** Another Secret in the same namespace. `resourceVersion` is that of the state. */
  z.object({
    kind: z.literal('secret-copy'),
    cluster: z.string(),
    namespace: z.string(),
    name: z.string(),
    copy: z.string(),
    resourceVersion: z.string(),
    ...content,
  }),
])
export type StateBackup = z.infer<typeof stateBackupSchema>

/** One write of a state, by whomever. */
export interface StateWrite extends Partial<StateContent> {
  /** Of what was written: see StateEvidence. Of a delete marker, where the state was deleted. */
  readonly version: string
  /** By the store's clock, in milliseconds since the epoch. */
  readonly at?: number
  readonly deleted: boolean
}

/** Keeps states. Implementations: for S3 and for Secrets. Both methods throw LockStoreError. */
export interface StateKeeper {
  /**
   * Sees to it that the state can be had again as it is now; nothing of it is changed. `expected` is the version that
   * was judged, undefined where there was no state: a state that has moved since makes an UnlockStopped `StateMoved`.
   * Done twice for one `unlock` it answers the same backup but for its time.
   */
  backUp(address: StateAddress, unlock: string, expected: string | undefined): Promise<StateBackup>
  /**
   * What was written to the state since, the oldest first. A store that keeps no versions knows of the last write only,
   * of none where the state was deleted, and not of one that has written the same again.
   */
  writesSince(address: StateAddress, backup: StateBackup): Promise<StateWrite[]>
}

/** The version of the state that a backup is of, as StateEvidence has it. Undefined where there was no state. */
export function versionOf(backup: StateBackup): string | undefined {
  switch (backup.kind) {
    case 'none':
      return undefined
    case 's3-version':
      return backup.versionId
    case 's3-copy':
      return backup.etag
    case 'secret-copy':
      return backup.resourceVersion
  }
}

/** The error for a state that is not the one whose lock was judged. */
export function stateMoved(address: StateAddress): UnlockStopped {
  const message = `${stateText(address)} has been written since its lock was judged: somebody works with it.`
  return new UnlockStopped('StateMoved', message, 'Find out who does. The lock is judged anew by the next scan.')
}

/** The error for a backup that is of a state elsewhere. */
export function noBackupOf(address: StateAddress, { kind }: StateBackup): LockStoreError {
  const next = 'Ask the keeper that has made it.'
  return new LockStoreError('LockStoreRejected', stateText(address), `a backup of kind ${kind} is not of it.`, next)
}

/** Where the state can be had again, for people. */
export function backupText(backup: StateBackup): string {
  switch (backup.kind) {
    case 'none':
      return 'no backup, as there was no state'
    case 's3-version':
      return `version ${backup.versionId} of s3://${backup.bucket}/${backup.key}`
    case 's3-copy':
      return `s3://${backup.bucket}/${backup.copyKey}`
    case 'secret-copy':
      return `Secret/${backup.namespace}/${backup.copy} in ${backup.cluster}`
  }
}
