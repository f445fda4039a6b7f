import { describe, expect, it } from 'vitest'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { fingerprintOf } from '../../../functions/lib/unlock/approval/fingerprint.ts'
import { staleLock } from '../../fixtures/approvals.ts'

describe('fingerprintOf', () => {
  const changed = (change: (observation: Observation) => void) => {
    const observation = structuredClone(staleLock)
    change(observation)
    return fingerprintOf(observation, 'targeted')
  }
  const usual = fingerprintOf(staleLock, 'targeted')

  it('is the same however often the lock is looked at', () => {
    expect(
      changed((observation) => {
        observation.version += 7
        observation.evidence.at += 120_000
        observation.judgement.reasons = ['its pod is gone since 12m']
      }),
    ).toBe(usual)
  })

  it.each<[string, (observation: Observation) => void]>([
    ['lock', ({ evidence }) => Object.assign(evidence.lock.record ?? {}, { id: 'another' })],
    ['version of a part', ({ evidence }) => Object.assign(evidence.lock.parts[0] ?? {}, { version: 'v2' })],
    ['number of parts', ({ evidence }) => evidence.lock.parts.push({ store: 's3', address: 's3://a/b', version: 'e' })],
    ['rule', ({ judgement }) => Object.assign(judgement, { rule: 'another' })],
    ['place', (observation) => Object.assign(observation, { key: 'another' })],
  ])('is another for another %s', (_, change) => {
    expect(changed(change)).not.toBe(usual)
  })

  it('is another for another rung', () => {
    expect(fingerprintOf(staleLock, 'quiesce')).not.toBe(usual)
  })
})
