import type { Clock } from '../../clock.ts'
import { LockstepError } from '../../errors.ts'
import { refKey } from '../../kubernetes/cluster.ts'
import type { LockPlace } from '../backends/lock-place.ts'
import { type Evidence, type Look, type NodesEvidence, type Piece, type PodEvidence, readingOf } from '../evidence.ts'
import type { StateReader } from '../states/state-reader.ts'
import { type FoundLock, LockStoreError } from '../stores/lock-store.ts'
import type { ClusterLook } from './cluster-look.ts'
import { holderOf } from './holder.ts'
import { joinedLock } from './joined-lock.ts'
import { runnerOf } from './pod-evidence.ts'

/** The Terraform object whose backend a place is. */
export interface Owner {
  readonly cluster: string
  readonly namespace: string
  readonly name: string
}

/** One place where a lock can be, and whose it is. */
export interface OwnedPlace extends LockPlace {
  readonly key: string
  readonly owner: Owner
  /** Objects of the same cluster that keep the same state. Their runners are told apart by the objects' names. */
  readonly others?: readonly Owner[]
  /** Why a run of the owner cannot be told from one of somebody else, whatever is corrected later. */
  readonly shared?: string
  /** Why that cannot be told now: what others keep could not be read. */
  readonly unclear?: string
}

export interface GatherPorts {
  readonly look: Pick<ClusterLook, 'pod' | 'nodes' | 'controller' | 'object' | 'strayRunner'>
  readonly states: StateReader
  readonly clock: Clock
}

/**
 * What can be known about a lock of an object of a cluster. `found` was read after `at` and before this is called: what
 * the holder does later than the lock was read cannot make it look dead.
 */
export async function gather(
  place: OwnedPlace,
  found: readonly FoundLock[],
  at: number,
  { look, states, clock }: GatherPorts,
): Promise<Look> {
  const { shared, state: address } = place
  const lock = joinedLock(found)
  const owner = ownerOf(place, lock.record)
  const ref = { kind: 'Terraform', namespace: owner.namespace, name: owner.name } as const
  const unclear = shared ?? place.unclear
  const named = unclear === undefined ? holderOf(lock.record, owner) : { other: unclear }
  const { holder, unread } = 'runner' in named ? await unlessStray(named, owner, look) : { holder: named }
  const isRunner = 'runner' in holder
  const whyNoPod = isRunner ? unread : 'its holder is no runner of this object'
  const podSource = isRunner ? `Pods of runners in ${owner.cluster}` : `Pod of ${owner.name}`
  const pod =
    whyNoPod === undefined
      ? await look.pod({ namespace: owner.namespace, name: runnerOf(owner.name) })
      : notAsked<PodEvidence>(podSource, at, whyNoPod)
  const [nodes, controller, object, state] = await Promise.all([
    isRunner ? look.nodes(nodeOf(pod)) : notAsked<NodesEvidence>('nodes', at, 'its holder is no runner of this object'),
    look.controller(),
    look.object(ref),
    readState(address, states, clock),
  ])
  const isOf = { cluster: owner.cluster, object: refKey(ref) }
  return {
    at,
    lock,
    owner: isOf,
    holder,
    pod,
    nodes,
    controller,
    object,
    state,
    ...(shared !== undefined && { shared }),
  }
}

/** A runner of the same name whose object is gone may be the holder; what could not be read, `unread`, rules nothing out. */
async function unlessStray(
  named: Evidence['holder'],
  owner: Owner,
  look: GatherPorts['look'],
): Promise<{ holder: Evidence['holder']; unread?: string }> {
  try {
    const stray = await look.strayRunner(owner)
    return { holder: stray === undefined ? named : { other: stray } }
  } catch (error) {
    return { holder: named, unread: error instanceof LockstepError ? error.message : `failed with ${nameOf(error)}` }
  }
}

/** Of objects that keep one state, the one whose runner's name the record has. */
function ownerOf({ owner, others = [] }: OwnedPlace, record: Look['lock']['record']): Owner {
  return [owner, ...others].find((each) => 'runner' in holderOf(record, each)) ?? owner
}

/**
 * What is known about a lock that belongs to no object: what is stored. `unread`: clusters whose objects nobody knows.
 */
export function ownerlessLook(found: readonly FoundLock[], at: number, unread: readonly string[] = []): Look {
  const asFarAs = unread.length > 0 ? `, as far as is known: ${unread.slice(0, 3).join(', ')} could never be read` : ''
  const holder = { other: `it belongs to no object of any cluster of the fleet${asFarAs}` }
  return { at, lock: joinedLock(found), holder, ...nothingAsked(at) }
}

/** That nobody holds the lock of a place any more. */
export function freeLook(owner: Evidence['owner'], at: number): Look {
  const holder = { other: 'nobody holds it' }
  return { at, lock: { parts: [] }, ...(owner && { owner }), holder, ...nothingAsked(at) }
}

function nothingAsked(at: number): Pick<Look, 'pod' | 'nodes' | 'controller' | 'object' | 'state'> {
  const piece = (source: string) => notAsked<never>(source, at, 'was not looked for')
  return {
    pod: piece('the pod of its holder'),
    nodes: piece('the nodes of its cluster'),
    controller: piece('the controller of its cluster'),
    object: piece('its object'),
    state: piece('its state'),
  }
}

function notAsked<T>(source: string, readAt: number, unknown: string): Piece<T> {
  return { source, readAt, reading: { unknown } }
}

function nodeOf(piece: Piece<PodEvidence>): string | undefined {
  const pod = readingOf(piece)
  return pod?.exists ? pod.node : undefined
}

async function readState(address: LockPlace['state'], states: StateReader, clock: Clock): Promise<Look['state']> {
  const source =
    address.store === 's3'
      ? `s3://${address.bucket}/${address.key}`
      : `Secret/${address.namespace}/${address.name} in ${address.cluster}`
  try {
    const value = await states.read(address)
    return { source, readAt: clock.now(), reading: { value } }
  } catch (error) {
    // Its message says which store, which permission and what to do; those of others may carry what was read.
    const why = error instanceof LockStoreError ? error.message : `could not be read (${nameOf(error)})`
    return { source, readAt: clock.now(), reading: { unknown: why } }
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error'
}
