import type { Claim } from '../ledger/ledger.ts'
import { branchOfMark } from '../rollout/gate-mark.ts'
import type { Found } from './finding.ts'
import type { SweptWorkload } from './swept-cluster.ts'

/**
 * Objects that a rollout has left suspended that is over: they refused to be opened, or somebody has brought an old manifest
 * back. Those of a branch that the ledger does not know belong to another installation.
 */
export function gatesLeft(workloads: Iterable<SweptWorkload>, claims: readonly Claim[]): Found[] {
  const free = new Set(claims.flatMap(({ branch, holder, next }) => (holder || next ? [] : [branch])))
  return [...workloads].flatMap(({ workload: { key, gate, suspended } }) => {
    if (gate === undefined || !suspended || !free.has(branchOfMark(gate))) return []
    const [kind = '', namespace = '', name = ''] = key.split('/')
    const resume =
      kind === 'Terraform'
        ? `tfctl -n ${namespace} resume ${name}`
        : `flux -n ${namespace} resume ${kind.toLowerCase()} ${name}`
    return [
      {
        ...{ kind: 'gate-left' as const, object: key },
        text: `${key} is still suspended by rollout ${gate.split(' ', 1)[0]}, which is over.`,
        next: `${resume}; the next rollout of its branch takes it over, too.`,
      },
    ]
  })
}
