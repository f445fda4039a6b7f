import type { Item, Prices } from './prices.ts'
import type { Standing } from './standing.ts'
import type { Usage, UsageFigures, Work } from './usage-figures.ts'

/** What is not measured, and said in docs/cost.md. */
export interface Assumptions {
  readonly pushesPerDay: number
  /** In minutes. */
  readonly scanEvery: number
  readonly sweepEvery: number
  /** What an invocation takes whose work was not measured, besides waiting, in seconds: connections and cold starts included. */
  readonly secondsPerInvocation: number
  /** KB of log of one invocation, and of one event in an execution's history. */
  readonly logPerInvocation: number
  readonly logPerEvent: number
  /** Events of Lockstep, and messages about them, of one rollout. */
  readonly eventsPerRollout: number
  readonly messagesPerRollout: number
  /** Custom metrics of the fleet; and of a cluster, those that are there in an hour on average. */
  readonly metricsOfFleet: number
  readonly metricsPerCluster: number
  /** Requests to KMS of one invocation, where the fleet has a key of its own: tables and buckets keep theirs for minutes. */
  readonly keyRequestsPerInvocation: number
  /** GB of ledger, of each cluster. */
  readonly ledgerPerCluster: number
}

export const usualAssumptions: Assumptions = {
  ...{ pushesPerDay: 20, scanEvery: 2, sweepEvery: 15, secondsPerInvocation: 0.3 },
  ...{ logPerInvocation: 1.5, logPerEvent: 0.8, eventsPerRollout: 7, messagesPerRollout: 3 },
  ...{ metricsOfFleet: 5, metricsPerCluster: 1, ledgerPerCluster: 0.05, keyRequestsPerInvocation: 1 },
}

export interface CostInput {
  readonly usage: UsageFigures
  /** Of functions, by name. */
  readonly work: Readonly<Record<string, Work>>
  readonly standing: Standing
  readonly prices: Prices
  readonly assumptions: Assumptions
}

/** How many of each item. */
type Counts = Readonly<Partial<Record<Item, number>>>

export const daysPerMonth = 30.4
const minutesPerMonth = daysPerMonth * 24 * 60

/** Of a number of clusters, in dollars. */
export interface Cost {
  readonly clusters: number
  readonly push: number
  /** Of a month, by what it is for. */
  readonly month: Readonly<Record<Purpose, number>>
  /** The same month, by what takes the money. */
  readonly services: Readonly<Record<Service, number>>
  readonly total: number
}

export type Purpose = 'pushes' | 'scans for locks' | 'sweeps' | 'standing'

const services = {
  'Step Functions': ['stepFunctionsTransition'],
  Lambda: ['lambdaGbSecond', 'lambdaRequest'],
  DynamoDB: ['dynamodbWriteUnit', 'dynamodbReadUnit', 'dynamodbGbMonth'],
  'CloudWatch and X-Ray': ['logsGb', 'metricMonth', 'alarmMetricMonth', 'dashboardMonth', 'xrayTrace'],
  'all else': [
    ...(['schedulerInvocation', 'eventBridgeEvent', 'snsPublish', 'snsMail', 'httpApiRequest'] as const),
    ...(['secretMonth', 'secretCall', 'kmsKeyMonth', 'kmsRequest', 'vpcEndpointMonth'] as const),
  ],
} as const satisfies Record<string, readonly Item[]>
export type Service = keyof typeof services

export function costOf(clusters: number, input: CostInput): Cost {
  const { assumptions, prices } = input
  const { pushesPerDay, scanEvery, sweepEvery } = assumptions
  const push = pushOf(clusters, input)
  const purposes: Record<Purpose, Counts> = {
    pushes: times(push, pushesPerDay * daysPerMonth),
    'scans for locks': times(scanOf(clusters, input), minutesPerMonth / scanEvery),
    sweeps: times(sweepOf(clusters, input), minutesPerMonth / sweepEvery),
    standing: standingOf(clusters, input),
  }
  const all = sum(...Object.values(purposes))
  const inDollars = (counts: Counts) => dollars(counts, prices)
  const month = mapped(purposes, inDollars)
  return {
    ...{ clusters, push: inDollars(push), month, total: inDollars(all) },
    services: mapped(services, (items) => inDollars(Object.fromEntries(items.map((item) => [item, all[item] ?? 0])))),
  }
}

