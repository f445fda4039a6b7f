import { expect, test } from 'vitest'
import { lockWait } from '../../../functions/lib/rollout/lock-wait.ts'
import { observationOf } from '../../fixtures/observations.ts'

test('what an object waits for is who holds the lock, since when, with what, and what is thought of it', () => {
  expect(lockWait('a', observationOf())).toMatch(
    /^waits for the state lock of runner@vpc-tf-runner \(apply\) since 2026-03-02T10:00:00.500Z; it is live: its pod/,
  )
  const plan = { record: { operation: 'OperationTypePlan', createdAt: undefined } }
  expect(lockWait('a', observationOf(plan as never))).toMatch(/^waits for the state lock of runner@\S+ \(plan\); it is/)
})

test('where that is not known, it is the lock that its controller has met', () => {
  expect(lockWait('a', undefined)).toBe('waits for the state lock a')
  expect(lockWait('', undefined)).toBe('waits for the state lock')
  const garbage = observationOf({ lock: { record: undefined, problem: 'is not JSON' } as never })
  expect(lockWait('a', garbage)).toMatch(/nobody can tell whose; it is unknown: the lock's record is not JSON/)
})

test('it is short, whoever wrote the record', () => {
  const long = observationOf({ record: { user: 'u'.repeat(400), host: 'password=hunter2' } })
  expect(lockWait('a', long).length).toBeLessThanOrEqual(240)
  expect(lockWait('a', observationOf({ record: { host: 'password=hunter2' } }))).not.toContain('hunter2')
})
