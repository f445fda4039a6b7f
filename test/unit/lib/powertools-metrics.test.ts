import { afterEach, expect, test, vi } from 'vitest'
import type { Metrics } from '../../../functions/lib/metrics.ts'
import { powertoolsMetrics } from '../../../functions/lib/powertools-metrics.ts'

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

/** What is printed, as CloudWatch reads it. */
function linesOf(publish: (metrics: Metrics) => void): Record<string, unknown>[] {
  vi.stubEnv('POWERTOOLS_DEV', 'true')
  vi.stubEnv('POWERTOOLS_METRICS_DISABLED', 'false')
  const printed = vi.spyOn(console, 'log').mockImplementation(() => {})
  publish(powertoolsMetrics())
  return printed.mock.calls.map(([line]) => JSON.parse(String(line)))
}

const dimensions = (...names: string[]) => ({
  _aws: { CloudWatchMetrics: [{ Namespace: 'Lockstep', Dimensions: [['service', ...names]] }] },
})
const byVerdict = { live: 1, suspect: 2, stale: 3, unknown: 0 }

test('a scan’s figures are lines in the embedded metric format: what alarms look at for the fleet, the rest for the cluster', () => {
  const lines = linesOf((metrics) =>
    metrics.locks({
      ...{ cluster: 'staging', byVerdict, oldest: 90_000, oldestStale: 60_000 },
      ...{ detectedAfter: [500, 700], unreadable: 1 },
    }),
  )
  expect(lines).toMatchObject([
    { ...dimensions(), OldestStaleLockAge: 60, UnreadableStores: 1 },
    {
      ...dimensions('Cluster'),
      ...{ Cluster: 'staging', LocksLive: 1, LocksSuspect: 2, LocksStale: 3 },
      ...{ OldestLockAge: 90, OldestStaleLockAge: 60, UnreadableStores: 1 },
    },
    { ...dimensions(), TimeToDetect: [500, 700] },
  ])
  expect(lines[0]).not.toHaveProperty('Cluster')
  expect(lines[1]).not.toHaveProperty('LocksUnknown')
})

test('a cluster with nothing to tell sends no metric of its own, and what alarms look at comes all the same', () => {
  const none = { live: 0, suspect: 0, stale: 0, unknown: 0 }
  const lines = linesOf((metrics) => {
    metrics.locks({
      ...{ cluster: undefined, byVerdict: none, oldest: undefined, oldestStale: undefined },
      ...{ detectedAfter: [], unreadable: 0 },
    })
    metrics.restore({ cluster: 'staging', pending: false })
    metrics.sweep({ cluster: 'staging', findings: [], pushes: 0 })
  })
  expect(lines).toMatchObject([
    { ...dimensions(), OldestStaleLockAge: 0, UnreadableStores: 0 },
    { ...dimensions(), RestorePending: 0 },
  ])
})

test('what is to be put back, what a sweep has found, and what nobody heard of, is told by cluster or type', () => {
  const lines = linesOf((metrics) => {
    metrics.restore({ cluster: 'staging', pending: true })
    metrics.sweep({ cluster: 'staging', findings: [{ kind: 'drift' }, { kind: 'drift' }], pushes: 1 })
    metrics.untold('Rollout Started')
  })
  expect(lines).toMatchObject([
    { ...dimensions(), RestorePending: 1 },
    { ...dimensions('Cluster'), Cluster: 'staging', RestorePending: 1 },
    { ...dimensions('Cluster'), Cluster: 'staging', FindingsDrift: 2, SweepRollouts: 1 },
    { ...dimensions(), EventsUntold: 1 },
    { ...dimensions('Type'), Type: 'Rollout Started', EventsUntold: 1 },
  ])
})
