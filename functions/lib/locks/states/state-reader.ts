import { type StateAddress, stateText } from '../backends/lock-place.ts'
import type { StateEvidence } from '../evidence.ts'
import { LockStoreError } from '../stores/lock-store.ts'

/** Reads how a state is now, to see later whether it has moved. Implementations: for S3 and for Secrets. */
export interface StateReader {
  /** A state that does not exist is evidence too. Throws LockStoreError. */
  read(address: StateAddress): Promise<StateEvidence>
}

/** The error for a state that is kept elsewhere. */
export function noStateOf(store: string, address: StateAddress): LockStoreError {
  const message = `${stateText(address)} is not the address of a state here.`
  return new LockStoreError('NoLockOfThisStore', store, message, 'Ask the reader of the store that keeps it.')
}
