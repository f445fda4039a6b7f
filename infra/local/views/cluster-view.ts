import type { Clock } from '../../../functions/lib/clock.ts'
import { nameOf, ObjectUnreadable } from '../../../functions/lib/flux/object.ts'
import { isSourceKind, parseSource, type Source, sourceKinds } from '../../../functions/lib/flux/source.ts'
import { isWorkloadKind, parseWorkload, type Workload, workloadKinds } from '../../../functions/lib/flux/workload.ts'
import type { Kind } from '../../../functions/lib/kubernetes/cluster.ts'
import type { ClusterAccess } from '../../../functions/lib/kubernetes/cluster-access.ts'
import { mirror } from '../../../functions/lib/kubernetes/mirror.ts'

export interface ClusterViewOptions {
  readonly name: string
  readonly clusters: ClusterAccess
  readonly clock: Clock
  /** Something was seen: the key of an object or a source, or undefined for everything. */
  readonly onChange: (key: string | undefined) => void
}

/** A cluster that cannot be seen is looked at again after this long. */
const pauseMs = 5_000

/**
 * What one cluster shows now, for display: one LIST and one WATCH per kind. It must never be in the way of a rollout:
 * a cluster that cannot be reached, or an object that cannot be read, is just not shown.
 */
export class ClusterView {
  readonly workloads = new Map<string, Workload>()
  readonly sources = new Map<string, Source>()
  private readonly options: ClusterViewOptions
  private readonly ending = new AbortController()
  private running = false
  private notBefore = Number.NEGATIVE_INFINITY

  constructor(options: ClusterViewOptions) {
    this.options = options
  }

  /** Begins to look, unless it does already or failed a moment ago. */
  open(): void {
    if (this.running || this.ending.signal.aborted || this.options.clock.now() < this.notBefore) return
    this.running = true
    this.follow().catch(() => {
      this.running = false
      this.notBefore = this.options.clock.now() + pauseMs
    })
  }

  close(): void {
    this.ending.abort()
  }

  private async follow(): Promise<void> {
    const { clusters, name, clock, onChange } = this.options
    const kinds: Kind[] = [...sourceKinds, ...workloadKinds]
    const cluster = await clusters.connect(name)
    const view = await mirror(cluster, kinds, {
      clock,
      signal: this.ending.signal,
      onEvent: ({ kind, object, type }) => onChange(this.take(kind, object, type === 'DELETED')),
    })
    this.workloads.clear()
    this.sources.clear()
    for (const kind of kinds) for (const raw of view.objects(kind).values()) this.take(kind, raw, false)
    onChange(undefined)
    await view.closed
  }

  private take(kind: Kind, raw: unknown, deleted: boolean): string {
    const key = `${kind}/${nameOf(raw)}`
    this.workloads.delete(key)
    this.sources.delete(key)
    if (deleted) return key
    try {
      if (isWorkloadKind(kind)) this.workloads.set(key, parseWorkload(kind, raw))
      if (isSourceKind(kind)) this.sources.set(key, parseSource(kind, raw))
    } catch (error) {
      if (!(error instanceof ObjectUnreadable)) throw error
    }
    return key
  }
}
