import { gunzipSync, gzipSync } from 'node:zlib'
import { builtinResources } from '../../kubernetes/builtin-resources.ts'
import type { KubernetesObject, ObjectStore } from '../../kubernetes/object-store.ts'
import { type LockRecord, nameless, parseLockRecord, renderLockRecord } from './lock-record.ts'
import { LockLost, type StateBackend, type TofuState, tofuStateSchema } from './state-backend.ts'

const manager = 'OpenTofu'
const lockInfo = 'app.terraform.io/lock-info'

export interface StateLocation {
  readonly namespace: string
  readonly workspace: string
  readonly suffix: string
}

/**
 * OpenTofu's backend `kubernetes`: the state is a Secret, the lock a Lease that never expires. A Lease that nobody
 * holds stays, with an empty spec.
 */
export class KubernetesState implements StateBackend {
  readonly path = ''
  readonly writesAtInit = true
  private readonly store: ObjectStore
  private readonly location: StateLocation

  constructor(store: ObjectStore, location: StateLocation) {
    this.store = store
    this.location = location
  }

  async acquire(record: LockRecord, info = renderLockRecord(record)): Promise<LockRecord | undefined> {
    const held = await this.holder()
    if (held) return held
    const taken = this.changeLease((lease) => {
      lease.metadata.annotations = { ...lease.metadata.annotations, [lockInfo]: info }
      lease.spec = { ...lease.spec, holderIdentity: record.ID }
    })
    if (taken) return undefined
    const metadata = { ...this.metadata(`lock-${this.stateName}`), annotations: { [lockInfo]: info } }
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: { holderIdentity: record.ID } }
    this.store.create(builtinResources.Lease, lease, manager)
    return undefined
  }

  async release(id: string): Promise<void> {
    const held = await this.holder()
    if (held?.ID !== id) throw new LockLost(`lock id "${id}" does not match existing lock "${held?.ID ?? ''}"`)
    this.changeLease((lease) => {
      delete lease.metadata.annotations?.[lockInfo]
      lease.spec = {}
    })
  }

  async holder(): Promise<LockRecord | undefined> {
    const lease = this.store.get(builtinResources.Lease, this.location.namespace, `lock-${this.stateName}`)
    const id = lease?.spec?.holderIdentity
    if (typeof id !== 'string' || id === '') return undefined
    return parseLockRecord(lease?.metadata.annotations?.[lockInfo]) ?? nameless(id)
  }

  async read(): Promise<TofuState | undefined> {
    const secret = this.store.get(builtinResources.Secret, this.location.namespace, this.stateName)
    const data = (secret?.data as { tfstate?: string } | undefined)?.tfstate
    if (data === undefined) return undefined
    return tofuStateSchema.parse(JSON.parse(gunzipSync(Buffer.from(data, 'base64')).toString()))
  }

  async write(state: TofuState): Promise<void> {
    const data = { tfstate: gzipSync(JSON.stringify(state)).toString('base64') }
    const { namespace } = this.location
    const write = (secret: KubernetesObject) => {
      secret.data = data
    }
    if (this.store.update(builtinResources.Secret, namespace, this.stateName, write, { manager })) return
    const metadata = { ...this.metadata(this.stateName), annotations: { encoding: 'gzip' } }
    const secret = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data }
    this.store.create(builtinResources.Secret, secret, manager)
  }

  private get stateName(): string {
    return `tfstate-${this.location.workspace}-${this.location.suffix}`
  }

  private metadata(name: string): KubernetesObject['metadata'] {
    const { namespace, suffix, workspace } = this.location
    const labels = {
      'app.kubernetes.io/managed-by': 'terraform',
      tfstate: 'true',
      tfstateSecretSuffix: suffix,
      tfstateWorkspace: workspace,
    }
    return { name, namespace, labels }
  }

  private changeLease(change: (lease: KubernetesObject) => void): boolean {
    const { namespace } = this.location
    const lease = this.store.update(builtinResources.Lease, namespace, `lock-${this.stateName}`, change, { manager })
    return lease !== undefined
  }
}
