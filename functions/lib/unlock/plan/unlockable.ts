import { type Fleet, type LockPolicy, lockPolicyOf, peopleNeeded } from '../../fleet.ts'
import { type Evidence, readingOf } from '../../locks/evidence.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import { operationKind } from '../../locks/verdict/lock-limits.ts'
import { type Refused, refusal } from './refusal.ts'

/** A lock that may be unlocked as far as its verdict goes. */
export interface Unlockable {
  readonly cluster: string
  /** `Terraform/flux-system/vpc` */
  readonly object: string
  readonly lock: { readonly id: string; readonly operation: string }
  readonly parts: Evidence['lock']['parts']
  /** The holder is not proven dead: only its drained and ended pod can be the proof. */
  readonly isSuspect: boolean
  readonly approvals: Approvals
}

/** Who has to agree. */
export interface Approvals {
  readonly policy: LockPolicy
  /** How many people, of whom none asked for the unlock. */
  readonly needed: 0 | 1 | 2
  readonly why: string
}

/**
 * Rules of `suspect` for a runner's lock that only its drained and ended pod can settle. The others settle by
 * themselves, need a node back, or are a person's.
 */
const quiescable: ReadonlySet<string> = new Set(['outlived-its-run', 'age-alone'])

/** What the verdict, the record and the policy say, before anything of the cluster is read. */
export function unlockableOf(
  { evidence, judgement }: Observation,
  { clusters, locks }: Pick<Fleet, 'clusters' | 'locks'>,
): Unlockable | Refused {
  const { verdict, reasons, wouldChange, rule } = judgement
  if (verdict === 'free') return refusal('free', reasons, 'Nothing is to be done.')
  if (verdict === 'live') return refusal('live', reasons, 'Let its holder finish.')
  if (verdict === 'unknown')
    return refusal('unknown', reasons, 'Make readable what could not be read, then look again.')
  const { lock, owner, holder } = evidence
  if (!owner || 'other' in holder)
    return refusal('not-a-runner', 'other' in holder ? [holder.other] : reasons, 'Ask whoever took it.')
  const isSuspect = verdict === 'suspect'
  if (isSuspect && !(quiescable.has(rule) && canBeProven(evidence)))
    return refusal('suspect', reasons, `It is not unlocked before it is stale. It changes when: ${wouldChange}.`)
  const { record } = lock
  if (!record || lock.problem !== undefined || lock.parts.length === 0)
    return refusal('unreadable-record', [`the lock's record ${lock.problem ?? 'is missing'}`], 'Find out who wrote it.')
  const incomparable = lock.parts.find(({ version }) => version === undefined)
  if (incomparable) {
    const why = `${incomparable.address} has nothing to compare: a delete could hit another lock`
    return refusal('nothing-to-compare', [why], 'Find out what it is, and remove it by hand.')
  }
  const cluster = clusters.find(({ name }) => name === owner.cluster)
  if (!cluster)
    return refusal('not-in-fleet', [`cluster ${owner.cluster} is not in the fleet`], 'Add it, or unlock by hand.')
  const kind = operationKind(record.operation)
  const policy = lockPolicyOf(locks, cluster.environment, kind)
  if (policy === 'never') {
    const why = `locks of kind ${kind} in ${cluster.environment} are never unlocked, by the fleet's policy`
    return refusal('policy-never', [why], 'Unlock by hand, or change locks.policy of the fleet.')
  }
  const { id, operation } = record
  return {
    ...{ cluster: cluster.name, object: owner.object, lock: { id, operation }, parts: lock.parts, isSuspect },
    approvals: approvalsOf(policy, `locks of kind ${kind} in ${cluster.environment}`, isSuspect),
  }
}

function approvalsOf(policy: Exclude<LockPolicy, 'never'>, what: string, isSuspect: boolean): Approvals {
  const why = `the policy of ${what} is ${policy}`
  // Without a proof of death it is a person who decides to make one.
  if (isSuspect && policy === 'auto') return { policy, needed: 1, why: `${why}, and quiescing for a proof takes one` }
  return { policy, needed: peopleNeeded[policy], why }
}

/** There is a pod whose end would be the proof, and no node that could hide another one. */
function canBeProven({ pod, nodes }: Observation['evidence']): boolean {
  const silent = readingOf(nodes)?.silent
  return readingOf(pod)?.exists === true && silent?.length === 0
}
