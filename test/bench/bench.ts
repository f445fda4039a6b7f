import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { measureClusterRequests } from './cluster-requests.ts'
import { measureFleetWaves } from './fleet-waves.ts'
import { measureHandlerMemory } from './handler-memory.ts'
import { measureHandlerWork } from './handler-work.ts'
import { measureLayerLatency } from './layer-latency.ts'
import { measureLockScan } from './lock-scan.ts'
import type { Measure, Measurement } from './measurement.ts'
import { measurePlanTime } from './plan-time.ts'
import { measureStartTime } from './start-time.ts'
import { measureStateTransitions } from './state-transitions.ts'
import { tableOf } from './table.ts'
import { measureUnlockTime } from './unlock-time.ts'
import { measureUsage } from './usage.ts'
import { measureVerdictRate } from './verdict-rate.ts'
import { measureWebhookFunction } from './webhook-function.ts'

/** In the order of the table. The plan comes first, while nothing in this process has warmed its code. */
const rows: Readonly<Record<string, Measure>> = {
  plan: measurePlanTime,
  latency: measureLayerLatency,
  memory: measureHandlerMemory,
  requests: measureClusterRequests,
  transitions: measureStateTransitions,
  webhook: measureWebhookFunction,
  start: measureStartTime,
  verdicts: measureVerdictRate,
  locks: measureLockScan,
  unlock: measureUnlockTime,
  fleet: measureFleetWaves,
  usage: async () => [...(await measureUsage()), ...(await measureHandlerWork())],
}

const usage = `npm run bench -- [--only ${Object.keys(rows).join('|')}] [--json FILE] [-o json]

Measures, prints a table, and writes the figures to --json (default bench.json), which npm run cost reads.
  -o json   the figures on standard output in place of the table
  --help    this text
`

/** Measures and prints. A target that is missed is reported, and is no failure: a machine may be slow. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      ...{ only: { type: 'string' }, json: { type: 'string', default: 'bench.json' } },
      ...{ output: { type: 'string', short: 'o', default: 'table' }, help: { type: 'boolean', short: 'h' } },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return
  }
  if (!['table', 'json'].includes(values.output))
    throw new Error(`-o ${values.output} is no output; give json or table.`)
  if (values.only !== undefined && !Object.hasOwn(rows, values.only)) throw new Error(`There is no row ${values.only}.`)
  const measurements: Measurement[] = []
  for (const [name, measure] of Object.entries(rows)) {
    if (values.only !== undefined && values.only !== name) continue
    process.stderr.write(`measuring ${name} …\n`)
    measurements.push(...(await measure()))
  }
  const figures = `${JSON.stringify({ machine: machine(), measurements }, null, 2)}\n`
  process.stdout.write(values.output === 'json' ? figures : `${tableOf(measurements)}\n`)
  writeFileSync(values.json, figures)
}

/** What numbers of two runs can be compared by. */
function machine() {
  const [first] = cpus()
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: first?.model,
    cores: cpus().length,
  }
}

main().catch((error: Error) => {
  process.stderr.write(`${error.stack}\n${usage}\n`)
  process.exitCode = 1
})
