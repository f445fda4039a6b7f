import { describe, expect, test } from 'vitest'
import { concludeRollout, type Failure } from '../../../functions/report/report.ts'
import { plannedObject, rolloutTo } from '../../fixtures/notified-rollout.ts'

const ready = plannedObject('a', 0, { phase: 'ready' })
const failed = plannedObject('Terraform/a/vpc', 0, { phase: 'failed', detail: 'no quota' })

function concluded(objects: object[], failure?: Failure) {
  const rollout = Object.assign(rolloutTo('staging'), { objects: structuredClone(objects) })
  const outcome = concludeRollout(rollout, 7, failure)
  expect(rollout).toMatchObject({ outcome, endedAt: 7 })
  return { outcome, failure: rollout.failure }
}

describe('a rollout has', () => {
  test.each([
    ['succeeded where all is ready', [ready, { ...ready, phase: 'gone' }]],
    ['succeeded where a person had suspended the rest', [{ ...failed, notHeld: 'person', reason: 'Suspended' }]],
  ])('%s', (_, objects) => {
    expect(concluded(objects)).toEqual({ outcome: 'succeeded', failure: undefined })
  })

  test('failed where something has, and says what, and how much is behind it', () => {
    expect(concluded([ready, failed, failed, plannedObject('b', 1)])).toEqual({
      ...{ outcome: 'failed' },
      failure: 'Terraform/a/vpc no quota (and 1 more). 1 objects behind it were not rolled out.',
    })
    expect(concluded([plannedObject('b', 1)])).toMatchObject({ outcome: 'failed' })
  })

  test('been overtaken where it has lost its claim', () => {
    const lost = { error: 'ClaimLost', cause: 'A newer push has it.' }
    expect(concluded([ready], lost)).toEqual({ outcome: 'superseded', failure: 'ClaimLost: A newer push has it.' })
  })

  test('failed with its step, whose words are kept without what looks secret', () => {
    const cause = JSON.stringify({ errorMessage: 'clone https://ana:hunter2@git.example.com: denied' })
    expect(concluded([ready], { error: 'Error', cause })).toEqual({
      ...{ outcome: 'failed', failure: 'Error: clone https://***@git.example.com: denied' },
    })
  })
})
