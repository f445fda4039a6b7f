import { randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { type Double, doubles } from './lockstep/double.ts'

export const usage = `Runs Lockstep's guarded unlock through random lives of a cluster, and looks at what really is in the end.

npm run chaos -- [--runs N] [--seed S] [--workers N] [--double NAME] [--trace]

  --runs N        How many runs. Default: 1000.
  --seed S        Of the first run, from 0 to 4294967295; the next ones count on. Default: by chance. The same seed is
                  the same run.
  --workers N     Threads. Default: one for each processor.
  --double NAME   With something that Lockstep must not be without replaced: then it must fail. One of
                  ${doubles.join(', ')}.
  --trace         Tells what happens in a run, for --runs 1.

Ends with 1 when anything went wrong that must not, and tells the seed of each failure.
`

export interface Options {
  readonly runs: number
  readonly seed: number
  readonly workers: number
  readonly double: Double | undefined
  readonly trace: boolean
  readonly help: boolean
}

/** Throws RangeError, and TypeError for what is no option. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ runs: { type: 'string' }, seed: { type: 'string' }, workers: { type: 'string' } },
      ...{ double: { type: 'string' }, trace: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    },
  })
  const options = {
    runs: count('--runs', values.runs, 1, 1_000),
    seed: count('--seed', values.seed, 0, randomInt(2 ** 32)),
    workers: count('--workers', values.workers, 1, availableParallelism()),
    ...{ double: doubleOf(values.double), trace: values.trace ?? false, help: values.help ?? false },
  }
  if (options.trace && options.runs > 1) throw new RangeError('--trace is for --runs 1.')
  return options
}

function doubleOf(name: string | undefined): Double | undefined {
  const double = doubles.find((each) => each === name)
  if (double === undefined && name !== undefined) throw new RangeError(`--double takes ${doubles.join(', ')}.`)
  return double
}

function count(name: string, text: string | undefined, least: number, usual: number): number {
  if (text === undefined) return usual
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least && value < 2 ** 32) return value
  throw new RangeError(`${name} takes a whole number from ${least}, not "${text}".`)
}
