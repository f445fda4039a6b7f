import type { Measurement } from './measurement.ts'

const heads = ['what', 'target', 'measured', '']

/** Measurements as a table for a terminal. */
export function tableOf(measurements: readonly Measurement[]): string {
  const rows = [heads, ...measurements.map((line) => [line.what, line.target, line.measured, verdict(line)])]
  const widths = heads.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const [head = '', ...lines] = rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '),
  )
  return [head, widths.map((width) => '-'.repeat(width)).join('  '), ...lines].map((line) => line.trimEnd()).join('\n')
}

function verdict({ ok, target }: Measurement): string {
  if (target === '') return ''
  if (ok === undefined) return 'not measured'
  return ok ? 'ok' : 'MISS'
}
