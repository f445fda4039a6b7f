import type { Evidence, LockClaimed } from '../evidence.ts'
import { oneLine } from './one-line.ts'
import { runnerOf } from './pod-evidence.ts'

/** The longest host name that Linux takes; a kubelet cuts the name of a pod to it. */
const longestHostname = 63

/** The object whose backend the lock's place is. */
export interface LockOwner {
  readonly namespace: string
  readonly name: string
}

/**
 * Who holds a lock by its record: the runner's pod of its owner, or why it is somebody else. The record is the
 * holder's word, and a pod's name is used again by every run: it says where to look, and proves nothing.
 */
export function holderOf(
  record: Pick<LockClaimed, 'user' | 'host'> | undefined,
  owner: LockOwner | undefined,
): Evidence['holder'] {
  if (!record) return { other: 'its record does not say who holds it' }
  const who = oneLine(`${record.user}@${record.host}`)
  if (record.host === '')
    return { other: `${oneLine(record.user) || 'somebody'} holds it, on a host that is not named` }
  if (!owner) return { other: `${who} holds it, and no object of the fleet has its state there` }
  const runner = runnerOf(owner.name)
  if (record.host === hostnameOf(runner)) return { runner }
  return { other: `${who} holds it, which is not the runner of Terraform/${owner.namespace}/${owner.name}` }
}

/** What a pod finds as its host's name: kubelets take no end that is not a letter or a digit. */
function hostnameOf(pod: string): string {
  if (pod.length <= longestHostname) return pod
  return pod.slice(0, longestHostname).replace(/[-.]+$/, '')
}
