import { Duration } from 'aws-cdk-lib'
import type { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2'
import {
  type Alarm,
  AlarmStatusWidget,
  Dashboard as CloudWatchDashboard,
  GraphWidget,
  type IMetric,
  MathExpression,
  Metric,
  PeriodOverride,
  Stats,
} from 'aws-cdk-lib/aws-cloudwatch'
import { Operation, type Table } from 'aws-cdk-lib/aws-dynamodb'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import { fleetMetric } from './alarms.ts'

export interface DashboardProps {
  /** Its name in the console. */
  readonly name: string
  readonly alarms: readonly Alarm[]
  readonly api: HttpApi
  readonly ledger: Table
  readonly rollout: StateMachine
  readonly lockScan: StateMachine
  readonly guardedUnlock: StateMachine
  /** The one that takes webhooks. */
  readonly webhook: IFunction
}

const period = Duration.minutes(5)

/** One page: what is wrong now, then rollouts, locks, and what they run on. */
export class Dashboard extends Construct {
  constructor(scope: Construct, id: string, props: DashboardProps) {
    super(scope, id)
    const { name, alarms, api, ledger, rollout, lockScan, guardedUnlock, webhook } = props
    new CloudWatchDashboard(this, 'Dashboard', {
      dashboardName: name,
      periodOverride: PeriodOverride.AUTO,
      defaultInterval: Duration.days(1),
      widgets: [
        [new AlarmStatusWidget({ title: 'What to act on', alarms: [...alarms], width: 24, height: 3 })],
        [
          graph('Rollouts', endsOf(rollout)),
          graph('How long a rollout takes', [
            rollout.metricTime({ statistic: 'p50', period }),
            rollout.metricTime({ statistic: 'p99', period }),
          ]),
          graph('Pushes, and answers that were errors', [
            api.metricCount({ period, statistic: Stats.SUM, label: 'deliveries and clicks' }),
            api.metricClientError({ period, statistic: Stats.SUM, label: 'refused (4xx)' }),
            api.metricServerError({ period, statistic: Stats.SUM, label: 'errors (5xx)' }),
          ]),
        ],
        [
          graph('Locks that are stale or suspect, by cluster', [
            byCluster('LocksStale', Stats.MAXIMUM),
            byCluster('LocksSuspect', Stats.MAXIMUM),
          ]),
          graph('Age of the oldest lock, by cluster', [byCluster('OldestLockAge', Stats.MAXIMUM)]),
          graph('From a lock to its finding', [fleetMetric('TimeToDetect', 'p50'), fleetMetric('TimeToDetect', 'p99')]),
        ],
        [
          graph('Unlocks', endsOf(guardedUnlock)),
          graph('To be put back, and out of reach', [
            fleetMetric('RestorePending', Stats.MAXIMUM),
            fleetMetric('UnreadableStores', Stats.MAXIMUM),
          ]),
          graph('Scans for locks', endsOf(lockScan)),
        ],
        [
          graph('All functions of the account', [
            account('Errors'),
            account('Throttles'),
            account('ConcurrentExecutions', Stats.MAXIMUM),
          ]),
          graph('How long the webhook takes (GitHub waits 10 s)', [
            webhook.metricDuration({ statistic: 'p50', period }),
            webhook.metricDuration({ statistic: 'p99', period }),
          ]),
          graph('Ledger', [
            ledger.metricConsumedReadCapacityUnits({ period, statistic: Stats.SUM }),
            ledger.metricConsumedWriteCapacityUnits({ period, statistic: Stats.SUM }),
            ledger.metricThrottledRequestsForOperations({
              operations: [Operation.GET_ITEM, Operation.PUT_ITEM, Operation.QUERY],
              period,
            }),
          ]),
        ],
      ],
    })
  }
}

const graph = (title: string, left: IMetric[]) => new GraphWidget({ title, left, width: 8, height: 6 })

function endsOf(machine: StateMachine): IMetric[] {
  const options = { period, statistic: Stats.SUM }
  return [
    machine.metricSucceeded({ ...options, label: 'succeeded' }),
    machine.metricFailed({ ...options, label: 'failed' }),
    machine.metricAborted({ ...options, label: 'aborted' }),
    machine.metricTimedOut({ ...options, label: 'timed out' }),
  ]
}

/** Of every cluster that has sent it, without naming them: a cluster with nothing to tell sends none. */
function byCluster(metric: string, statistic: string): IMetric {
  const search = `SEARCH('{Lockstep,service,Cluster} MetricName="${metric}"', '${statistic}', ${period.toSeconds()})`
  return new MathExpression({ expression: `FILL(${search}, 0)`, usingMetrics: {}, label: '', period })
}

function account(metricName: string, statistic: string = Stats.SUM): Metric {
  return new Metric({ namespace: 'AWS/Lambda', metricName, statistic, period })
}
