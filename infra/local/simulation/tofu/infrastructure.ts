import { appliedRevision, isTainted, type TofuState } from './state-backend.ts'

/** Whether a plan of the object at `revision` has changes, given what was applied last (undefined: nothing yet). */
export type PlanChanges = (key: string, revision: string, applied: string | undefined) => boolean

/** What Terraform objects manage, as far as plans can see it. */
export class Infrastructure {
  private readonly planChanges: PlanChanges
  private readonly drifted = new Set<string>()

  constructor(planChanges: PlanChanges = () => true) {
    this.planChanges = planChanges
  }

  /** Somebody changed it by hand: the next drift detection or plan of the object finds changes. */
  drift(key: string): void {
    this.drifted.add(key)
  }

  /** It is as its state says again. */
  restore(key: string): void {
    this.drifted.delete(key)
  }

  hasChanges(key: string, revision: string, state: TofuState | undefined): boolean {
    if (this.drifted.has(key) || isTainted(state)) return true
    const applied = appliedRevision(state)
    return applied !== revision && this.planChanges(key, revision, applied)
  }
}
