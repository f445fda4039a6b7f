import { gunzipSync, gzipSync } from 'node:zlib'
import { builtinResources } from '../../kubernetes/builtin-resources.ts'
import type { ObjectStore } from '../../kubernetes/object-store.ts'
import type { InitRequest } from './runner.ts'

const manager = 'tf-runner'

export interface PlanOwner {
  readonly namespace: string
  readonly name: string
  readonly workspace: string
}

export class PlanMismatch extends Error {
  override readonly name = 'PlanMismatch'
}

/** The Secret `tfplan-<workspace>-<name>`, which keeps an object's last plan beyond the runner's life. */
export class PlanStore {
  private readonly store: ObjectStore
  private readonly owner: PlanOwner

  constructor(store: ObjectStore, owner: PlanOwner) {
    this.store = store
    this.owner = owner
  }

  save(plan: string, content: Buffer): void {
    const { namespace, name, workspace } = this.owner
    const metadata = {
      name: this.secretName,
      namespace,
      labels: { 'infra.contrib.fluxcd.io/plan-name': name, 'infra.contrib.fluxcd.io/plan-workspace': workspace },
      annotations: { savedPlan: plan },
    }
    const data = { tfplan: gzipSync(content).toString('base64') }
    this.store.delete(builtinResources.Secret, namespace, this.secretName)
    const secret = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data }
    this.store.create(builtinResources.Secret, secret, manager)
  }

  /** Throws PlanMismatch when there is no plan, or one of another id. */
  load(plan: string): Buffer {
    const secret = this.store.get(builtinResources.Secret, this.owner.namespace, this.secretName)
    const data = (secret?.data as { tfplan?: string } | undefined)?.tfplan
    if (!secret || data === undefined) throw new PlanMismatch(`no plan secrets found for plan ${plan}`)
    const saved = secret.metadata.annotations?.savedPlan
    if (saved === plan) return gunzipSync(Buffer.from(data, 'base64'))
    throw new PlanMismatch(`pending plan ${plan} does not match secret ${this.secretName} (${saved})`)
  }

  private get secretName(): string {
    return `tfplan-${this.owner.workspace}-${this.owner.name}`
  }
}

export function planOwner({ object }: InitRequest, workspace: string): PlanOwner {
  return { namespace: object.metadata.namespace, name: object.metadata.name, workspace }
}
