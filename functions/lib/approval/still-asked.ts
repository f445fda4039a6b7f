import type { Fleet } from '../fleet.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { type StillJudged, stillJudged } from '../unlock/approval/still-judged.ts'
import type { Approval } from './approval.ts'

/** Whether what people were asked about is still that; `unknown` where it cannot be told now. */
export type StillAsked = StillJudged

/**
 * By what the ledger knows. Of a plan and of a wave whoever waits for the answer closes the approval as soon as they are
 * something else, and looks once more before anything is done by it. Rejects with LedgerUnavailable.
 */
export async function stillAsked(
  approval: Approval,
  {
    ledger,
    fleet,
  }: { readonly ledger: Pick<Ledger, 'readObservation'>; readonly fleet: Pick<Fleet, 'clusters' | 'locks'> },
): Promise<StillAsked> {
  if (approval.kind !== 'unlock') return 'same'
  const observation = await ledger.readObservation(approval.place)
  return observation ? stillJudged(approval, observation, fleet) : 'unknown'
}
