import { createHash } from 'node:crypto'
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

/** A plan that people can read, as `spec.storeReadablePlan` asks for it. */
export interface ReadablePlan {
  readonly how: 'json' | 'human'
  readonly text: string
}

/** The Secret `tfplan-<workspace>-<name>`, which keeps an object's last plan beyond the runner's life; beside it the same as people
 * read it, in a Secret `….json` or in a ConfigMap of the same name (runner/server_save_tfplan.go). */
export class PlanStore {
  private readonly store: ObjectStore
  private readonly owner: PlanOwner

  constructor(store: ObjectStore, owner: PlanOwner) {
    this.store = store
    this.owner = owner
  }

  save(plan: string, content: Buffer, readable?: ReadablePlan): void {
    this.saveSecret(plan, content, '')
    if (readable?.how === 'json') this.saveSecret(plan, Buffer.from(readable.text), '.json')
    if (readable?.how === 'human') this.saveConfigMap(plan, readable.text)
  }

  private saveSecret(plan: string, content: Buffer, suffix: string): void {
    const metadata = this.metadata(plan, content, suffix)
    const data = { tfplan: gzipSync(content).toString('base64') }
    this.store.delete(builtinResources.Secret, metadata.namespace, metadata.name)
    const encoded = { ...metadata, annotations: { encoding: 'gzip', ...metadata.annotations } }
    const secret = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: encoded, data }
    this.store.create(builtinResources.Secret, secret, manager)
  }

  private saveConfigMap(plan: string, text: string): void {
    const metadata = this.metadata(plan, Buffer.from(text), '')
    this.store.delete(builtinResources.ConfigMap, metadata.namespace, metadata.name)
    const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { tfplan: text } }
    this.store.create(builtinResources.ConfigMap, configMap, manager)
  }

  private metadata(plan: string, content: Buffer, suffix: string) {
    const { namespace, name, workspace } = this.owner
    const group = 'infra.contrib.fluxcd.io'
    return {
      name: `${this.secretName}${suffix}`,
      namespace,
      labels: { [`${group}/plan-name`]: `${name}${suffix}`, [`${group}/plan-workspace`]: workspace },
      annotations: {
        [`${group}/plan-full-name`]: `${name}${suffix}`,
        [`${group}/plan-full-workspace`]: workspace,
        [`${group}/plan-hash`]: createHash('sha256').update(content).digest('hex'),
        savedPlan: plan,
      },
    }
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
