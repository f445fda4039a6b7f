import { parseArgs } from 'node:util'
import { durationMs } from '../../../infra/local/simulation/durations.ts'

/** The flags that a pod's container was given, `--name=value` or `--name value`. Those that nobody knows do no harm. */
export function flagsOf(args: readonly string[], names: readonly string[]): ReadonlyMap<string, string> {
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]))
  const { values } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true })
  return new Map(Object.entries(values).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])))
}

/** A flag such as `10s`, in milliseconds. */
export function durationFlag(flags: ReadonlyMap<string, string>, name: string, usual: number): number {
  const value = flags.get(name)
  return value === undefined ? usual : durationMs.parse(value)
}

/** Throws when the variable is not set. */
export function variable(name: string): string {
  const value = process.env[name]
  if (value) return value
  throw new Error(`The environment variable ${name} is not set.`)
}
