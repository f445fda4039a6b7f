import { createHash } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { type Cluster, ClusterError, type ObjectContent } from '../../kubernetes/cluster.ts'
import { type SecretStateAddress, type StateAddress, stateText } from '../../locks/backends/lock-place.ts'
import { readStateSecret, type StateSecret, secretAddressIn } from '../../locks/states/secret-state.ts'
import { clusterFailure } from '../../locks/stores/cluster-failure.ts'
import { LockStoreError } from '../../locks/stores/lock-store.ts'
import { noBackupOf, type StateBackup, type StateKeeper, type StateWrite, stateMoved } from './state-backup.ts'

/** On a backup: the name of the Secret that it is a copy of. */
export const backupOfAnnotation = 'lockstep.dev/backup-of'
/** On a backup: the guarded unlock before whose delete it was made. */
export const backupByAnnotation = 'lockstep.dev/backup-by'

/**
 * Keeps states of OpenTofu's backend `kubernetes`: by another Secret beside them, which nobody can change. It has none
 * of the labels by which OpenTofu lists its states, so it is no workspace. Needs get and create on secrets.
 */
export class SecretStateKeeper implements StateKeeper {
  private readonly cluster: Cluster
  private readonly clock: Clock

  constructor(cluster: Cluster, clock: Clock) {
    this.cluster = cluster
    this.clock = clock
  }

  async backUp(address: StateAddress, unlock: string, expected: string | undefined): Promise<StateBackup> {
    const place = secretAddressIn(this.cluster, address)
    const at = this.clock.now()
    const found = await readStateSecret(this.cluster, place)
    if (found?.evidence.version !== expected) throw stateMoved(place)
    if (!found) return { kind: 'none', at }
    const copy = copyName(unlock, place)
    await this.copy(place, { copy, unlock, found })
    const { exists: _, version: resourceVersion, ...content } = found.evidence
    const { cluster, namespace, name } = place
    return { kind: 'secret-copy', cluster, namespace, name, copy, resourceVersion, ...content, at }
  }

  async writesSince(address: StateAddress, backup: StateBackup): Promise<StateWrite[]> {
    const place = secretAddressIn(this.cluster, address)
    const copied = copiedFrom(place, backup)
    const now = (await readStateSecret(this.cluster, place))?.evidence
    if (!now || (copied && isSame(copied, now))) return []
    const { exists: _, modifiedAt: at, ...state } = now
    return [{ ...state, ...(at !== undefined && { at }), deleted: false }]
  }

  private async copy(place: SecretStateAddress, { copy, unlock, found }: Copy): Promise<void> {
    const ref = { kind: 'Secret', namespace: place.namespace, name: copy } as const
    try {
      await this.cluster.create(ref, contentOf(place, unlock, found))
    } catch (error) {
      const exists = error instanceof ClusterError && error.name === 'AlreadyExists'
      if (!exists) throw clusterFailure({ store: stateText(place), verb: 'create', resource: 'secrets' }, error)
      const made = await readStateSecret(this.cluster, { ...place, name: copy })
      if (made?.tfstate !== found.tfstate) throw otherBackup(place, copy)
    }
  }
}

interface Copy {
  readonly copy: string
  readonly unlock: string
  readonly found: StateSecret
}

/** An unlock's id may have letters that a name may not have, and a state's name fills all that it may have. */
function copyName(unlock: string, { name }: SecretStateAddress): string {
  const digest = createHash('sha256').update(`${unlock} ${name}`).digest('hex')
  return `lockstep-backup-${digest.slice(0, 24)}`
}

function contentOf({ name }: SecretStateAddress, unlock: string, { tfstate }: StateSecret): ObjectContent {
  return {
    metadata: {
      labels: { 'app.kubernetes.io/managed-by': 'lockstep' },
      annotations: { [backupOfAnnotation]: name, [backupByAnnotation]: unlock, encoding: 'gzip' },
    },
    type: 'Opaque',
    immutable: true,
    data: { tfstate },
  }
}

type SecretCopy = Extract<StateBackup, { kind: 'secret-copy' }>

/** Undefined where there was no state. */
function copiedFrom(place: SecretStateAddress, backup: StateBackup): SecretCopy | undefined {
  if (backup.kind === 'none') return undefined
  const isIts = (copy: SecretCopy) =>
    (['cluster', 'namespace', 'name'] as const).every((part) => copy[part] === place[part])
  if (backup.kind === 'secret-copy' && isIts(backup)) return backup
  throw noBackupOf(place, backup)
}

/** A Secret moves to another version with every label that somebody sets on it: the state is what counts. */
function isSame({ resourceVersion, md5 }: SecretCopy, now: StateSecret['evidence']): boolean {
  return resourceVersion === now.version || (md5 !== undefined && md5 === now.md5)
}

function otherBackup(place: SecretStateAddress, copy: string): LockStoreError {
  const message = `its backup was to be Secret/${place.namespace}/${copy}, and that is a copy of something else.`
  return new LockStoreError('LockStoreRejected', stateText(place), message, 'Find out who has made it, and remove it.')
}
