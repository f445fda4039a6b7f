import * as z from 'zod'
import { type Cluster, ClusterError, type ClusterErrorName, type ObjectRef } from '../../kubernetes/cluster.ts'
import { clusterFailure } from './cluster-failure.ts'
import type { KeyReads } from './known-keys.ts'
import { type LockRecord, millisecondsOf, readLockRecord } from './lock-info.ts'
import {
  type DeleteOutcome,
  type FoundLock,
  type LeaseLockAddress,
  type LockAddress,
  type LockStore,
  noLockOf,
  versionOf,
} from './lock-store.ts'

type FoundLease = FoundLock<LeaseLockAddress>

/** What OpenTofu's backend calls its Leases. They have labels as well, but those are the user's to change. */
const namePrefix = 'lock-tfstate-'
const recordAnnotation = 'app.terraform.io/lock-info'

const leaseSchema = z.object({
  metadata: z.object({
    namespace: z.string(),
    name: z.string(),
    resourceVersion: z.string().min(1).optional().catch(undefined),
    annotations: z.record(z.string(), z.unknown()).nullish().catch({}),
    managedFields: z.array(z.unknown()).nullish().catch([]),
  }),
  spec: z.object({ holderIdentity: z.string().nullish() }).nullish(),
})

type Lease = z.infer<typeof leaseSchema>

const holderWrittenSchema = z.object({
  time: z.string(),
  fieldsV1: z.object({ 'f:spec': z.object({ 'f:holderIdentity': z.unknown() }) }),
})

/**
 * The locks of OpenTofu's backend `kubernetes`: Leases in all namespaces of a cluster. A Lease that nobody holds stays,
 * so releasing one is a patch, and one without a holder is no lock. One whose holder is the empty text is: OpenTofu
 * does not take it.
 */
export class LeaseLockStore implements LockStore<LeaseLockAddress>, Pick<KeyReads, 'listCost'> {
  readonly name: string
  private readonly cluster: Cluster

  constructor(cluster: Cluster) {
    this.cluster = cluster
    this.name = `Leases of cluster ${cluster.name}`
  }

  async list(): Promise<FoundLease[]> {
    const { items } = await this.tried('list', () => this.cluster.list('Lease'))
    return items.flatMap((item) => this.lockIn(item) ?? [])
  }

  async read(address: LockAddress): Promise<FoundLease | undefined> {
    const ref = this.own(address)
    try {
      return this.lockIn(await this.cluster.get(ref))
    } catch (error) {
      if (isNamed(error, 'ClusterNotFound')) return undefined
      throw this.failure('get', error)
    }
  }

  /** One request, as a read. */
  async listCost(): Promise<number> {
    return 1
  }

  async deleteIfUnchanged(lock: FoundLock): Promise<DeleteOutcome> {
    const ref = this.own(lock.address)
    const resourceVersion = versionOf(this.name, lock)
    const body = { metadata: { annotations: { [recordAnnotation]: null } }, spec: { holderIdentity: null } }
    try {
      await this.cluster.patch(ref, { type: 'merge', body, resourceVersion })
      return 'deleted'
    } catch (error) {
      if (isNamed(error, 'ClusterNotFound')) return 'gone'
      if (!isNamed(error, 'ClusterConflict')) throw this.failure('patch', error)
    }
    return (await this.read(lock.address)) ? 'changed' : 'gone'
  }

  /** Undefined for a Lease that is somebody else's, or that nobody holds. */
  private lockIn(raw: unknown): FoundLease | undefined {
    const lease = leaseSchema.safeParse(raw).data
    const holderIdentity = lease?.spec?.holderIdentity
    if (!lease?.metadata.name.startsWith(namePrefix) || typeof holderIdentity !== 'string') return undefined
    const { namespace, name, resourceVersion } = lease.metadata
    const takenAt = holderWrittenAt(lease)
    return {
      address: { store: 'kubernetes', cluster: this.cluster.name, namespace, name },
      record: recordOf(lease),
      holderIdentity,
      ...(takenAt !== undefined && { takenAt }),
      ...(resourceVersion !== undefined && { version: resourceVersion }),
    }
  }

  private own(address: LockAddress): ObjectRef<'Lease'> {
    const isHere = address.store === 'kubernetes' && address.cluster === this.cluster.name
    if (!isHere || !address.name.startsWith(namePrefix)) throw noLockOf(this.name, address)
    const { namespace, name } = address
    return { kind: 'Lease', namespace, name }
  }

  private async tried<T>(verb: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      throw this.failure(verb, error)
    }
  }

  private failure(verb: string, error: unknown): unknown {
    return clusterFailure({ store: this.name, verb, resource: 'leases.coordination.k8s.io' }, error)
  }
}

function recordOf({ metadata }: Lease): LockRecord {
  const raw = metadata.annotations?.[recordAnnotation]
  return typeof raw === 'string' ? readLockRecord(raw) : { problem: 'is missing' }
}

/** When the manager that set holderIdentity last wrote, by the API server's clock. */
function holderWrittenAt({ metadata }: Lease): number | undefined {
  for (const entry of metadata.managedFields ?? []) {
    const written = holderWrittenSchema.safeParse(entry)
    if (written.success) return millisecondsOf(written.data.time)
  }
  return undefined
}

function isNamed(error: unknown, name: ClusterErrorName): boolean {
  return error instanceof ClusterError && error.name === name
}
