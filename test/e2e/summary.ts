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
  /** By name, of what the suites ran against. */
  readonly versions: Readonly<Record<string, string>>
  readonly tofuController: TofuController
  /** Such as `8 min 5 s`. */
  readonly took: string
}

/** What a person wants to know at the end, as lines. */
export function summaryLines({ suites, versions, tofuController, took }: Summary): string[] {
  const width = Math.max(0, ...suites.map(({ file }) => file.length))
  const failed = suites.filter((suite) => suite.failed > 0 || suite.broken).length
  return [
    `End-to-end suites: ${suites.length} ran in ${took}, ${failed === 0 ? 'all passed' : `${failed} FAILED`}`,
    ...suites.map((suite) => `  ${suite.file.padEnd(width)}  ${countsOf(suite)}`),
    `Against: ${Object.entries(versions)
      .map((entry) => entry.join(' '))
      .join(', ')}`,
    `tofu-controller, where suites need it: ${tofuControllerLine(tofuController)}`,
  ]
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
