import type { RunReport } from './chaos-run.ts'
import { wrongs } from './truth.ts'

/** Failures that are told one by one. */
const mostFailures = 50

/** What many runs have shown. It goes from worker to worker as JSON. */
export interface Tally {
  runs: number
  /** Executions of the unlock. */
  unlocks: number
  /** Parts of locks that Lockstep has removed. */
  removed: number
  calls: number
  /** Runs in which each of the things happened that must never be. */
  wrongs: Record<string, number>
  /** The first runs that failed. */
  failures: { seed: number; why: string[] }[]
}

export function emptyTally(): Tally {
  return { runs: 0, unlocks: 0, removed: 0, calls: 0, wrongs: {}, failures: [] }
}

export function add(tally: Tally, { seed, wrongs, unlocks, unlocked, calls }: RunReport): void {
  tally.runs++
  tally.unlocks += unlocks
  tally.removed += unlocked
  tally.calls += calls
  for (const what of new Set(wrongs.map((wrong) => wrong.what))) tally.wrongs[what] = (tally.wrongs[what] ?? 0) + 1
  if (wrongs.length === 0 || tally.failures.length >= mostFailures) return
  tally.failures.push({ seed, why: wrongs.map(({ what, details }) => `${what}: ${details}`) })
}

export function merge(into: Tally, from: Tally): void {
  into.runs += from.runs
  into.unlocks += from.unlocks
  into.removed += from.removed
  into.calls += from.calls
  for (const [what, count] of Object.entries(from.wrongs)) into.wrongs[what] = (into.wrongs[what] ?? 0) + count
  into.failures.push(...from.failures.slice(0, mostFailures - into.failures.length))
}

/** For people. */
export function linesOf({ runs, unlocks, removed, calls, wrongs: seen, failures }: Tally): string[] {
  return [
    `${runs} runs: ${unlocks} unlocks, ${removed} parts of locks removed, ${calls} calls of ports`,
    ...wrongs.map((what) => `${what}: ${seen[what] ?? 0}`),
    ...failures.flatMap(({ seed, why }) => [
      `seed ${seed} (npm run chaos -- --runs 1 --seed ${seed} --trace)`,
      ...why.map((line) => `  ${line}`),
    ]),
  ]
}
