import { assumptionList, choicesTable, costTables, priceTable, usageTable, workTable } from './cost-text.ts'
import { type CostInput, costOf } from './model.ts'
import type { Standing } from './standing.ts'

/** docs/cost.md, which `npm run cost -- --write docs/cost.md` writes. */
export function costPage(
  clusters: readonly number[],
  input: CostInput,
  choices: Readonly<Record<string, Standing>>,
): string {
  const { prices, usage, work, assumptions } = input
  return `# What it costs

List prices of ${prices.region}, as of ${prices.asOf}, in US dollars, without free tiers. Nothing of this was billed yet: quantities are measured on the
local host (\`npm run bench -- --only usage\`), and multiplied by the prices below (\`npm run cost\`, which has your own figures, too).

${costTables(clusters.map((count) => costOf(count, input)))}

${choicesTable(clusters, input, choices)}

Not in it: the clusters, their NAT gateways and networks, states and lock tables.

**What takes the money** with many clusters are the scans for locks, every ${assumptions.scanEvery} minutes for each cluster. \`locks.every\` makes them rarer: a ghost
lock is then found that much later, and \`quietWindow\` has to be longer than it. What a scan reads of other clusters' reports grows with
the square of the clusters: with 100 of them it is some $27 a month, with 500 some $680. Functions that wait for a layer are paid for while they
wait; an apply of an hour is an hour of 512 MB, some $0.024.

## Measured

${usageTable(usage)}

A push: 100 objects in 5 layers, ready some seconds after each other. A longer wait adds seconds of \`wait\`, and one transition for every ten minutes.

${workTable(work)}

That is on one x86 core, in a new process, on a machine that does other things, too. Lambda gives a function a share of a core by its memory (one
core with 1,769 MB), so it takes that much longer there. A function starts once in a push here, and works meanwhile if it waits.

## Assumed

${assumptionList(assumptions)}

## Prices

${prices.note}

${priceTable(prices)}
`
}
