import { createHash } from 'node:crypto'
import type { Observation } from '../../locks/scan/observation.ts'
import type { Rung } from '../plan/rung.ts'

/**
 * One text for what people agree to: this lock in these places, judged by this rule, unlocked by this rung. A lock that
 * was released and taken again has another one.
 */
export function fingerprintOf({ key, evidence, judgement }: Observation, rung: Rung): string {
  const { parts, record } = evidence.lock
  const places = parts.map(({ address, version }) => [address, version ?? null]).sort()
  const judged = [key, evidence.owner?.object ?? null, record?.id ?? null, places, judgement.rule, rung]
  return createHash('sha256').update(JSON.stringify(judged)).digest('hex')
}
