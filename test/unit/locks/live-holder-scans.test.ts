import { expect, test } from 'vitest'
import { nodeSeen } from '../../../functions/lib/locks/evidence/node-evidence.ts'
import type { Observation } from '../../../functions/lib/locks/scan/observation.ts'
import { nextObservation, withSight } from '../../../functions/lib/locks/scan/remember.ts'
import { judge } from '../../../functions/lib/locks/verdict/verdict.ts'
import { evidenceOf, holderPod, limits, minute, type Scene, taken } from '../../fixtures/lock-evidence.ts'

/** Looks at one place, each knowing what the one before has found. */
class Scans {
  private last: Observation | undefined

  at(time: number, scene: Scene): string {
    const { sight: _, ...look } = evidenceOf({ ...scene, age: (time - taken) / minute })
    const evidence = withSight(look, time, this.last, limits.quietWindow)
    const judgement = judge(evidence, limits)
    this.last = nextObservation({ key: 'p', cluster: 'staging', evidence, judgement, at: time }, this.last)
    return judgement.verdict
  }

  /** Every two minutes, both in minutes since the lock was taken. */
  over(from: number, until: number, scene: Scene): string[] {
    const times = Array.from({ length: (until - from) / 2 }, (_, index) => taken + (from + 2 * index) * minute)
    return times.map((time) => this.at(time, scene))
  }
}

const container = { id: 'c-1', state: 'running', startedAt: taken - 60 * minute, restarts: 0 } as const

test('a kubelet that was late to say that it had restarted the container which then took the lock', () => {
  const scans = new Scans()
  scans.at(taken + 5_000, { pod: { ...holderPod, container } })
  const restarted = { ...container, id: 'c-2', startedAt: taken - 40_000, finishedAt: taken - 41_000, restarts: 1 }
  expect(scans.over(2, 80, { pod: { ...holderPod, container: restarted } })).not.toContain('stale')
})

test('a node that is lost just before one look and back just before another, with none in between', () => {
  const scans = new Scans()
  scans.over(1, 61, {})
  const gone: Scene = { pod: 'gone', nodes: { own: undefined, silent: [] } }
  scans.at(taken + 62 * minute, gone)
  expect(scans.at(taken + 70 * minute, gone)).not.toBe('stale')
  // Its kubelet has long ended what it was told to end.
  expect(scans.over(72, 80, gone)).toContain('stale')
})

test('an ID of one’s own that is used again, by a new lock of a new pod', () => {
  const scans = new Scans()
  scans.over(1, 11, {})
  const again = taken + 11 * minute
  const pod = {
    ...holderPod,
    uid: 'pod-b',
    createdAt: again - 20_000,
    container: { ...container, startedAt: again - 15_000 },
  }
  const record = { createdAt: again, created: new Date(again).toISOString() }
  const parts = [{ store: 'dynamodb' as const, address: 'fleet/vpc.tfstate in table locks (eu-west-1)', version: 'v2' }]
  expect(scans.over(12, 100, { pod, record, lock: { parts } })).not.toContain('stale')
})

test('a Lease’s time is the API server’s, so that a node whose clock is off is not silent', () => {
  const raw = {
    metadata: { name: 'node-2', creationTimestamp: '2026-03-01T00:00:00Z' },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  }
  const ready = (renewedAt: number) => nodeSeen(raw, () => ({ renewedAt, readAt: taken }), taken).ready
  expect(ready(taken - minute)).toBe(true)
  expect(ready(taken - 5 * minute)).toBe(false)
})
