import { FleetInvalid } from './fleet/fleet-problem.ts'
import { referenceProblems } from './fleet/fleet-references.ts'
import {
  type Fleet,
  type FleetLocks,
  fleetSchema,
  type LockPolicy,
  type PlanPolicy,
  usualPlanPolicy,
  usualPolicy,
} from './fleet/fleet-schema.ts'
import { problemsBetween } from './fleet/problems-between.ts'

export { FleetInvalid, type FleetProblem } from './fleet/fleet-problem.ts'
export {
  type Approver,
  type Fleet,
  type FleetCluster,
  type FleetLocks,
  type FleetRepository,
  type LockPolicy,
  lockPolicies,
  type PlanPolicy,
  peopleNeeded,
  planPolicies,
} from './fleet/fleet-schema.ts'

/**
 * The fleet as written in cdk.json, context `lockstep`. Throws one FleetInvalid with every mistake in it, those
 * of single values and those between them.
 */
export function parseFleet(raw: unknown): Fleet {
  const parsed = fleetSchema.safeParse(raw)
  const problems = [
    ...(parsed.error?.issues ?? []).map(({ path, message }) => ({ path: pathText(path), message })),
    ...referenceProblems(raw),
    ...(parsed.data ? problemsBetween(parsed.data) : []),
  ]
  if (!parsed.success || problems.length > 0) throw new FleetInvalid(problems)
  return parsed.data
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((before, key) => {
    if (typeof key === 'number') return `${before}[${key}]`
    return before === '' ? String(key) : `${before}.${String(key)}`
  }, '')
}

/** How long a layer may take, in milliseconds. Objects without a label are in a layer without a name. */
export function layerDeadline(fleet: Fleet, layer?: string): number {
  const own = layer !== undefined && Object.hasOwn(fleet.deadlines.layers, layer) && fleet.deadlines.layers[layer]
  return own || fleet.deadlines.layer
}

/** Who has to agree before a lock of such an operation is broken in an environment. */
export function lockPolicyOf({ policy }: FleetLocks, environment: string, operation: 'plan' | 'apply'): LockPolicy {
  return Object.hasOwn(policy, environment) ? (policy[environment]?.[operation] ?? usualPolicy) : usualPolicy
}

/** Who has to agree before a plan is applied in an environment. */
export function planPolicyOf({ policy }: Fleet['plans'], environment: string): PlanPolicy {
  return (Object.hasOwn(policy, environment) && policy[environment]) || usualPlanPolicy
}
