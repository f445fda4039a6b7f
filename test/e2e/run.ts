/**
 * `npm run test:e2e`: Lockstep against the real kube-apiserver, Flux, OpenTofu and moto, as plain processes. Arguments
 * are vitest's: `npm run test:e2e -- flux` runs the suites with flux in their name. Ends with a summary; exit code 0
 * only where everything passed.
 */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseCLI, startVitest, type TestModule } from 'vitest/node'
import { LockstepError } from '../../functions/lib/errors.ts'
import { endWithNpm } from './end-with-npm.ts'
import { type SuiteResult, summaryLines } from './summary.ts'
import { duration } from './upstream/progress.ts'
import { pythonEnvironment } from './upstream/python.ts'
import { type TofuController, tofuController } from './upstream/tofu-controller.ts'
import { upstream } from './upstream/upstream.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const say = (line: string) => process.stdout.write(`${line}\n`)

const introduction = `Lockstep against the real systems, as plain processes on loopback. This takes up to 10 minutes; the first time on a
machine up to 45, since the programs are built from their sources (with Go) and kept for the next time.`

interface Prepared {
  readonly tofuController: TofuController
  readonly versions: Readonly<Record<string, string>>
}

/** Everything that may be missing is missed here, where it is told without a stack. */
async function prepare(): Promise<Prepared> {
  const controller = await tofuController()
  const [programs, python] = [await upstream({ say }), await pythonEnvironment({ say })]
  return { tofuController: controller, versions: { ...programs.versions, ...python.versions } }
}

function resultOf(module: TestModule): SuiteResult {
  const tests = [...module.children.allTests()].map((test) => test.result().state)
  const count = (state: string) => tests.filter((each) => each === state).length
  const file = relative(root, module.moduleId)
  const outside = module.errors().length > 0 || [...module.children.allSuites()].some((suite) => suite.errors().length)
  return { file, passed: count('passed'), failed: count('failed'), skipped: count('skipped'), broken: outside }
}

async function main(args: readonly string[]): Promise<void> {
  say(introduction)
  const start = performance.now()
  const prepared = await prepare()
  const { filter, options } = parseCLI(['vitest', 'run', ...args])
  const vitest = await startVitest('test', filter, { ...options, config: 'test/e2e/vitest.config.ts', root })
  const suites = vitest.state.getTestModules().map(resultOf)
  const strayErrors = vitest.state.getUnhandledErrors().length
  await vitest.close()
  say(['', ...summaryLines({ ...prepared, suites, strayErrors, took: duration(performance.now() - start) })].join('\n'))
}

endWithNpm()
try {
  await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof LockstepError)) throw error
  say(`\n${error.name}: ${error.message}`)
  process.exitCode = 1
}
