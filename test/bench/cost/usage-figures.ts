import { readFileSync } from 'node:fs'
import * as z from 'zod'
import { LockstepError } from '../../../functions/lib/errors.ts'

const benchSchema = z.object({
  measurements: z.array(z.object({ what: z.string(), values: z.record(z.string(), z.number()) })),
})

/** One execution: what it is charged for. */
export interface Usage {
  readonly transitions: number
  /** In its history. */
  readonly events: number
  readonly readUnits: number
  readonly writeUnits: number
  /** Of each function, by its name. */
  readonly calls: Readonly<Record<string, { readonly invocations: number; readonly seconds: number }>>
}

/** What the row `usage` of the bench has measured. */
export interface UsageFigures {
  readonly fleet: Usage
  readonly rollout: Usage
  readonly scanWithout: Usage
  readonly scanOfOne: Usage
  readonly sweep: Usage
}

/** Of a function's first invocation, in milliseconds of CPU time: to load it, and what it then does. */
export interface Work {
  readonly startCpuMs: number
  readonly workCpuMs: number
}

const names: Readonly<Record<keyof UsageFigures, string>> = {
  fleet: 'usage: the fleet’s execution of a push',
  rollout: 'usage: the rollout of a push',
  scanWithout: 'usage: a scan for locks, without',
  scanOfOne: 'usage: a scan for locks, one',
  sweep: 'usage: a sweep',
}

/** Throws BenchUnreadable where the file is not what `npm run bench` writes, or has no usage in it. */
export function readUsage(file: string): UsageFigures {
  const figures = Object.entries(names).map(([key, name]) => [key, usageOf(file, name)])
  return Object.fromEntries(figures) as unknown as UsageFigures
}

const workSchema = z.object({ startCpuMs: z.number(), workCpuMs: z.number() })

/** By name, the work of the functions that the bench has measured. Throws as `readUsage` does. */
export function readWork(file: string): Readonly<Record<string, Work>> {
  const works = measurementsIn(file).flatMap(({ what, values }) => {
    const name = /^usage: work of (\S+),/.exec(what)?.[1]
    return name === undefined ? [] : [[name, workSchema.parse(values)] as const]
  })
  if (works.length === 0) throw unreadable(file, 'does not say "usage: work of"')
  return Object.fromEntries(works)
}

function usageOf(file: string, name: string): Usage {
  const values = measurementsIn(file).find(({ what }) => what.startsWith(name))?.values
  if (!values) throw unreadable(file, `does not say "${name}"`)
  const { transitions = 0, events = 0, readUnits = 0, writeUnits = 0 } = values
  const functions = Object.keys(values).flatMap((key) => (key.startsWith('invocations/') ? key.slice(12) : []))
  const calls = functions.map((each) => [
    each,
    { invocations: values[`invocations/${each}`] ?? 0, seconds: values[`seconds/${each}`] ?? 0 },
  ])
  return { transitions, events, readUnits, writeUnits, calls: Object.fromEntries(calls) }
}

function measurementsIn(file: string): z.output<typeof benchSchema>['measurements'] {
  try {
    return benchSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).measurements
  } catch {
    throw unreadable(file, 'is no result of the bench')
  }
}

const unreadable = (file: string, why: string) =>
  new LockstepError('BenchUnreadable', `${file} ${why}.`, 'Run npm run bench -- --only usage first.')
