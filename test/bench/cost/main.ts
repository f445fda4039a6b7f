/** `npm run cost`: dollars per push and per month, from what `npm run bench -- --only usage` has measured. */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseDuration } from '../../../functions/lib/duration.ts'
import { LockstepError } from '../../../functions/lib/errors.ts'
import { costPage } from './cost-page.ts'
import { costTables } from './cost-text.ts'
import { type CostInput, costOf, usualAssumptions } from './model.ts'
import { readPrices } from './prices.ts'
import { readChoices, readStanding } from './standing.ts'
import { readUsage, readWork } from './usage-figures.ts'

const usage = `npm run cost -- [options]

Dollars per push and per month, from measured quantities and list prices (test/bench/cost/prices.json).

Options:
  --bench FILE        what npm run bench has written; default: what is kept in test/bench/cost/usage.json
  --clusters N,N      default 1,10,100,500
  --pushes N          a day; default ${usualAssumptions.pushesPerDay}
  --scan-every TIME   locks.every of the fleet; default ${usualAssumptions.scanEvery}m
  --sweep-every TIME  sweep.every of the fleet; default ${usualAssumptions.sweepEvery}m
  --write FILE        writes docs/cost.md, with prices and assumptions
  -o json             one JSON document on standard output
  -h, --help          this text

Ends with 0, and with 2 where it makes no sense or the file cannot be read.

Examples:
  npm run cost -- --clusters 3,30 --pushes 50
  npm run cost -- --scan-every 4m
  npm run bench -- --only usage && npm run cost -- --bench bench.json
`

process.exitCode = main(process.argv.slice(2))

function main(args: readonly string[]): 0 | 2 {
  try {
    run(args)
    return 0
  } catch (error) {
    const isMeant = error instanceof LockstepError || (error instanceof TypeError && 'code' in error)
    if (!isMeant) throw error
    process.stderr.write(`${error.message}\n`)
    return 2
  }
}

function run(args: readonly string[]): void {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ bench: text, clusters: text, pushes: text, 'scan-every': text, 'sweep-every': text, write: text },
      ...{ output: { ...text, short: 'o' }, help: { type: 'boolean', short: 'h' } },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return
  }
  if (values.output !== undefined && values.output !== 'json')
    throw wrong(`-o ${values.output} is no output; give json.`)
  const clusters = (values.clusters ?? '1,10,100,500').split(',').map((count) => positive('--clusters', count))
  const { pushesPerDay, scanEvery, sweepEvery } = usualAssumptions
  const measured = values.bench ?? fileURLToPath(new URL('usage.json', import.meta.url))
  const input: CostInput = {
    usage: readUsage(measured),
    work: readWork(measured),
    standing: readStanding(),
    prices: readPrices(),
    assumptions: {
      ...usualAssumptions,
      pushesPerDay: values.pushes === undefined ? pushesPerDay : positive('--pushes', values.pushes),
      scanEvery: minutes('--scan-every', values['scan-every']) ?? scanEvery,
      sweepEvery: minutes('--sweep-every', values['sweep-every']) ?? sweepEvery,
    },
  }
  if (values.write !== undefined) writeFileSync(values.write, costPage(clusters, input, readChoices()))
  const costs = clusters.map((count) => costOf(count, input))
  process.stdout.write(`${values.output === 'json' ? JSON.stringify(costs) : costTables(costs)}\n`)
}

function positive(option: string, given: string): number {
  if (/^[1-9]\d{0,5}$/.test(given)) return Number(given)
  throw wrong(`${option} ${given} is no number; give one from 1 to 999999.`)
}

function minutes(option: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  const ms = parseDuration(given)
  if (ms !== undefined && ms >= 60_000) return ms / 60_000
  throw wrong(`${option} ${given} is no time; give one such as 2m.`)
}

function wrong(message: string): LockstepError {
  return new LockstepError('UsageError', message, 'See --help.')
}
