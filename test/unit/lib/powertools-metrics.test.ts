import { afterEach, expect, test, vi } from 'vitest'
import { powertoolsMetrics } from '../../../functions/lib/powertools-metrics.ts'

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

test('a scan’s figures are a line in the embedded metric format', () => {
  vi.stubEnv('POWERTOOLS_DEV', 'true')
  vi.stubEnv('POWERTOOLS_METRICS_DISABLED', 'false')
  const printed = vi.spyOn(console, 'log').mockImplementation(() => {})
  const metrics = powertoolsMetrics()
  const byVerdict = { live: 1, suspect: 2, stale: 3, unknown: 0 }
  metrics.locks({ cluster: 'staging', byVerdict, oldest: 90_000, detectedAfter: [500, 700], unreadable: 1 })
  metrics.locks({ cluster: undefined, byVerdict, oldest: undefined, detectedAfter: [], unreadable: 0 })
  const [first, second] = printed.mock.calls.map(([line]) => JSON.parse(String(line)))
  expect(first).toMatchObject({
    ...{ Cluster: 'staging', LocksLive: 1, LocksSuspect: 2, LocksStale: 3, LocksUnknown: 0 },
    ...{ OldestLockAge: 90, TimeToDetect: [500, 700], UnreadableStores: 1 },
    _aws: { CloudWatchMetrics: [{ Namespace: 'Lockstep', Dimensions: [['service', 'Cluster']] }] },
  })
  expect(second).toMatchObject({ Cluster: 'none', OldestLockAge: 0 })
  expect(second).not.toHaveProperty('TimeToDetect')
})

test('so are those of a sweep, by kind, those of nothing too', () => {
  vi.stubEnv('POWERTOOLS_DEV', 'true')
  vi.stubEnv('POWERTOOLS_METRICS_DISABLED', 'false')
  const printed = vi.spyOn(console, 'log').mockImplementation(() => {})
  const findings = [{ kind: 'by-hand' as const }, { kind: 'by-hand' as const }, { kind: 'drift' as const }]
  powertoolsMetrics().sweep({ cluster: 'staging', findings, pushes: 1 })
  expect(JSON.parse(String(printed.mock.calls[0]?.[0]))).toMatchObject({
    ...{ Cluster: 'staging', FindingsByHand: 2, FindingsDrift: 1, FindingsStuck: 0, SweepRollouts: 1 },
  })
})
