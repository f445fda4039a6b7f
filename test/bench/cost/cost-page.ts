import { assumptionList, costTables, priceTable, usageTable } from './cost-text.ts'
import { type CostInput, costOf } from './model.ts'

/** docs/cost.md, which `npm run cost -- --write docs/cost.md` writes. */
export function costPage(clusters: readonly number[], input: CostInput): string {
  const { prices, usage, assumptions } = input
  return `# What it costs

List prices of ${prices.region}, as of ${prices.asOf}, in US dollars, without free tiers. Nothing of this was billed yet: quantities are measured on the
local host (\`npm run bench -- --only usage\`), and multiplied by the prices below (\`npm run cost\`, which has your own figures, too).

${costTables(clusters.map((count) => costOf(count, input)))}

Not in it: the clusters, their NAT gateways and networks, states and lock tables; VPC endpoints where the functions are in a VPC (each
about $7.30 a month and zone); a key of your own ($1 a month, and $0.03 for 10,000 requests); messages by mail.

**What takes the money** with many clusters are the scans for locks, every ${assumptions.scanEvery} minutes for each cluster. \`locks.every\` makes them rarer: a ghost
lock is then found that much later, and \`quietWindow\` has to be longer than it. What a scan reads of other clusters' reports grows with
the square of the clusters; with 100 of them it is still less than the transitions. Functions that wait for a layer are paid for while they
wait; an apply of an hour is an hour of 512 MB, some $0.024.

## Measured

${usageTable(usage)}

A push: 100 objects in 5 layers, ready some seconds after each other. A longer wait adds seconds of \`wait\`, and one transition for every ten minutes.

## Assumed

${assumptionList(assumptions)}

## Prices

${prices.note}

${priceTable(prices)}
`
}
