import type { TofuController } from './upstream/tofu-controller.ts'

export interface SuiteResult {
  /** Relative to the repository, such as `test/e2e/ledger.moto.test.ts`. */
  readonly file: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** Whether something outside of its tests failed, such as its import or a hook. */
  readonly broken: boolean
}

export interface Summary {
  readonly suites: readonly SuiteResult[]
  /** Errors that belong to no suite. */
  readonly strayErrors: number
  /** By name, of what the suites ran against. */
  readonly versions: Readonly<Record<string, string>>
  readonly tofuController: TofuController
  /** Such as `8 min 5 s`. */
  readonly took: string
}

/** What a person wants to know at the end, as lines. */
export function summaryLines(summary: Summary): string[] {
  const { suites, versions, tofuController, took } = summary
  const width = Math.max(0, ...suites.map(({ file }) => file.length))
  const against = Object.entries(versions).map((entry) => entry.join(' '))
  return [
    `End-to-end suites: ${suites.length} ran in ${took}, ${verdict(summary)}`,
    ...suites.map((suite) => `  ${suite.file.padEnd(width)}  ${countsOf(suite)}`),
    `Against: ${against.join(', ')}`,
    `tofu-controller, where suites need it: ${tofuControllerLine(tofuController)}`,
  ]
}

function verdict({ suites, strayErrors }: Summary): string {
  const failed = suites.filter((suite) => suite.failed > 0 || suite.broken).length
  if (failed > 0) return `${failed} FAILED`
  if (strayErrors > 0) return `with ${strayErrors} ERRORS that belong to no suite`
  return suites.length > 0 ? 'all passed' : 'none has that name'
}

function countsOf({ passed, failed, skipped, broken }: SuiteResult): string {
  const counts = Object.entries({ passed, failed, skipped }).filter(([, count]) => count > 0)
  const words = counts.map(([word, count]) => `${count} ${word}`)
  if (broken) words.push('BROKEN outside of its tests')
  return words.join(', ') || 'no tests'
}

function tofuControllerLine(controller: TofuController): string {
  if (controller.kind === 'real') return `REAL, from ${controller.directory}`
  return 'SIMULATED, on the real API server and with the real OpenTofu (LOCKSTEP_TOFU_CONTROLLER=DIR runs the real one)'
}
