import { describe, expect, it } from 'vitest'
import { explain, explanationLines, operationText } from '../../../functions/lib/locks/explain.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { deadFor, limits, minute, type Scene, taken } from '../../fixtures/lock-evidence.ts'
import { observationOf } from '../../fixtures/observations.ts'

function observed(scene: Scene, offences: Observation['offences'] = []): Observation {
  const observation = observationOf(scene, { offences })
  return { ...observation, verdictSince: observation.evidence.at - 3 * minute }
}

const explained = (scene: Scene, offences?: Observation['offences']) => {
  const observation = observed(scene, offences)
  return explain(observation, { limits, now: observation.evidence.at })
}

describe('an explanation', () => {
  it('says who holds what since when', () => {
    expect(explained({}).banner).toBe(
      'The state of Terraform/flux-system/vpc in staging is locked by runner@vpc-tf-runner for an apply, taken 2026-03-02T10:00:00Z by its own clock, first seen 2026-03-02T10:01:00Z. Lock 6b1f0c9e-0000-4a55-9d0e-1f2e3d4c5b6a.',
    )
  })

  it('has a line for each piece, with its source and when it was read', () => {
    const { evidence } = explained({ pod: 'gone', controller: 'unknown', sight: deadFor(6) })
    const found = Object.fromEntries(evidence.map(({ what, found }) => [what, found]))
    expect(found).toMatchObject({
      pod: 'gone',
      controller: 'unknown: was answered with 403',
      nodes: 'node-1 is ready; all 3 answer',
      object: 'Ready Unknown Progressing: "Applying"; reconciling; not StateLocked',
      quiet: 'lock and state unchanged since 2026-03-02T10:01:00Z; proof of death since 2026-03-02T11:54:00Z',
      age: 'at least 1h59m, of 1h that its operation needs',
    })
    for (const { source, readAt } of evidence) {
      expect(source).not.toBe('')
      expect(readAt).toBe(taken + 120 * minute)
    }
  })

  it('shows how far the clock of the holder is off', () => {
    const parts = [{ store: 's3', address: 's3://b/k', version: 'e', takenAt: taken - 3 * minute }] as const
    const { evidence } = explained({ lock: { parts: [...parts] } })
    expect(evidence.find(({ what }) => what === 'age')?.found).toContain("the holder's clock is 3m ahead")
  })

  it('remembers repeat offenders', () => {
    const offences = [1, 2, 3].map((day) => ({ at: day, id: `${day}` }))
    expect(explained({}, offences).reasons).toContain('locks of this state have been stale 3 times in 90 days')
  })

  it.each([
    ['live', 'Let it finish.', {}],
    ['live', 'start tofu-controller again only after that', { controller: { ready: 0 } }],
    ['suspect', 'Ask ana@thinkpad', { holder: { other: 'no runner' }, record: { user: 'ana', host: 'thinkpad' } }],
    ['suspect', 'Bring the node back', { pod: 'gone', nodes: { silent: [{ name: 'n', createdAt: 0 }] } }],
    ['suspect', 'Wait: it is looked at again', { pod: 'gone' }],
    ['stale', 'Unlock it under guard', { pod: 'gone', sight: deadFor(6) }],
    ['unknown', 'Make readable', { pod: 'unknown' }],
    ['unknown', 'Look at the lock where it is kept', { lock: { record: undefined, problem: 'is not JSON' } }],
    ['free', 'Nothing.', { lock: { parts: [] } }],
  ] as const)('of what is %s says what to do: %s', (verdict, step, scene) => {
    const explanation = explained(scene as unknown as Scene)
    expect(explanation.verdict).toBe(verdict)
    expect(explanation.nextStep).toContain(step)
  })

  it('never shows the digest of a state', () => {
    const text = JSON.stringify(explained({ state: { md5: 'd41d8cd98f00b204e9800998ecf8427e' } }))
    expect(text).not.toContain('d41d8cd98f00b204e9800998ecf8427e')
  })

  it('reads as text from top to bottom', () => {
    const lines = explanationLines(explained({ pod: 'gone', sight: deadFor(6) }))
    expect(lines.slice(2, 7)).toEqual([
      'Verdict: stale, a silent ghost (rule holder-dead)',
      '  - its pod is gone',
      '  - it is at least 1h59m old',
      '  - neither the lock nor the state has moved for 6m',
      '  - stale since 3m',
    ])
    expect(lines.at(-1)).toMatch(/^Next: Unlock it under guard/)
  })
})

it('an operation that nobody knows is quoted', () => {
  expect(operationText('OperationTypeApply')).toBe('an apply')
  expect(operationText('state-mv')).toBe('"state-mv"')
  expect(operationText('')).toBe('an operation that is not named')
})
