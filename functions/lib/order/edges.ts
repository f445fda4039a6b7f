import type { Workload } from '../flux/workload.ts'

/** Why one object comes after another, in words: `Terraform/a/db depends on Terraform/a/vpc (dependsOn)`. */
export type EdgeReason = 'dependsOn' | 'annotation' | 'applied by' | 'waits for health of' | 'layer'

/** Something that makes the order impossible. It names every object that takes part. */
export interface OrderProblem {
  readonly kind: 'cycle' | 'missing dependency' | 'malformed dependency' | 'unknown layer'
  readonly objects: readonly string[]
  readonly message: string
}

/** What is known of one object's place before layers are computed. */
export interface Placement {
  readonly workload: Workload
  /** Keys of the objects that must be ready before it, and why. Only objects of the graph. */
  readonly after: ReadonlyMap<string, EdgeReason>
  /** The Kustomization that waits for this object's health, if one does: they share a layer. */
  readonly awaitedBy: string | undefined
  /** Index in the fleet's list of layers. */
  readonly fleetLayer: number | undefined
}

/**
 * Finds the direct edges between `workloads`. `known` holds every object of the cluster, so that a dependency on an
 * object outside the graph (it is not part of this rollout) is told from one that does not exist.
 */
export function placeWorkloads(
  workloads: readonly Workload[],
  known: ReadonlySet<string>,
  layers: readonly string[],
): { placements: Map<string, Placement>; problems: OrderProblem[] } {
  const byKey = new Map(workloads.map((workload) => [workload.key, workload]))
  const problems: OrderProblem[] = []
  const placements = new Map<string, Placement>()
  for (const workload of workloads) {
    problems.push(...problemsOf(workload, known, layers))
    const owner = workload.owner === workload.key ? undefined : byKey.get(workload.owner ?? '')
    const awaited = owner !== undefined && isAwaited(owner, workload.key)
    const after = new Map<string, EdgeReason>()
    if (owner && !awaited) after.set(owner.key, 'applied by')
    for (const { key, by } of workload.dependsOn) if (byKey.has(key)) after.set(key, by)
    const fleetLayer = workload.layer === undefined ? -1 : layers.indexOf(workload.layer)
    placements.set(workload.key, {
      workload,
      after,
      awaitedBy: awaited ? owner.key : undefined,
      fleetLayer: fleetLayer < 0 ? undefined : fleetLayer,
    })
  }
  return { placements, problems }
}

function isAwaited(owner: Workload, key: string): boolean {
  return owner.waitsFor === 'all' || owner.waitsFor.includes(key)
}

function problemsOf(workload: Workload, known: ReadonlySet<string>, layers: readonly string[]): OrderProblem[] {
  const problems: OrderProblem[] = []
  for (const { key, by } of workload.dependsOn) {
    if (known.has(key)) continue
    problems.push({
      kind: 'missing dependency',
      objects: [workload.key, key],
      message: `${workload.key} depends on ${key} (${by}), which does not exist.`,
    })
  }
  for (const entry of workload.malformedDependencies) {
    problems.push({
      kind: 'malformed dependency',
      objects: [workload.key],
      message: `${workload.key} has "${entry}" in its annotation lockstep.dev/depends-on; write Kind/namespace/name, with Kind one of Kustomization, HelmRelease, Terraform.`,
    })
  }
  if (workload.layer !== undefined && !layers.includes(workload.layer)) {
    problems.push({
      kind: 'unknown layer',
      objects: [workload.key],
      message: `${workload.key} has the label lockstep.dev/layer: ${workload.layer}, which is not a layer of the fleet (${layers.join(', ') || 'it has none'}).`,
    })
  }
  return problems
}
