import type { TerraformRun, TerraformStatus } from './terraform-object.ts'

/**
 * Writes a change of status as tofu-controller does: the conditions first, and what else changed `gapMs` later. So
 * Ready tells of an outcome before the fields that belong to it. `change` is called for both.
 */
export async function patchStatus(
  run: TerraformRun,
  gapMs: number,
  change: (status: TerraformStatus) => void,
): Promise<void> {
  const wanted = structuredClone(run.status)
  change(wanted)
  const { conditions = [] } = wanted
  if (JSON.stringify(conditions) !== JSON.stringify(run.status.conditions ?? [])) {
    run.write((status) => {
      status.conditions = conditions
    })
  }
  if (sameButConditions(run.status, wanted)) return
  await run.spend(gapMs)
  run.write(change)
}

function sameButConditions(a: TerraformStatus, b: TerraformStatus): boolean {
  return JSON.stringify({ ...a, conditions: [] }) === JSON.stringify({ ...b, conditions: [] })
}
