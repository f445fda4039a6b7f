import * as z from 'zod'
import type { NodesEvidence } from '../evidence.ts'
import { kubernetesTime, shaped } from './unexpected-shape.ts'

/** The namespace where every node renews a Lease of its name, by default every 10 s. */
export const nodeLeases = 'kube-node-lease'

/**
 * A node that has given no sign of life for so long does not answer, whatever its condition says: the condition is the
 * controller-manager's to change, which may be dead as well.
 */
const silentAfter = 2 * 60_000

const conditionSchema = z.object({
  type: z.string(),
  status: z.string(),
  lastHeartbeatTime: kubernetesTime.nullish(),
})

const nodeSchema = z.object({
  metadata: z.object({ name: z.string().min(1), creationTimestamp: kubernetesTime }),
  status: z.object({ conditions: z.array(conditionSchema).nullish() }).nullish(),
})

export interface NodeSeen {
  readonly name: string
  readonly createdAt: number
  readonly ready: boolean
  /** Of the last sign of life; undefined where it has never given one. By the node's own clock where nobody else's is known. */
  readonly heartbeatAt?: number
}

/** What a node's Lease says of its life. */
export interface Renewal {
  /** See LeaseSeen. */
  readonly renewedAt: number
  /** When that was read, by ours. */
  readonly readAt: number
}

/** What a raw node and its Lease say, where it has one. `readAt` is when the node was read. Throws UnexpectedShape. */
export function nodeSeen(raw: unknown, renewalOf: (node: string) => Renewal | undefined, readAt: number): NodeSeen {
  const { metadata, status } = shaped('a Node', nodeSchema, raw)
  const { name, creationTimestamp: createdAt } = metadata
  const condition = status?.conditions?.find(({ type }) => type === 'Ready')
  const renewal = renewalOf(name)
  const heartbeatAt = renewal?.renewedAt ?? condition?.lastHeartbeatTime ?? undefined
  if (heartbeatAt === undefined) return { name, createdAt, ready: condition?.status === 'True' }
  // A heartbeat that is far in the future comes from a clock that says nothing of now.
  const answers = Math.abs((renewal?.readAt ?? readAt) - heartbeatAt) <= silentAfter
  return { name, createdAt, ready: condition?.status === 'True' && answers, heartbeatAt }
}

/** What a cluster's nodes say; `own` is the one that a pod is bound to. Every node stands in `nodes`, or is gone. */
export function nodesEvidence(nodes: readonly NodeSeen[], own: string | undefined): NodesEvidence {
  const silent = nodes.filter(({ ready }) => !ready).map(({ ready: _, ...node }) => node)
  return { total: nodes.length, silent, ...(own !== undefined && { own: ownEvidence(nodes, own) }) }
}

function ownEvidence(nodes: readonly NodeSeen[], name: string): NonNullable<NodesEvidence['own']> {
  const node = nodes.find((candidate) => candidate.name === name)
  if (!node) return { name, state: 'gone' }
  const { ready, heartbeatAt } = node
  return { name, state: ready ? 'ready' : 'not ready', ...(heartbeatAt !== undefined && { heartbeatAt }) }
}
