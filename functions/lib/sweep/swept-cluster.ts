import type { LockstepError } from '../errors.ts'
import { nameOf, ObjectUnreadable } from '../flux/object.ts'
import { parseSource, type Source, type SourceKind, sourceKinds } from '../flux/source.ts'
import { parseWorkload, type Workload, type WorkloadKind, workloadKinds } from '../flux/workload.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { listServed } from '../kubernetes/list-served.ts'
import type { Found } from './finding.ts'

/** An object as it is, and as Lockstep understands it. */
export interface SweptWorkload {
  readonly raw: unknown
  readonly workload: Workload
}

export interface SweptCluster {
  /** By key. */
  readonly sources: ReadonlyMap<string, Source>
  /** By key. */
  readonly workloads: ReadonlyMap<string, SweptWorkload>
  /** A finding for each object that cannot be read: it is in neither of the two. */
  readonly unreadable: readonly Found[]
}

/** Lists every kind once. A kind that the cluster does not serve has no objects. Throws ClusterError. */
export async function sweepObjects(cluster: Cluster): Promise<SweptCluster> {
  const sources = new Map<string, Source>()
  const workloads = new Map<string, SweptWorkload>()
  const unreadable: Found[] = []
  const readEach = async (kind: SourceKind | WorkloadKind, read: (raw: unknown) => void) => {
    for (const raw of (await listServed(cluster, kind)) ?? []) {
      try {
        read(raw)
      } catch (error) {
        if (!(error instanceof ObjectUnreadable)) throw error
        unreadable.push(unreadableObject(`${kind}/${nameOf(raw) ?? 'without a name'}`, error))
      }
    }
  }
  await Promise.all([
    ...sourceKinds.map((kind) =>
      readEach(kind, (raw) => {
        const source = parseSource(kind, raw)
        sources.set(source.key, source)
      }),
    ),
    ...workloadKinds.map((kind) =>
      readEach(kind, (raw) => {
        const workload = parseWorkload(kind, raw)
        workloads.set(workload.key, { raw, workload })
      }),
    ),
  ])
  return { sources, workloads, unreadable }
}

function unreadableObject(object: string, { message, next }: LockstepError): Found {
  return { kind: 'unreadable', object, text: message.slice(0, -next.length).trim(), next }
}
