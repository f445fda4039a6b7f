import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import * as z from 'zod'
import { LockstepError } from '../errors.ts'
import type { Workload } from '../flux/workload.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { getIfThere } from '../kubernetes/get-if-there.ts'
import { shaped } from '../locks/evidence/unexpected-shape.ts'
import { showHumanPlan } from './human-plan.ts'
import { showJsonPlan } from './json-plan.ts'
import { type ShownPlan, unreadable } from './shown-plan.ts'

/** The plan that tofu-controller keeps for an object is not the one that waits: it is making another one, or lost it. */
export class PlanMissing extends LockstepError {
  constructor(key: string, plan: string) {
    super('PlanMissing', `${plan} of ${key} is not stored.`, 'It is looked at again when the object has changed.')
  }
}

/** A plan of an object that waits, and how to know it again. */
export interface StoredPlan {
  /** Another one for every plan that is made, even if it is of the same commit and has the same id. */
  readonly fingerprint: string
  readonly shown: ShownPlan
}

type Planned = Pick<Workload, 'key' | 'namespace' | 'name' | 'uid' | 'pendingPlan' | 'planning'>

const metadata = z.looseObject({ annotations: z.record(z.string(), z.string()).default({}) })
const secretSchema = z.looseObject({ metadata, data: z.looseObject({ tfplan: z.base64() }) })
const configMapSchema = z.looseObject({ metadata, data: z.looseObject({ tfplan: z.string() }) })

/** Names, annotations and chunks: api/plan/plan.go of tofu-controller. */
const annotations = {
  hash: 'infra.contrib.fluxcd.io/plan-hash',
  name: 'infra.contrib.fluxcd.io/plan-full-name',
  plan: 'savedPlan',
}

/** A chunk has 1 MiB. A plan of more is none that a person reads. */
const mostChunks = 8

/** What a plan may unpack to, in bytes. */
const largestPlan = 32 * 1024 * 1024

/**
 * The fingerprint of the plan that waits: by tofu-controller's hashes of the plan file, which no two plans share, and of what
 * people can read of it. The one is written before the other: what is read in between does not belong together, and has a
 * fingerprint that no plan has later. Throws PlanMissing, UnexpectedShape, ClusterError.
 */
export async function planFingerprint(object: Planned, cluster: Cluster): Promise<string> {
  return fingerprintOf(object, await readChunks(object, cluster))
}

/** The plan that waits, with what people may see of it. Throws as `planFingerprint`. */
export async function readStoredPlan(object: Planned, cluster: Cluster): Promise<StoredPlan> {
  const chunks = await readChunks(object, cluster)
  return { fingerprint: fingerprintOf(object, chunks), shown: shownOf(object, chunks.readable) }
}

interface Chunks {
  /** Of the plan file. */
  readonly file: readonly Chunk[]
  /** Of what people can read. */
  readonly readable: readonly Chunk[]
}

async function readChunks(object: Planned, cluster: Cluster): Promise<Chunks> {
  const { key, pendingPlan: plan = '' } = object
  const file = await chunksOf('Secret', '', object, cluster)
  if (plan === '' || file.length === 0) throw new PlanMissing(key, plan || 'a plan')
  return { file, readable: await readableChunks(object, cluster) }
}

function fingerprintOf({ uid, pendingPlan }: Planned, { file, readable }: Chunks): string {
  const hashes = [file, readable].map((chunks) =>
    chunks.map(({ of, content }) => of[annotations.hash] ?? sha256(content)),
  )
  return sha256(JSON.stringify([uid, pendingPlan, hashes]))
}

function shownOf({ planning }: Planned, chunks: readonly Chunk[]): ShownPlan {
  const { storesReadable = 'none', destroys = false } = planning ?? {}
  if (storesReadable === 'none') return unreadable(notStored, destroys)
  if (chunks.length === 0) return unreadable(lost, destroys)
  const content = Buffer.concat(chunks.map((chunk) => chunk.content))
  try {
    if (storesReadable === 'human') return showHumanPlan(content.toString('utf8'), destroys)
    const text = gunzipSync(content, { maxOutputLength: largestPlan }).toString('utf8')
    return showJsonPlan(text, destroys)
  } catch {
    // Its message may quote the plan.
    return unreadable(`The readable plan that tofu-controller has stored is not one in ${storesReadable}.`, destroys)
  }
}

const notStored =
  'There is no plan that people can read. Set spec.storeReadablePlan of the object to json (or human) in Git: then the next one is shown here.'
const lost = 'tofu-controller has stored no readable plan with this one.'

/** The one kind that the object says: what it said before may still be there, of the same plan id. */
async function readableChunks(object: Planned, cluster: Cluster): Promise<readonly Chunk[]> {
  switch (object.planning?.storesReadable) {
    case 'json':
      return chunksOf('Secret', '.json', object, cluster)
    case 'human':
      return chunksOf('ConfigMap', '', object, cluster)
    default:
      return []
  }
}

interface Chunk {
  readonly of: Readonly<Record<string, string>>
  readonly content: Buffer
}

/** In one object, or in `<name>-0`, `<name>-1` and so on. None of another plan, nor of another object. */
async function chunksOf(
  kind: 'Secret' | 'ConfigMap',
  suffix: string,
  object: Planned,
  cluster: Cluster,
): Promise<Chunk[]> {
  const { namespace, name, pendingPlan, planning } = object
  const identifier = `tfplan-${planning?.workspace ?? 'default'}-${name}${suffix}`
  const isOurs = ({ of }: Chunk) =>
    of[annotations.plan] === pendingPlan && (of[annotations.name] ?? `${name}${suffix}`) === `${name}${suffix}`
  const whole = await chunk({ kind, namespace, name: identifier }, cluster)
  if (whole) return isOurs(whole) ? [whole] : []
  const chunks: Chunk[] = []
  for (let index = 0; index < mostChunks; index++) {
    const next = await chunk({ kind, namespace, name: `${identifier}-${index}` }, cluster)
    if (!next || !isOurs(next)) break
    chunks.push(next)
  }
  return chunks
}

async function chunk(
  ref: { readonly kind: 'Secret' | 'ConfigMap'; readonly namespace: string; readonly name: string },
  cluster: Cluster,
): Promise<Chunk | undefined> {
  const raw = await getIfThere(cluster, ref)
  if (raw === undefined) return undefined
  const what = `${ref.kind}/${ref.namespace}/${ref.name}`
  if (ref.kind === 'Secret') {
    const { metadata, data } = shaped(what, secretSchema, raw)
    return { of: metadata.annotations, content: Buffer.from(data.tfplan, 'base64') }
  }
  const { metadata, data } = shaped(what, configMapSchema, raw)
  return { of: metadata.annotations, content: Buffer.from(data.tfplan, 'utf8') }
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
