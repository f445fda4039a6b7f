import { MetricUnit, Metrics as Powertools } from '@aws-lambda-powertools/metrics'
import type { LockFigures, Metrics, SweepFigures } from './metrics.ts'
import { sweepFindingKinds } from './sweep/finding.ts'

const namespace = 'Lockstep'

/** What each metric is counted in, and its value. */
type Values = Readonly<Record<string, readonly [(typeof MetricUnit)[keyof typeof MetricUnit], number]>>

/**
 * Metrics in CloudWatch's embedded metric format: lines in the function's log, no calls. What alarms look at is published
 * for the fleet as a whole, and each time: that nothing comes is news. What tells clusters apart has the dimension
 * `Cluster` (`none` for what belongs to no cluster), and only what is there: CloudWatch takes money for each metric and
 * each hour in which a value came, and most clusters have nothing to tell most of the time.
 */
export function powertoolsMetrics(powertools = new Powertools({ namespace, serviceName: 'lockstep' })): Metrics {
  const publish = (values: Values, dimensions: Readonly<Record<string, string>> = {}) => {
    const isOfFleet = Object.keys(dimensions).length === 0
    const shown = Object.entries(values).filter(([, [, value]]) => isOfFleet || value > 0)
    if (shown.length === 0) return
    powertools.addDimensions(dimensions)
    for (const [metric, [unit, value]] of shown) powertools.addMetric(metric, unit, value)
    powertools.publishStoredMetrics()
  }
  return {
    locks: ({ cluster, byVerdict, oldest, oldestStale, detectedAfter, unreadable }: LockFigures) => {
      const forAlarms = {
        UnreadableStores: counted(unreadable),
        OldestStaleLockAge: seconds(oldestStale),
      }
      publish(forAlarms)
      const verdicts = Object.entries(byVerdict).map(([verdict, count]) => [`Locks${capital(verdict)}`, counted(count)])
      publish(
        { ...forAlarms, ...Object.fromEntries(verdicts), OldestLockAge: seconds(oldest) },
        { Cluster: cluster ?? 'none' },
      )
      // A metric of one line has at most 100 values.
      for (const ms of detectedAfter.slice(0, 100)) {
        powertools.addMetric('TimeToDetect', MetricUnit.Milliseconds, ms)
      }
      if (detectedAfter.length > 0) powertools.publishStoredMetrics()
    },
    sweep: ({ cluster, findings, pushes }: SweepFigures) => {
      const kinds = sweepFindingKinds.map((kind) => {
        const name = kind.replace(/(?:^|-)(\w)/g, (_, first: string) => first.toUpperCase())
        return [`Findings${name}`, counted(findings.filter((finding) => finding.kind === kind).length)]
      })
      publish({ ...Object.fromEntries(kinds), SweepRollouts: counted(pushes) }, { Cluster: cluster })
    },
    restore: ({ cluster, pending }) => {
      const values = { RestorePending: counted(pending ? 1 : 0) }
      publish(values)
      publish(values, { Cluster: cluster })
    },
    untold: (type) => {
      publish({ EventsUntold: counted(1) })
      publish({ EventsUntold: counted(1) }, { Type: type })
    },
  }
}

const counted = (count: number) => [MetricUnit.Count, count] as const
/** Of milliseconds. */
const seconds = (ms: number | undefined) => [MetricUnit.Seconds, (ms ?? 0) / 1_000] as const
const capital = (word: string) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`
