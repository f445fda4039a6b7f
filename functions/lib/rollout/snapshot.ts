import { parseSource, type Source, type SourceKind, sourceKinds } from '../flux/source.ts'
import { parseWorkload, type Workload, type WorkloadKind, workloadKinds } from '../flux/workload.ts'
import type { Cluster, Kind } from '../kubernetes/cluster.ts'
import { listServed } from '../kubernetes/list-served.ts'

/** Everything that Lockstep reads of one cluster, parsed, by key. */
export interface Snapshot {
  readonly sources: ReadonlyMap<string, Source>
  readonly workloads: ReadonlyMap<string, Workload>
  /** Kinds that the cluster does not serve: the CRD is not installed. */
  readonly missingKinds: readonly Kind[]
}

/**
 * Lists every kind once, all at the same time. A kind that the cluster does not serve is noted, not an error.
 * Throws ClusterError and ObjectUnreadable.
 */
export async function takeSnapshot(cluster: Cluster): Promise<Snapshot> {
  const sources = new Map<string, Source>()
  const workloads = new Map<string, Workload>()
  const missingKinds: Kind[] = []
  const list = async (kind: Kind): Promise<readonly unknown[]> => {
    const items = await listServed(cluster, kind)
    if (!items) missingKinds.push(kind)
    return items ?? []
  }
  const readSources = async (kind: SourceKind) => {
    for (const raw of await list(kind)) {
      const source = parseSource(kind, raw)
      sources.set(source.key, source)
    }
  }
  const readWorkloads = async (kind: WorkloadKind) => {
    for (const raw of await list(kind)) {
      const workload = parseWorkload(kind, raw)
      workloads.set(workload.key, workload)
    }
  }
  await Promise.all([...sourceKinds.map(readSources), ...workloadKinds.map(readWorkloads)])
  return { sources, workloads, missingKinds }
}
