import type { KubernetesObject } from '../../../infra/local/kubernetes/object-store.ts'
import type { ChaosClock } from '../chaos-clock.ts'
import { type Api, timeText } from './api.ts'

export const nodeNames = ['node-1', 'node-2'] as const
export type NodeName = (typeof nodeNames)[number]

interface Node {
  /** Nothing from there arrives, and nothing arrives there. What runs there runs on. */
  silentSince: number | undefined
  /** Its clock against the API server's, in milliseconds. */
  readonly skew: number
}

/** The machines. One may fall silent while it works on. */
export class Nodes {
  private readonly clock: ChaosClock
  private readonly api: Api
  private readonly nodes = new Map<NodeName, Node>()

  constructor(clock: ChaosClock, api: Api, skew: (node: NodeName) => number) {
    this.clock = clock
    this.api = api
    for (const name of nodeNames) {
      this.nodes.set(name, { silentSince: undefined, skew: skew(name) })
      this.register(name)
    }
  }

  /** Another machine comes in the place of this one: of that it has nothing but the name. */
  replace(name: NodeName): void {
    this.api.remove(`Node//${name}`)
    this.register(name)
    this.answerAgain(name)
  }

  isSilent(name: NodeName): boolean {
    return this.nodes.get(name)?.silentSince !== undefined
  }

  fallSilent(name: NodeName): void {
    const node = this.nodes.get(name)
    if (node) node.silentSince ??= this.clock.now()
  }

  answerAgain(name: NodeName): void {
    const node = this.nodes.get(name)
    if (node) node.silentSince = undefined
  }

  /** What the node's own clock says. */
  timeOn(name: NodeName): number {
    return this.clock.now() + (this.nodes.get(name)?.skew ?? 0)
  }

  private register(name: NodeName): void {
    const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: timeText(this.clock.now()) }]
    this.api.create(`Node//${name}`, 'kubelet', { spec: {}, status: { conditions } })
  }

  /** The Leases by which they say that they live. */
  heartbeats(): KubernetesObject[] {
    return [...this.nodes].map(([name, { silentSince }]) => leaseOf(name, silentSince ?? this.clock.now()))
  }
}

function leaseOf(name: string, at: number): KubernetesObject {
  return {
    ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
    metadata: { namespace: 'kube-node-lease', name, resourceVersion: '1' },
    spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: new Date(at).toISOString() },
  }
}
