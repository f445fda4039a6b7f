import {
  type Cluster,
  type Kind,
  type ObjectRef,
  refKey,
  resources,
} from '../../../functions/lib/kubernetes/cluster.ts'
import type { Api } from '../cluster/api.ts'
import { kinds } from '../cluster/kinds.ts'

export interface BusyClusterOptions {
  /** As Lockstep. */
  readonly cluster: Cluster
  /** As admin. */
  readonly api: Api
  /** An object of each kind, which may be changed. */
  readonly example: (kind: Kind) => ObjectRef
}

/**
 * A cluster where others are at work all the time: each object is changed just before Lockstep holds it for the first
 * time, so that it must be read again, and of each kind that Lockstep watches an object is changed.
 */
export class BusyCluster implements Cluster {
  readonly name: string
  /** Resolves when a change of each kind has come through Lockstep's watches. */
  readonly heardAll: Promise<void>
  private readonly options: BusyClusterOptions
  private readonly unheard = new Set<Kind>(Object.values(resources).map(({ kind }) => kind))
  private readonly held = new Set<string>()
  private allHeard = () => {}

  constructor(options: BusyClusterOptions) {
    this.name = options.cluster.name
    this.options = options
    this.heardAll = new Promise((resolve) => {
      this.allHeard = resolve
    })
  }

  list: Cluster['list'] = (kind, options) => this.options.cluster.list(kind, options)

  get: Cluster['get'] = (ref, options) => this.options.cluster.get(ref, options)

  create: Cluster['create'] = (ref, content) => this.options.cluster.create(ref, content)

  delete: Cluster['delete'] = (ref, options) => this.options.cluster.delete(ref, options)

  patch: Cluster['patch'] = async (ref: ObjectRef, patch, options) => {
    const isFirstHold = patch.type === 'merge' && patch.resourceVersion !== undefined && !this.held.has(refKey(ref))
    if (isFirstHold) {
      this.held.add(refKey(ref))
      await this.change(ref)
    }
    return this.options.cluster.patch(ref, patch, options)
  }

  watch: Cluster['watch'] = async (kind, resourceVersion, onEvent, signal) => {
    // Later than the list that the watch goes on from: it is told, however long the watch takes to come about.
    await this.change(this.options.example(kind))
    await this.options.cluster.watch(
      kind,
      resourceVersion,
      (event) => {
        this.unheard.delete(kind)
        if (this.unheard.size === 0) this.allHeard()
        onEvent(event)
      },
      signal,
    )
  }

  private async change({ kind, namespace, name }: ObjectRef): Promise<void> {
    const annotations = { 'example.com/changed': `${performance.now()}` }
    await this.options.api.patch({ ...kinds[kind], namespace, name }, { metadata: { annotations } })
  }
}
