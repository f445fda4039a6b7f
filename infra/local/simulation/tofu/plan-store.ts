import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { builtinResources } from '../../kubernetes/builtin-resources.ts'
import type { KubernetesObject, ObjectStore } from '../../kubernetes/object-store.ts'
import type { InitRequest } from './runner.ts'

export interface PlanOwner {
  readonly namespace: string
  readonly name: string
  readonly uid: string
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

type PlanKind = 'Secret' | 'ConfigMap'

/** The objects of the API server that plans are kept in. */
export interface PlanObjects {
  find(kind: PlanKind, namespace: string, name: string): Promise<KubernetesObject | undefined>
  create(kind: PlanKind, object: KubernetesObject): Promise<void>
  delete(kind: PlanKind, namespace: string, name: string): Promise<void>
}

/** What one object can hold: more is cut into chunks. */
const chunkBytes = 1024 * 1024

const group = 'infra.contrib.fluxcd.io'

/**
 * Keeps an object's last plan beyond the runner's life, as tofu-controller's runner does (api/plan/plan.go and
 * runner/server_save_tfplan.go): in the Secret `tfplan-<workspace>-<name>`, and beside it the same as people read it, in a
 * Secret `….json` or in a ConfigMap of the same name. What is larger than an object may be is in `…-0`, `…-1` and so on.
 * A readable plan that is not asked for any more stays as it is.
 */
export class PlanStore {
  private readonly objects: PlanObjects
  private readonly owner: PlanOwner

  constructor(objects: PlanObjects, owner: PlanOwner) {
    this.objects = objects
    this.owner = owner
  }

  async save(plan: string, content: Buffer, readable?: ReadablePlan): Promise<void> {
    await this.replace('Secret', '', plan, content)
    if (readable?.how === 'json') await this.replace('Secret', '.json', plan, Buffer.from(readable.text))
    if (readable?.how === 'human') await this.replace('ConfigMap', '', plan, Buffer.from(readable.text))
  }

  /** Throws PlanMismatch when there is no plan, or one of another id. */
  async load(plan: string): Promise<Buffer> {
    const secrets = await this.stored('Secret', '')
    if (secrets.length === 0) throw new PlanMismatch(`no plan secrets found for plan ${plan}`)
    const chunks = secrets.map(({ metadata, data }) => {
      const saved = metadata.annotations?.savedPlan
      if (saved !== plan)
        throw new PlanMismatch(`pending plan ${plan} does not match secret ${metadata.name} (${saved})`)
      return Buffer.from((data as { tfplan: string }).tfplan, 'base64')
    })
    return gunzipSync(Buffer.concat(chunks))
  }

  private async replace(kind: PlanKind, suffix: string, plan: string, content: Buffer): Promise<void> {
    const { namespace } = this.owner
    for (const { metadata } of await this.stored(kind, suffix)) {
      await this.objects.delete(kind, namespace, metadata.name)
    }
    for (const object of this.objectsOf(kind, suffix, plan, content)) await this.objects.create(kind, object)
  }

  /** One object, or its chunks. */
  private async stored(kind: PlanKind, suffix: string): Promise<KubernetesObject[]> {
    const { namespace } = this.owner
    const name = this.nameOf(suffix)
    const whole = await this.objects.find(kind, namespace, name)
    if (whole) return [whole]
    const chunks: KubernetesObject[] = []
    for (;;) {
      const next = await this.objects.find(kind, namespace, `${name}-${chunks.length}`)
      if (!next) return chunks
      chunks.push(next)
    }
  }

  private objectsOf(kind: PlanKind, suffix: string, plan: string, content: Buffer): KubernetesObject[] {
    const packed = kind === 'Secret' ? gzipSync(content) : content
    const make = (data: Buffer, hashed: Buffer, chunk?: number): KubernetesObject => {
      const metadata = this.metadata(kind, suffix, plan, hashed, chunk)
      const tfplan = data.toString(kind === 'Secret' ? 'base64' : 'utf8')
      return { apiVersion: 'v1', kind, ...(kind === 'Secret' && { type: 'Opaque' }), metadata, data: { tfplan } }
    }
    if (packed.length <= chunkBytes) return [make(packed, content)]
    return Array.from({ length: Math.ceil(packed.length / chunkBytes) }, (_, chunk) => {
      const part = packed.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes)
      return make(part, part, chunk)
    })
  }

  /** A whole plan is known by the hash of what it is when unpacked, a chunk by that of itself. */
  private metadata(kind: PlanKind, suffix: string, plan: string, hashed: Buffer, chunk: number | undefined) {
    const { namespace, name, uid, workspace } = this.owner
    const owner = { apiVersion: `${group}/v1alpha2`, kind: 'Terraform', name, uid }
    return {
      name: chunk === undefined ? this.nameOf(suffix) : `${this.nameOf(suffix)}-${chunk}`,
      namespace,
      labels: {
        [`${group}/plan-name`]: labelValue(`${name}${suffix}`),
        [`${group}/plan-workspace`]: labelValue(workspace),
      },
      annotations: {
        ...(kind === 'Secret' && { encoding: 'gzip' }),
        [`${group}/plan-full-name`]: `${name}${suffix}`,
        [`${group}/plan-full-workspace`]: workspace,
        ...(chunk !== undefined && { [`${group}/plan-chunk`]: `${chunk}` }),
        [`${group}/plan-hash`]: sha256(hashed),
        savedPlan: plan,
      },
      ownerReferences: [owner],
    }
  }

  private nameOf(suffix: string): string {
    return `tfplan-${this.owner.workspace}-${this.owner.name}${suffix}`
  }
}

/** At most 63 characters: what is longer ends in a part of its hash. */
function labelValue(text: string): string {
  if (text.length <= 63) return text
  const end = `-${sha256(Buffer.from(text)).slice(0, 16)}`
  return `${text.slice(0, 63 - end.length)}${end}`
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

export function planOwner({ object }: InitRequest, workspace: string): PlanOwner {
  const { namespace, name, uid } = object.metadata
  return { namespace, name, uid, workspace }
}

/** Those of a simulated API server. */
export function planObjectsOf(store: ObjectStore): PlanObjects {
  return {
    find: async (kind, namespace, name) => store.get(builtinResources[kind], namespace, name),
    create: async (kind, object) => void store.create(builtinResources[kind], object, 'runner'),
    delete: async (kind, namespace, name) => store.delete(builtinResources[kind], namespace, name),
  }
}
