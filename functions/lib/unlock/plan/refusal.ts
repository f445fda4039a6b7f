export const refusalRules = [
  'free',
  'live',
  'suspect',
  'unknown',
  'not-a-runner',
  'unreadable-record',
  'nothing-to-compare',
  'not-in-fleet',
  'policy-never',
  'cannot-be-read',
  'object-gone',
  'no-controller',
  'shared-state',
  'scaled-by-keda',
] as const
export type RefusalRule = (typeof refusalRules)[number]

/** Why a lock is not unlocked. */
export interface Refused {
  readonly outcome: 'refused'
  readonly rule: RefusalRule
  readonly reasons: readonly string[]
  /** What a person could do. */
  readonly next: string
}

export function refusal(rule: RefusalRule, reasons: readonly string[], next: string): Refused {
  return { outcome: 'refused', rule, reasons, next }
}
