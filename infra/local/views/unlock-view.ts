import { type PlanPorts, planNow } from '../../../functions/lib/unlock/plan/plan-now.ts'
import type { Refused } from '../../../functions/lib/unlock/plan/refusal.ts'
import type { UnlockPlan } from '../../../functions/lib/unlock/plan/unlock-plan.ts'
import type { LockLedger } from './lock-view.ts'

/** What an unlock of one lock would do. */
export interface UnlockView {
  /** Of the lock's place. */
  readonly key: string
  /** When the lock was last looked at, in milliseconds since the epoch. */
  readonly seenAt: number
  readonly plan: UnlockPlan | Refused
}

export interface UnlockViewsOptions extends PlanPorts {
  readonly ledger: Pick<LockLedger, 'readObservation'> & PlanPorts['ledger']
}

/** Plans of unlocks, for people. Nothing here changes anything. */
export class UnlockViews {
  private readonly options: UnlockViewsOptions

  constructor(options: UnlockViewsOptions) {
    this.options = options
  }

  /** Undefined where no scan has looked. Rejects with LedgerUnavailable. */
  async plan(key: string): Promise<UnlockView | undefined> {
    const observation = await this.options.ledger.readObservation(key)
    if (!observation) return undefined
    return { key, seenAt: observation.evidence.at, plan: await planNow(observation, this.options) }
  }
}
