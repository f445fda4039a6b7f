import { parseSource, type Source, type SourceKind, sourceKinds } from '../flux/source.ts'
import { parseWorkload, type Workload, type WorkloadKind, workloadKinds } from '../flux/workload.ts'
import { type Cluster, ClusterError, type Kind } from '../kubernetes/cluster.ts'

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
  const readSources = async (kind: SourceKind) => {
    for (const raw of await listServed(cluster, kind, missingKinds)) {
      const source = parseSource(kind, raw)
      sources.set(source.key, source)
    }
  }
  const readWorkloads = async (kind: WorkloadKind) => {
    for (const raw of await listServed(cluster, kind, missingKinds)) {
      const workload = parseWorkload(kind, raw)
      workloads.set(workload.key, workload)
    }
  }
  await Promise.all([...sourceKinds.map(readSources), ...workloadKinds.map(readWorkloads)])
  return { sources, workloads, missingKinds }
}

async function listServed(cluster: Cluster, kind: Kind, missing: Kind[]): Promise<readonly unknown[]> {
  try {
    return (await cluster.list(kind)).items
  } catch (error) {
    if (!(error instanceof ClusterError) || error.name !== 'KindNotServed') throw error
    missing.push(kind)
    return []
  }
}
