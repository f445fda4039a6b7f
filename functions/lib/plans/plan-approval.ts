import { approversOf, neededBeside } from '../approval/approval.ts'
import { type Approver, type Fleet, peopleNeeded, planPolicyOf } from '../fleet.ts'
import type { Rollout } from '../rollout/rollout.ts'

/** One for each object of a rollout: its plans are asked about one after the other. */
export function planApprovalId(rollout: string, object: string): string {
  return `${rollout} ${object}`
}

/** Who is asked about the plans of a rollout. */
export interface PlanPeople {
  readonly people: readonly Approver[]
  /** How many of them have to agree. */
  readonly needed: number
}

/** Undefined where nobody is asked: then a plan waits for its approval in Git, as long as its layer may take. */
export function planPeople(
  fleet: Fleet,
  { cluster: name, push }: Pick<Rollout, 'cluster' | 'push'>,
): PlanPeople | undefined {
  const cluster = fleet.clusters.find((each) => each.name === name)
  const policy = cluster && planPolicyOf(fleet.plans, cluster.environment)
  if (!policy || policy === 'by-hand') return undefined
  const people = approversOf(push.pusher, fleet.plans.approvers)
  const needed = neededBeside(push.pusher, peopleNeeded[policy])
  return people.length < needed ? undefined : { people, needed }
}
