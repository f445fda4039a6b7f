import type { Cluster } from '../../../functions/lib/kubernetes/cluster.ts'
import {
  builtinResources,
  type ObjectRef,
  type Resource,
  resources,
} from '../../../functions/lib/kubernetes/cluster.ts'
import { type Change, type Intent, refOfKey } from '../../../functions/lib/unlock/hold/intent.ts'
import { MemoryObjectStore } from '../../../infra/local/kubernetes/memory-object-store.ts'
import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import { StoreCluster } from '../../fixtures/store-cluster.ts'

export const controller = 'Deployment/flux-system/tofu-controller'
export const parent = 'Kustomization/flux-system/flux-system'
export const applier = 'HelmRelease/flux-system/tofu-controller'
export const vpc = 'Terraform/flux-system/vpc'
export const database = 'Terraform/flux-system/database'

/** What can be suspended, in the order in which an unlock does it. */
export const suspendable = [parent, applier, vpc, database] as const
export type Suspendable = (typeof suspendable)[number]

export const lock = '85ef41bb-3f02-44dc-a688-abaf3cce5d71'
export const storedPlan = 'plan-main-c1139c7fe7'
export const unlock = 'unlock-1'

/** `null` is a field that is not there. */
export type Flag = boolean | null
export type TfState = Readonly<Record<string, string>>

export interface Before {
  readonly replicas: number
  readonly suspend: Readonly<Record<Suspendable, Flag>>
  readonly tfstate: TfState | null
  /** Whether the controller has stored a plan that it would apply. */
  readonly planned: boolean
  /** The lock that it met. */
  readonly met: string
}

export type Rung = 'controller-assisted' | 'targeted' | 'quiesce'

const all = { ...resources, ...builtinResources }

export const still = { now: () => 1_000, after: () => () => {} }

/** A cluster with tofu-controller, what applies it, and two Terraform objects, one of them locked. */
export class UnlockWorld {
  readonly store = new MemoryObjectStore({ clock: still })
  readonly cluster: Cluster = new StoreCluster('staging', this.store)

  constructor({ replicas, suspend, tfstate, planned, met }: Before) {
    for (const resource of Object.values(all)) this.store.register(resource)
    const template = { metadata: { labels: { app: 'tofu-controller' } }, spec: { containers: [] } }
    this.create(controller, { replicas, selector: { matchLabels: { app: 'tofu-controller' } }, template })
    for (const key of suspendable) {
      const ofVpc = key === vpc && tfstate ? { tfstate } : {}
      this.create(key, { interval: '1h', ...(suspend[key] !== null && { suspend: suspend[key] }), ...ofVpc })
    }
    this.edit(vpc, 'tofu-controller', (object) => {
      object.status = { ...(planned && { plan: { pending: storedPlan } }), ...(met && { lock: { pending: met } }) }
    })
  }

  /** What an unlock at that rung would change, as the cluster is now. */
  intent(rung: Rung): Intent {
    const changes = [
      ...(rung === 'quiesce' ? suspendable : rung === 'targeted' ? [vpc] : [])
        .filter((key) => this.get(key)?.spec.suspend !== true)
        .map((object) => {
          const from = this.get(object)?.spec.suspend ?? null
          return { object, uid: this.uid(object), field: 'suspend' as const, from, to: true }
        }),
      ...(rung === 'quiesce' ? [this.scaleChange()] : []),
      ...(rung === 'controller-assisted' ? [this.forceChange()] : []),
    ]
    return {
      ...{ unlock, cluster: 'staging', at: 1_000, changes },
      deployment: { object: controller, uid: this.uid(controller) },
      locked: { object: vpc, uid: this.uid(vpc), lock },
    }
  }

  get(key: string): KubernetesObject | undefined {
    const { kind, namespace, name } = refOf(key)
    return this.store.get(all[kind], namespace, name)
  }

  /** Changes an object as somebody. Nothing where there is none. */
  edit(key: string, manager: string, change: (object: KubernetesObject) => void): void {
    const { kind, namespace, name } = refOf(key)
    this.store.update(all[kind], namespace, name, change, { manager })
    this.store.update(all[kind], namespace, name, change, { manager, subresource: 'status' })
  }

  create(key: string, spec: object): void {
    const { kind, namespace, name } = refOf(key)
    const labels = key === controller ? { 'app.kubernetes.io/name': 'tofu-controller' } : {}
    this.store.create(all[kind], { ...typeOf(all[kind]), metadata: { namespace, name, labels }, spec }, 'helm')
  }

  delete(key: string): void {
    const { kind, namespace, name } = refOf(key)
    this.store.delete(all[kind], namespace, name)
  }

  /** Whether the controller runs and works on the locked object: then it applies what it has stored. */
  works(): boolean {
    return (
      (this.get(controller)?.spec.replicas ?? 0) > 0 &&
      this.get(vpc) !== undefined &&
      this.get(vpc)?.spec.suspend !== true
    )
  }

  private uid(key: string): string {
    return this.get(key)?.metadata.uid ?? 'none'
  }

  private scaleChange(): Change {
    const from = this.get(controller)?.spec.replicas ?? 0
    return { object: controller, uid: this.uid(controller), field: 'replicas', from, to: 0 }
  }

  private forceChange(): Change {
    const { forceUnlock, lockIdentifier } = this.get(vpc)?.spec.tfstate ?? {}
    const present = { ...(forceUnlock && { forceUnlock }), ...(lockIdentifier && { lockIdentifier }) }
    return {
      ...{ object: vpc, uid: this.uid(vpc), field: 'forceUnlock' },
      ...{ from: Object.keys(present).length > 0 ? present : null, to: { forceUnlock: 'yes', lockIdentifier: lock } },
    }
  }
}

function refOf(key: string): ObjectRef<keyof typeof all> {
  return refOfKey(key)
}

function typeOf({ kind, group, version }: Resource) {
  return { kind, apiVersion: group === '' ? version : `${group}/${version}` }
}