function pushOf(clusters: number, input: CostInput): Counts {
  const { usage, assumptions, standing } = input
  const { eventsPerRollout, messagesPerRollout } = assumptions
  const messages = messagesPerRollout * clusters
  const webhook: Usage = {
    ...{ transitions: 0, events: 0, readUnits: 0, writeUnits: 0 },
    calls: { webhook: { invocations: 1, seconds: 0 } },
  }
  return sum(
    { httpApiRequest: 1, secretCall: 1 },
    countsOf(webhook, input),
    countsOf(usage.fleet, input),
    // One more state of the Map for each further cluster.
    { stepFunctionsTransition: clusters - 1 },
    times(countsOf(usage.rollout, input), clusters),
    { eventBridgeEvent: eventsPerRollout * clusters, snsPublish: messages, snsMail: messages * standing.mailboxes },
  )
}

function scanOf(clusters: number, input: CostInput): Counts {
  const { scanWithout, scanOfOne } = input.usage
  const without = countsOf(scanWithout, input)
  const ofCluster = sum(countsOf(scanOfOne, input), times(without, -1))
  return sum(
    { schedulerInvocation: 1 },
    without,
    times(ofCluster, clusters),
    // Each cluster's scan reads the report of each other one, to see whether two keep the same state.
    { dynamodbReadUnit: clusters * (clusters - 1) },
  )
}

function sweepOf(clusters: number, input: CostInput): Counts {
  return times(sum({ schedulerInvocation: 1 }, countsOf(input.usage.sweep, input)), clusters)
}

function standingOf(clusters: number, { standing, assumptions }: CostInput): Counts {
  const { metricsOfFleet, metricsPerCluster, ledgerPerCluster } = assumptions
  return {
    alarmMetricMonth: standing.alarmMetrics,
    dashboardMonth: standing.dashboards,
    secretMonth: standing.secrets,
    kmsKeyMonth: standing.keys,
    vpcEndpointMonth: standing.endpointZones,
    metricMonth: metricsOfFleet + metricsPerCluster * clusters,
    dynamodbGbMonth: ledgerPerCluster * clusters,
  }
}

/** With so many MB, a function has one CPU: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html */
const megabytesOfCpu = 1_769

/**
 * How long a function runs in one execution, in seconds. It starts once, and its work takes longer the smaller its share of a CPU
 * is; one that waits works meanwhile.
 */
function secondsOf(name: string, { invocations, seconds }: Usage['calls'][string], input: CostInput): number {
  const work = input.work[name]
  if (!work) return seconds + invocations * input.assumptions.secondsPerInvocation
  const cpuMs = work.startCpuMs + (seconds > 0 ? 0 : invocations * work.workCpuMs)
  return seconds + (cpuMs / 1_000) * (megabytesOfCpu / memoryOf(name, input))
}

function memoryOf(name: string, { standing }: CostInput): number {
  const megabytes = standing.memory[name]
  if (megabytes === undefined) throw new TypeError(`There is no function ${name} in the stack: measure again.`)
  return megabytes
}

/** Of one execution. */
function countsOf({ transitions, events, readUnits, writeUnits, calls }: Usage, input: CostInput): Counts {
  const { standing, assumptions } = input
  const { logPerInvocation, logPerEvent, keyRequestsPerInvocation } = assumptions
  let lambdaRequest = 0
  let lambdaGbSecond = 0
  for (const [name, call] of Object.entries(calls)) {
    lambdaRequest += call.invocations
    lambdaGbSecond += (secondsOf(name, call, input) * memoryOf(name, input)) / 1_024
  }
  const kilobytes = lambdaRequest * logPerInvocation + events * logPerEvent
  return {
    ...{ stepFunctionsTransition: transitions, lambdaRequest, lambdaGbSecond, logsGb: kilobytes / 1e6, xrayTrace: 1 },
    ...{ dynamodbReadUnit: readUnits, dynamodbWriteUnit: writeUnits },
    kmsRequest: standing.keys > 0 ? lambdaRequest * keyRequestsPerInvocation : 0,
  }
}

function sum(...all: readonly Counts[]): Counts {
  const total: Partial<Record<Item, number>> = {}
  for (const counts of all)
    for (const [item, count] of Object.entries(counts)) total[item as Item] = (total[item as Item] ?? 0) + count
  return total
}

function times(counts: Counts, factor: number): Counts {
  return mapped(counts, (count) => (count ?? 0) * factor)
}

function dollars(counts: Counts, { prices }: Prices): number {
  return Object.entries(counts).reduce((total, [item, count]) => total + count * prices[item as Item].usd, 0)
}

function mapped<Key extends string, From, To>(
  of: Readonly<Partial<Record<Key, From>>>,
  change: (from: From) => To,
): Record<Key, To> {
  const entries = Object.entries(of) as [Key, From][]
  return Object.fromEntries(entries.map(([key, value]) => [key, change(value)])) as Record<Key, To>
}
