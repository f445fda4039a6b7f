import type { Fleet } from '../fleet.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { type StillJudged, stillJudged } from '../unlock/approval/still-judged.ts'
import type { Approval } from './approval.ts'

/** Whether what people were asked about is still that. `ended`: nobody waits for their answer any more. */
export type StillAsked = StillJudged | 'ended'

/**
 * By what the ledger knows. Of a plan and of a wave whoever waits for the answer closes the approval as soon as they are
 * something else, and looks once more before anything is done by it. Rejects with LedgerUnavailable.
 */
export async function stillAsked(
  approval: Approval,
  {
    ledger,
    fleet,
  }: {
    readonly ledger: Pick<Ledger, 'readObservation' | 'readRollout'>
    readonly fleet: Pick<Fleet, 'clusters' | 'locks'>
  },
): Promise<StillAsked> {
  switch (approval.kind) {
    case 'unlock':
      return stillJudged(approval, await ledger.readObservation(approval.place), fleet)
    case 'plan': {
      const rollout = await ledger.readRollout(approval.rollout)
      return rollout?.value.outcome === undefined ? 'same' : 'ended'
    }
    case 'wave':
      return 'same'
  }
}
