import { expect, test } from 'vitest'
import { parseOptions } from '../../chaos/options.ts'

test('what is asked for', () => {
  const options = parseOptions(['--runs', '100000', '--seed', '7', '--workers', '2', '--double', 'always-stale'])
  expect(options).toEqual({ runs: 100_000, seed: 7, workers: 2, double: 'always-stale', trace: false, help: false })
})

test.each([
  [['--runs', '0']],
  [['--runs', 'many']],
  [['--seed', '-1']],
  [['--seed', '4294967296']],
  [['--workers', '1.5']],
  [['--runs', '2', '--trace']],
  [['--run', '2']],
  [['--double', 'other']],
])('%j is refused', (args) => {
  expect(() => parseOptions(args)).toThrow()
})
