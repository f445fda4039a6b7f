import type { Clock } from '../../../functions/lib/clock.ts'

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
  readonly lastTransitionTime: string
}

/** The fields of `status` that all simulated kinds share. */
export interface Status {
  observedGeneration?: number
  lastHandledReconcileAt?: string
  conditions?: Condition[]
}

/** Sets one condition. lastTransitionTime moves only when the condition's status does, as in Kubernetes. */
export function setCondition(status: Status, condition: Condition): void {
  const conditions = status.conditions ?? []
  const index = conditions.findIndex((candidate) => candidate.type === condition.type)
  const before = conditions[index]
  const lastTransitionTime =
    before?.status === condition.status ? before.lastTransitionTime : condition.lastTransitionTime
  status.conditions = conditions.toSpliced(index < 0 ? conditions.length : index, 1, {
    ...condition,
    lastTransitionTime,
  })
}

export function removeConditions(status: Status, ...types: string[]): void {
  if (!status.conditions) return
  status.conditions = status.conditions.filter((condition) => !types.includes(condition.type))
}

export function conditionOf(status: Status | undefined, type: string): Condition | undefined {
  return status?.conditions?.find((condition) => condition.type === type)
}

export function isTrue(status: Status | undefined, type: string): boolean {
  return conditionOf(status, type)?.status === 'True'
}

/** Now, as the API server writes times: RFC 3339, whole seconds. */
export function timestamp(clock: Clock): string {
  return `${new Date(clock.now()).toISOString().slice(0, 19)}Z`
}
