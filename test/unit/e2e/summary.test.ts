import { describe, expect, it } from 'vitest'
import { summaryLines } from '../../e2e/summary.ts'
import { duration } from '../../e2e/upstream/progress.ts'

const suite = { file: 'test/e2e/a.test.ts', passed: 3, failed: 0, skipped: 0, broken: false }
const summary = {
  suites: [suite, { ...suite, file: 'test/e2e/longer.test.ts', skipped: 2 }],
  strayErrors: 0,
  versions: { kubernetes: '1.35.4', moto: '5.2.5' },
  tofuController: { kind: 'simulated' } as const,
  took: '8 min 5 s',
}

describe('the summary', () => {
  it('says what ran, how it went, against what', () => {
    expect(summaryLines(summary)).toEqual([
      'End-to-end suites: 2 ran in 8 min 5 s, all passed',
      '  test/e2e/a.test.ts       3 passed',
      '  test/e2e/longer.test.ts  3 passed, 2 skipped',
      'Against: kubernetes 1.35.4, moto 5.2.5',
      expect.stringMatching(/^tofu-controller, where suites need it: SIMULATED/),
    ])
  })

  it('says which of the two tofu-controllers ran', () => {
    const lines = summaryLines({ ...summary, tofuController: { kind: 'real', directory: '/opt/tofu-controller' } })
    expect(lines.at(-1)).toBe('tofu-controller, where suites need it: REAL, from /opt/tofu-controller')
  })

  it('hides no failure, a suite that did not even get to its tests least of all', () => {
    const failed = { ...suite, failed: 1 }
    const broken = { ...suite, passed: 0, broken: true }
    const lines = summaryLines({ ...summary, suites: [suite, failed, broken] })
    expect(lines[0]).toBe('End-to-end suites: 3 ran in 8 min 5 s, 2 FAILED')
    expect(lines[2]).toContain('3 passed, 1 failed')
    expect(lines[3]).toContain('BROKEN outside of its tests')
  })

  it('does not take errors outside of the suites, or no suite at all, for success', () => {
    expect(summaryLines({ ...summary, strayErrors: 1 })[0]).toContain('with 1 ERRORS that belong to no suite')
    expect(summaryLines({ ...summary, suites: [] })[0]).toContain('none has that name')
  })

  it('has times that people read', () => {
    expect([400, 59_400, 60_000, 485_000].map(duration)).toEqual(['0 s', '59 s', '1 min 0 s', '8 min 5 s'])
  })
})
