import type { LockRecord } from './lock-record.ts'
import type { InitRequest } from './runner.ts'

/** tofu in one working directory. An abort is SIGINT: what runs ends in order, and its lock is released. */
export interface Tofu {
  /** Unpacks the artifact and initialises the backend. */
  init(signal: AbortSignal): Promise<void>
  /** Throws when no such lock is held. */
  forceUnlock(lockId: string): Promise<void>
  /** Answers whether there are changes. */
  plan(purpose: 'apply' | 'drift', signal: AbortSignal): Promise<boolean>
  /** Keeps the last plan for applies in later sessions, under an id. */
  savePlan(plan: string): Promise<void>
  /** Throws when the plan that is kept has another id. */
  loadPlan(plan: string): Promise<void>
  /** Applies the plan that was loaded. */
  apply(signal: AbortSignal): Promise<void>
  outputs(signal: AbortSignal): Promise<void>
}

export type MakeTofu = (request: InitRequest) => Tofu

/** Somebody else holds the state lock. */
export class StateLocked extends Error {
  override readonly name = 'StateLocked'
  /** Undefined when tofu did not say who. */
  readonly holder: LockRecord | undefined

  constructor(message: string, holder?: LockRecord) {
    super(message)
    this.holder = holder
  }
}
