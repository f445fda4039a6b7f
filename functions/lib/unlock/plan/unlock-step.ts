/** What a field is before and after a change. Null: it is not there. */
export type FieldValue = string | number | boolean | null

/** One thing that an unlock does. Steps are done in their order; whatever ends an unlock early undoes its changes. */
export type UnlockStep =
  | {
      readonly kind: 'change'
      /** `Terraform/flux-system/vpc`, or where a part of the lock is. */
      readonly object: string
      /** `spec.suspend`; `lock` and `pod` where the whole thing is deleted. */
      readonly field: string
      readonly from: FieldValue
      readonly to: FieldValue
      readonly why: string
    }
  | {
      readonly kind: 'wait'
      readonly for: string
      /** It takes this long at least, in milliseconds. */
      readonly atLeastMs: number
      /** After this long it is given up, and everything is put back. In milliseconds. */
      readonly atMostMs: number
    }
  /** Something is looked at or kept, and nothing in the cluster changes. */
  | { readonly kind: 'check'; readonly what: string }

/** How long an unlock takes, in milliseconds: what its waits take at least, and when it has given up at the latest. */
export interface TimeEstimate {
  readonly atLeastMs: number
  readonly atMostMs: number
}

export function estimateOf(steps: readonly UnlockStep[]): TimeEstimate {
  const waits = steps.filter((step) => step.kind === 'wait')
  return {
    atLeastMs: waits.reduce((sum, { atLeastMs }) => sum + atLeastMs, 0),
    atMostMs: waits.reduce((sum, { atMostMs }) => sum + atMostMs, 0),
  }
}
