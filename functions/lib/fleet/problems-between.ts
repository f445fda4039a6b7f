import { formatDuration } from '../duration.ts'
import { type FleetProblem, shown } from './fleet-problem.ts'
import { type Fleet, type FleetLocks, peopleNeeded } from './fleet-schema.ts'

/** Mistakes between values that are right by themselves. */
export function problemsBetween(fleet: Fleet): FleetProblem[] {
  return [
    ...scanProblems(fleet.locks),
    ...approverProblems(fleet.locks),
    ...planApproverProblems(fleet.plans),
    ...waveApproverProblems(fleet),
    ...mailboxProblems(fleet),
  ]
}

/** A quiet window is watched over by scans within it: what happens between two that are farther apart nobody sees. */
function scanProblems({ every, quietWindow }: FleetLocks): FleetProblem[] {
  if (every < quietWindow) return []
  const message = `is not shorter than locks.quietWindow (${formatDuration(quietWindow)}), so that no lock would ever be stale`
  return [{ path: 'locks.every', message: `${message}; give a shorter one, or a longer window` }]
}

/**
 * A policy that is written down must be one that can be met. An environment that says nothing may go without people:
 * nothing is unlocked there until somebody is named.
 */
function approverProblems({ policy, approvers }: FleetLocks): FleetProblem[] {
  const count = approvers.length === 0 ? 'nobody' : `${approvers.length} only`
  return Object.entries(policy).flatMap(([environment, kinds]) =>
    Object.entries(kinds).flatMap(([kind, wanted]) => {
      if (wanted === undefined || wanted === 'never' || approvers.length >= peopleNeeded[wanted]) return []
      const message = `is "${wanted}", and locks.approvers names ${count}; name who may approve there`
      return [{ path: `locks.policy.${environment}.${kind}`, message }]
    }),
  )
}

/** As `approverProblems`: an environment that says nothing may go without people, and its plans are approved in Git. */
function planApproverProblems({ policy, approvers }: Fleet['plans']): FleetProblem[] {
  return Object.entries(policy).flatMap(([environment, wanted]) => {
    if (wanted === 'by-hand' || approvers.length >= peopleNeeded[wanted]) return []
    const count = approvers.length === 0 ? 'nobody' : `${approvers.length} only`
    const message = `is "${wanted}", and plans.approvers names ${count}; name who may approve there`
    return [{ path: `plans.policy.${environment}`, message }]
  })
}

function waveApproverProblems({ clusters, waves }: Fleet): FleetProblem[] {
  if (waves.approvers.length > 0) return []
  return clusters.flatMap(({ approval }, at) => {
    if (!approval) return []
    const message = `is "${approval}", and waves.approvers names nobody; name who may approve`
    return [{ path: `clusters[${at}].approval`, message }]
  })
}

/** A name is one person: a link that is meant for one mailbox must not go to another one. */
function mailboxProblems({ locks, plans, waves }: Fleet): FleetProblem[] {
  const known = new Map<string, { readonly email: string; readonly path: string }>()
  return Object.entries({ locks, plans, waves }).flatMap(([section, { approvers }]) =>
    approvers.flatMap(({ name, email }, at) => {
      if (email === undefined) return []
      const path = `${section}.approvers[${at}]`
      const first = known.get(name.toLowerCase())
      if (!first) known.set(name.toLowerCase(), { email, path })
      if (!first || first.email.toLowerCase() === email.toLowerCase()) return []
      return [{ path, message: `gives ${shown(name)} another address than ${first.path}; give one person one address` }]
    }),
  )
}
