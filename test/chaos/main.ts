import { chaosRun } from './chaos-run.ts'
import { type Options, parseOptions, usage } from './options.ts'
import { allRuns } from './runs.ts'
import { add, emptyTally, linesOf, type Tally } from './tally.ts'

/** Between two lines of progress, in milliseconds. */
const progressMs = 10_000

const print = (line: string) => process.stdout.write(`${line}\n`)

async function traced({ seed, double }: Options): Promise<Tally> {
  const tally = emptyTally()
  add(tally, await chaosRun({ seed, double, trace: print }))
  return tally
}

/** Tells of each failure at once, and how far it is now and then. */
function progress(runs: number): (tally: Tally) => void {
  let told = performance.now()
  let failed = 0
  return ({ runs: done, failures }) => {
    for (const { seed, why } of failures.slice(failed)) process.stderr.write(`seed ${seed}: ${why.join('; ')}\n`)
    failed = failures.length
    if (performance.now() - told < progressMs) return
    told = performance.now()
    process.stderr.write(`${done} of ${runs} runs, ${failed} failed\n`)
  }
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) return void process.stdout.write(usage)
  const begun = performance.now()
  const { runs, seed } = options
  const tally = options.trace ? await traced(options) : await allRuns(options, progress(runs))
  for (const line of linesOf(tally)) print(line)
  print(`seeds ${seed} to ${seed + runs - 1}, in ${((performance.now() - begun) / 1_000).toFixed(1)} s`)
  if (Object.keys(tally.wrongs).length > 0) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
}
