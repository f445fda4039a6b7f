import type { KubernetesObject } from '../../kubernetes/object-store.ts'
import { isTrue } from '../conditions.ts'
import { type TerraformRun, type TerraformSpec, type TerraformStatus, terraformSpecSchema } from './terraform-object.ts'

/**
 * Why a run has to wait; undefined when it has not. A revision counts only where both use literally the same
 * sourceRef: across sources a stale Ready passes.
 */
export function unmetDependency(
  run: TerraformRun,
  revision: string,
  objectOf: (key: string) => KubernetesObject | undefined,
): string | undefined {
  for (const { name, namespace = run.namespace } of run.spec.dependsOn) {
    const dependency = objectOf(`Terraform/${namespace}/${name}`)
    if (!dependency) return `unable to get '${namespace}/${name}' dependency`
    const status: TerraformStatus = dependency.status ?? {}
    if (status.observedGeneration !== dependency.metadata.generation || !isTrue(status, 'Ready')) {
      return `dependency '${namespace}/${name}' is not ready`
    }
    const other = terraformSpecSchema.safeParse(dependency.spec).data?.sourceRef
    const updated = [status.lastAppliedRevision, status.lastPlannedRevision].includes(revision)
    if (other && sameRef(other, run.spec.sourceRef) && !updated) {
      return `dependency '${namespace}/${name}' is not updated yet`
    }
  }
  return undefined
}

function sameRef(a: TerraformSpec['sourceRef'], b: TerraformSpec['sourceRef']): boolean {
  return a.kind === b.kind && a.name === b.name && a.namespace === b.namespace
}
