import { outcomeOf } from '../../approval/approval.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import type { UnlockPlan } from '../plan/unlock-plan.ts'
import type { UnlockRun } from '../run/unlock-run.ts'
import { fingerprintOf } from './fingerprint.ts'

/**
 * How many people have yet to agree to the plan of an unlock. What was agreed to counts for that very lock, judged by the
 * same rule and unlocked by the same rung; for anything else it has to be asked anew.
 */
export async function missingApprovals(
  { approvals: { needed }, rung }: UnlockPlan,
  observation: Observation,
  { unlock }: UnlockRun,
  { ledger }: { readonly ledger: Pick<Ledger, 'readApproval'> },
): Promise<number> {
  if (needed === 0) return 0
  const approval = await ledger.readApproval(unlock)
  if (!approval || approval.judged !== fingerprintOf(observation, rung)) return needed
  if (outcomeOf(approval) !== 'approved' || approval.needed < needed) return needed
  return 0
}
