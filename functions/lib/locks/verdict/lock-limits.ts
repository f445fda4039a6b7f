/** When a lock may be called stale. All in milliseconds. */
export interface LockLimits {
  /** How old a lock must be, by the kind of its operation. */
  readonly minimumAge: { readonly plan: number; readonly apply: number }
  /** How long nothing about the lock, its state and the proof of its holder's death may have moved. */
  readonly quietWindow: number
}

/** How far a node's clock may be off. What depends on it is decided as if it were. */
export const clockTolerance = 10 * 60_000

/** How far the clocks of AWS, of API servers and of Lockstep may be from one another. */
export const serverTolerance = 60_000

const planning = new Set(['OperationTypePlan', 'OperationTypeRefresh'])

/** What is not known to be a plan may change things: it counts as apply. */
export function operationKind(operation: string): 'plan' | 'apply' {
  return planning.has(operation) ? 'plan' : 'apply'
}

/** The age that a lock of an operation needs. */
export function minimumAgeOf(operation: string, { minimumAge }: LockLimits): number {
  return minimumAge[operationKind(operation)]
}
