import { type Assumptions, type Cost, type CostInput, costOf } from './model.ts'
import type { Item, Prices } from './prices.ts'
import type { Standing } from './standing.ts'
import type { UsageFigures, Work } from './usage-figures.ts'

/** The tables of docs/cost.md. */
export function costTables(costs: readonly Cost[]): string {
  const [first] = costs
  if (!first) return ''
  const heads = ['', ...costs.map(({ clusters }) => (clusters === 1 ? '1 cluster' : `${clusters} clusters`))]
  const row = (name: string, of: (cost: Cost) => number) => [name, ...costs.map((cost) => money(of(cost)))]
  const purposes = Object.keys(first.month) as (keyof Cost['month'])[]
  const services = Object.keys(first.services) as (keyof Cost['services'])[]
  return [
    ...table([
      heads,
      row('**one push**', ({ push }) => push),
      row('**a month**', ({ total }) => total),
      ...purposes.map((name) =>
        row(name === 'standing' ? 'whatever happens' : `for ${name}`, ({ month }) => month[name]),
      ),
    ]),
    '',
    ...table([
      ['the same month, by service', ...heads.slice(1)],
      ...services.map((name) => row(name, (cost) => cost.services[name])),
    ]),
  ].join('\n')
}

/** What a month costs more with each choice. */
export function choicesTable(
  clusters: readonly number[],
  input: CostInput,
  choices: Readonly<Record<string, Standing>>,
): string {
  const heads = [
    'besides, if the fleet asks for',
    ...clusters.map((count) => (count === 1 ? '1 cluster' : `${count} clusters`)),
  ]
  const rows = Object.entries(choices).map(([name, standing]) => [
    name,
    ...clusters.map((count) => money(costOf(count, { ...input, standing }).total - costOf(count, input).total)),
  ])
  return table([heads, ...rows]).join('\n')
}

/** The work that was measured, and with which CPU. */
export function workTable(work: Readonly<Record<string, Work>>): string {
  const rows = Object.entries(work).map(([name, { startCpuMs, workCpuMs }]) => [
    name,
    String(Math.round(startCpuMs)),
    String(Math.round(workCpuMs)),
  ])
  return table([['a function, invoked once', 'CPU to start, ms', 'CPU to work, ms'], ...rows]).join('\n')
}

export function usageTable(usage: UsageFigures): string {
  const names: Readonly<Record<keyof UsageFigures, string>> = {
    fleet: 'a push, once',
    rollout: 'a push, for each cluster',
    scanWithout: 'a scan for locks, once',
    scanOfOne: 'a scan for locks, with its first cluster',
    sweep: 'a sweep, for each cluster',
  }
  const rows = (Object.keys(names) as (keyof UsageFigures)[]).map((key) => {
    const { transitions, calls, readUnits, writeUnits } = usage[key]
    const sum = (of: 'invocations' | 'seconds') => Object.values(calls).reduce((total, call) => total + call[of], 0)
    const figures = [transitions, sum('invocations'), sum('seconds').toFixed(1), writeUnits, readUnits]
    return [names[key], ...figures.map(String)]
  })
  return table([
    ['measured', 'transitions', 'invocations', 'waiting, s', 'writes of 1 KB', 'reads of 4 KB'],
    ...rows,
  ]).join('\n')
}

export function priceTable({ prices }: Prices): string {
  const rows = (Object.keys(prices) as Item[]).map((item) => {
    const { usd, per, source, compared } = prices[item]
    return [plainNumber(usd), per, source, compared ? `[${compared.of}](${compared.with})` : '']
  })
  return table([['dollars', 'for a', 'source', 'compared with a page of'], ...rows]).join('\n')
}

export function assumptionList(assumptions: Assumptions): string {
  const { pushesPerDay, scanEvery, sweepEvery, secondsPerInvocation, logPerInvocation, logPerEvent } = assumptions
  const { eventsPerRollout, messagesPerRollout, metricsOfFleet, metricsPerCluster, ledgerPerCluster } = assumptions
  const { keyRequestsPerInvocation } = assumptions
  return [
    `- ${pushesPerDay} pushes a day, each to all clusters; a scan for locks every ${scanEvery} minutes, a sweep of each cluster every ${sweepEvery}; a month of 30.4 days.`,
    `- An invocation whose work was not measured takes ${secondsPerInvocation} s besides what it waits. Each leaves ${logPerInvocation} KB of log; each event of an execution ${logPerEvent} KB.`,
    `- With a key of your own, each invocation makes ${keyRequestsPerInvocation} request to KMS. Of VPC endpoints, what goes through them ($0.01 a GB, some KB for each invocation) is left out.`,
    `- A rollout sends ${eventsPerRollout} events and ${messagesPerRollout} messages. One trace for each execution.`,
    `- ${metricsOfFleet} metrics of the fleet, and ${metricsPerCluster} of each cluster at any time: one without locks and findings sends none. ${ledgerPerCluster} GB of ledger for each cluster.`,
  ].join('\n')
}

/** Two digits that mean something, below a dollar; cents above. */
function money(dollars: number): string {
  return `$${dollars >= 1 ? dollars.toFixed(2) : dollars.toPrecision(2)}`
}

const plainNumber = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: 12, useGrouping: false })

const table = ([heads = [], ...rows]: readonly (readonly string[])[]) => [
  `| ${heads.join(' | ')} |`,
  `|${heads.map((_, at) => (at === 0 ? '---' : '---:')).join('|')}|`,
  ...rows.map((row) => `| ${row.join(' | ')} |`),
]
