import { type Evidence, type NodesEvidence, type PodEvidence, readingOf } from '../evidence.ts'
import { ageOf } from './lock-age.ts'
import { clockTolerance } from './lock-limits.ts'

export type ProofName =
  | 'pod-failed'
  | 'container-terminated'
  | 'container-restarted'
  | 'pod-replaced'
  | 'pod-gone'
  | 'node-gone'

/**
 * That the process which took the lock cannot run any more. `blocked`: it would be a proof, but for nodes that do not
 * answer. Pods of a runner have one name after the other: an earlier one, deleted by force while its node was silent, may
 * still run there with the lock, whatever became of today's.
 */
export interface ProofOfDeath {
  readonly name: ProofName
  readonly words: string
  readonly blocked?: string
}

type Pod = Extract<PodEvidence, { exists: true }>

/** The first proof that there is. Undefined without any. */
export function proofOfDeath(evidence: Evidence): ProofOfDeath | undefined {
  const pod = readingOf(evidence.pod)
  const nodes = readingOf(evidence.nodes)
  if (!pod) return undefined
  const [proof] = pod.exists ? proofsOf(pod, nodes, evidence) : podGone(evidence)
  return proof && withNodes(proof, nodes, evidence)
}

/**
 * A pod that nobody has ever seen may never have been here: the same manifests may run in a cluster that is not the
 * fleet's. That the object says "Applying", or that its runs meet this very lock, tells that it is at work on this state.
 */
function podGone({ sight, object, lock }: Evidence): ProofOfDeath[] {
  const found = readingOf(object)
  const applies = found?.exists && found.ready === 'Unknown' && found.message.startsWith('Applying')
  const isLoud = found?.exists && found.stateLocked && found.pendingLock === lock.record?.id
  return sight.pod || applies || isLoud ? [{ name: 'pod-gone', words: 'its pod is gone' }] : []
}

function proofsOf(pod: Pod, nodes: NodesEvidence | undefined, evidence: Evidence): ProofOfDeath[] {
  const proofs: ProofOfDeath[] = []
  const { container } = pod
  const created = createdOf(evidence)
  if (replaced(pod, evidence))
    proofs.push({ name: 'pod-replaced', words: `its pod was replaced: today's is another one` })
  if (pod.phase === 'Failed') proofs.push({ name: 'pod-failed', words: 'its pod has failed' })
  if (container && container.state !== 'running' && endedAfter(container.finishedAt, created)) {
    proofs.push({ name: 'container-terminated', words: `its container ended ${iso(container.finishedAt)}` })
  }
  if (container?.state === 'running' && restarted(pod, created)) {
    const words = `its container was started again ${iso(container.startedAt)}, after the lock was taken`
    proofs.push({ name: 'container-restarted', words })
  }
  if (nodes?.own?.state === 'gone') {
    proofs.push({ name: 'node-gone', words: `its node ${nodes.own.name} does not exist any more` })
  }
  return proofs
}

/** Another UID than the one that was seen beside this lock; or a pod that is younger than the lock can be. */
function replaced({ uid, createdAt }: Pod, evidence: Evidence): boolean {
  const { pod } = evidence.sight
  if (pod !== undefined && pod.uid !== uid) return true
  return createdAt > ageOf(evidence).takenBefore
}

/**
 * The record's Created and the container's start are times of one clock, the node's: no tolerance is needed, as long as
 * nobody sets that clock back in between. That another container was seen before is no proof: what the API says of one
 * is late by as long as the kubelet takes to say it. Without a restart there is nothing to prove.
 */
function restarted({ container }: Pod, created: number | undefined): boolean {
  const { startedAt, restarts = 0 } = container ?? {}
  return restarts > 0 && startedAt !== undefined && created !== undefined && startedAt > created
}

/** Times of containers are cut to whole seconds: the end may have been later, and is never earlier. */
function endedAfter(finishedAt: number | undefined, created: number | undefined): boolean {
  return finishedAt !== undefined && created !== undefined && finishedAt + 999 >= created
}

function createdOf({ lock }: Evidence): number | undefined {
  return lock.record?.createdAt
}

function withNodes(proof: ProofOfDeath, nodes: NodesEvidence | undefined, evidence: Evidence): ProofOfDeath {
  if (!nodes) return { ...proof, blocked: 'whether all nodes answer is not known' }
  // A node that is younger than the lock never ran its holder, unless it is the holder's, registered anew.
  const holders = evidence.sight.pod?.node
  const latest = ageOf(evidence).takenBefore + clockTolerance
  const silent = nodes.silent.filter(
    ({ name, createdAt }) => holders === undefined || name === holders || createdAt <= latest,
  )
  if (silent.length === 0) return proof
  const names = silent.slice(0, 3).map(({ name }) => name)
  const more = silent.length > names.length ? ` and ${silent.length - names.length} more` : ''
  return { ...proof, blocked: `node ${names.join(', ')}${more} does not answer: a holder may still run there` }
}

function iso(time: number | undefined): string {
  return time === undefined ? 'at a time that is not known' : new Date(time).toISOString()
}
