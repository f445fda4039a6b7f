import type { UnlockApproval } from '../../approval/approval.ts'
import type { Fleet } from '../../fleet.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import { unlockableOf } from '../plan/unlockable.ts'
import { fingerprintOf } from './fingerprint.ts'

/** Whether a lock is what people were asked about; `unknown` where it cannot be told now. */
export type StillJudged = 'same' | 'changed' | 'unknown'

/** As the latest scan saw it; undefined where none has. */
export function stillJudged(
  { judged, rung }: UnlockApproval,
  observation: Observation | undefined,
  fleet: Pick<Fleet, 'clusters' | 'locks'>,
): StillJudged {
  if (!observation || observation.judgement.verdict === 'unknown') return 'unknown'
  if ('outcome' in unlockableOf(observation, fleet)) return 'changed'
  return fingerprintOf(observation, rung) === judged ? 'same' : 'changed'
}
