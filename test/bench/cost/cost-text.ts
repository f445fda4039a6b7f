import type { Assumptions, Cost } from './model.ts'
import type { Item, Prices } from './prices.ts'
import type { UsageFigures } from './usage-figures.ts'

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
    const { usd, per, source } = prices[item]
    return [plainNumber(usd), per, source]
  })
  return table([['dollars', 'for a', 'source'], ...rows]).join('\n')
}

export function assumptionList(assumptions: Assumptions): string {
  const { pushesPerDay, scanEvery, sweepEvery, secondsPerInvocation, logPerInvocation, logPerEvent } = assumptions
  const { eventsPerRollout, messagesPerRollout, metricsOfFleet, metricsPerCluster, ledgerPerCluster } = assumptions
  return [
    `- ${pushesPerDay} pushes a day, each to all clusters; a scan for locks every ${scanEvery} minutes, a sweep of each cluster every ${sweepEvery}; a month of 30.4 days.`,
    `- Each invocation takes ${secondsPerInvocation} s besides what it waits, and leaves ${logPerInvocation} KB of log; each event of an execution ${logPerEvent} KB.`,
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
