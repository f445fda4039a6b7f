import type { Clock } from '../../../functions/lib/clock.ts'
import type { StateAddress } from '../../../functions/lib/locks/backends/lock-place.ts'
import type { StateEvidence } from '../../../functions/lib/locks/evidence.ts'
import type { StateReader } from '../../../functions/lib/locks/states/state-reader.ts'
import {
  type StateBackup,
  type StateKeeper,
  type StateWrite,
  stateMoved,
} from '../../../functions/lib/unlock/state/state-backup.ts'
import { stateBucket, stateKey } from '../world/lock-place.ts'
import type { State } from '../world/state.ts'

/** The state's bucket, which keeps versions. */
export class ChaosStates implements StateReader, StateKeeper {
  private readonly state: State
  private readonly clock: Clock

  constructor(state: State, clock: Clock) {
    this.state = state
    this.clock = clock
  }

  async read(address: StateAddress): Promise<StateEvidence> {
    if (!isTheState(address)) return { exists: false }
    const { version, serial, lineage, at } = this.state.newest
    return { exists: true, version, serial, lineage, md5: version, sizeBytes: 9, modifiedAt: at }
  }

  async backUp(address: StateAddress, _unlock: string, expected: string | undefined): Promise<StateBackup> {
    const { version, serial, lineage } = this.state.newest
    if (version !== expected) throw stateMoved(address)
    return {
      ...{
        kind: 's3-version',
        region: 'us-east-1',
        bucket: stateBucket,
        key: stateKey,
        versionId: version,
        etag: version,
      },
      ...{ serial, lineage, md5: version, sizeBytes: 9, at: this.clock.now() },
    }
  }

  async writesSince(_address: StateAddress, backup: StateBackup): Promise<StateWrite[]> {
    const before = backup.kind === 's3-version' ? backup.versionId : ''
    const { versions } = this.state
    const from = versions.findIndex(({ version }) => version === before)
    return versions.slice(from + 1).map(({ version, serial, lineage, at }) => {
      return { version, serial, lineage, md5: version, sizeBytes: 9, at, deleted: false }
    })
  }
}

function isTheState(address: StateAddress): boolean {
  return address.store === 's3' && address.bucket === stateBucket && address.key === stateKey
}
