import type { Fleet } from '../../fleet.ts'
import type { Observation } from '../../locks/scan/observation.ts'
import { unlockableOf } from '../plan/unlockable.ts'
import { type Approval, fingerprintOf } from './approval.ts'

/** Whether a lock is what people were asked about, as the latest scan saw it. */
export function stillJudged(
  { judged, rung }: Approval,
  observation: Observation,
  fleet: Pick<Fleet, 'clusters' | 'locks'>,
): 'same' | 'changed' | 'unknown' {
  if (observation.judgement.verdict === 'unknown') return 'unknown'
  if ('outcome' in unlockableOf(observation, fleet)) return 'changed'
  return fingerprintOf(observation, rung) === judged ? 'same' : 'changed'
}
