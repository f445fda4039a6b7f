import { MetricUnit, Metrics as Powertools } from '@aws-lambda-powertools/metrics'
import type { LockFigures, Metrics, SweepFigures } from './metrics.ts'
import { sweepFindingKinds } from './sweep/finding.ts'

const namespace = 'Lockstep'

/**
 * Metrics in CloudWatch's embedded metric format: lines in the function's log, no calls. Dimension: the cluster, `none`
 * for what belongs to no cluster; of events the type.
 */
export function powertoolsMetrics(powertools = new Powertools({ namespace, serviceName: 'lockstep' })): Metrics {
  return {
    locks: ({ cluster, byVerdict, oldest, detectedAfter, unreadable }: LockFigures) => {
      powertools.addDimension('Cluster', cluster ?? 'none')
      for (const [verdict, count] of Object.entries(byVerdict)) {
        powertools.addMetric(`Locks${verdict.charAt(0).toUpperCase()}${verdict.slice(1)}`, MetricUnit.Count, count)
      }
      powertools.addMetric('UnreadableStores', MetricUnit.Count, unreadable)
      powertools.addMetric('OldestLockAge', MetricUnit.Seconds, (oldest ?? 0) / 1000)
      // A metric of one line has at most 100 values.
      for (const ms of detectedAfter.slice(0, 100)) {
        powertools.addMetric('TimeToDetect', MetricUnit.Milliseconds, ms)
      }
      powertools.publishStoredMetrics()
    },
    sweep: ({ cluster, findings, pushes }: SweepFigures) => {
      powertools.addDimension('Cluster', cluster)
      for (const kind of sweepFindingKinds) {
        const name = kind.replace(/(?:^|-)(\w)/g, (_, first: string) => first.toUpperCase())
        const count = findings.filter((finding) => finding.kind === kind).length
        powertools.addMetric(`Findings${name}`, MetricUnit.Count, count)
      }
      powertools.addMetric('SweepRollouts', MetricUnit.Count, pushes)
      powertools.publishStoredMetrics()
    },
    untold: (type) => {
      powertools.addDimension('Type', type)
      powertools.addMetric('EventsUntold', MetricUnit.Count, 1)
      powertools.publishStoredMetrics()
    },
  }
}
