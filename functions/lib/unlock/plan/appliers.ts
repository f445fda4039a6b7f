import * as z from 'zod'
import {
  gateAnnotation,
  gitFieldManager,
  helmFieldManager,
  ownerLabels,
  releaseLabels,
} from '../../flux/annotations.ts'
import { objectSchema } from '../../flux/object.ts'
import { type Cluster, type ObjectRef, refKey } from '../../kubernetes/cluster.ts'
import { getIfThere } from '../../kubernetes/get-if-there.ts'
import { shaped } from '../../locks/evidence/unexpected-shape.ts'
import type { Applier } from './cluster-now.ts'

type ApplierRef = ObjectRef<'HelmRelease' | 'Kustomization'>
type Metadata = z.infer<typeof objectSchema>['metadata']

const applierSchema = objectSchema.extend({ spec: z.looseObject({ suspend: z.boolean().nullish() }) })

/** Who applied an object, and whoever would resume that one if it were suspended, and so on: the nearest one first. */
export async function appliersOf(cluster: Cluster, metadata: Metadata): Promise<Applier[]> {
  return followed(cluster, metadata, new Set())
}

/** The same of whoever would put an object's `spec.suspend` back. None where nobody declares it. */
export async function suspendersOf(cluster: Cluster, metadata: Metadata): Promise<Applier[]> {
  return declares(metadata, 'suspend') ? appliersOf(cluster, metadata) : []
}

/** Whether an applier has set a field of `spec`: it sets it again whenever it applies. */
export function declares({ managedFields }: Metadata, field: string): boolean {
  return managedFields.some(({ manager, fieldsV1 }) => {
    const spec = fieldsV1?.['f:spec']
    const isApplier = manager === gitFieldManager || manager === helmFieldManager
    return isApplier && typeof spec === 'object' && spec !== null && `f:${field}` in spec
  })
}

/** `seen`: the Kustomization that Flux is bootstrapped with applies itself. */
async function followed(cluster: Cluster, applied: Metadata, seen: Set<string>): Promise<Applier[]> {
  const ref = applierOf(applied)
  if (!ref || seen.has(refKey(ref))) return []
  seen.add(refKey(ref))
  const raw = await getIfThere(cluster, ref)
  // Labels outlive what set them: nobody applies it any more.
  if (raw === undefined) return []
  const { metadata, spec } = shaped(refKey(ref), applierSchema, raw)
  const gate = metadata.annotations[gateAnnotation]
  const suspended = spec.suspend ?? false
  const applier = { key: refKey(ref), suspended, ...(gate !== undefined && { gate }) }
  return [applier, ...(declares(metadata, 'suspend') ? await followed(cluster, metadata, seen) : [])]
}

/** What a chart installs is its HelmRelease's, whatever other labels the chart carries. */
function applierOf({ labels }: Metadata): ApplierRef | undefined {
  const of = (kind: ApplierRef['kind'], by: { readonly name: string; readonly namespace: string }) => {
    const name = labels[by.name]
    const namespace = labels[by.namespace]
    return name && namespace ? { kind, namespace, name } : undefined
  }
  return of('HelmRelease', releaseLabels) ?? of('Kustomization', ownerLabels)
}
